package Apikey::Cut;

# A proxy before a private Redis that breaks at one command, after it was
# passed on: what a client then knows is only that it has sent it.
#
#   my $cut = Apikey::Cut->start(redis => $r, at => 'apikey_create',
#                                how => 'close');   # or hang, garble
#   $cut->url; $cut->stop;
#
# close: the connection ends before the answer; hang: the answer never comes;
# garble: it is none of the protocol.  times => 1: only on the first connection
# that has the command, and all goes well on those behind it.

use strict;
use warnings;

use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);

use Apikey::Process ();

my $script = join '', <DATA>;

sub start {
    my ($class, %opt) = @_;

    my $path    = Apikey::Process::tempdir() . '/cut.sock';
    my $process = Apikey::Process->start(
        cmd => [ $^X, '-e', $script, $path, $opt{redis}->socket, $opt{at}, $opt{how}, $opt{times} // 0 ],
    );

    # the socket is there before it listens
    Apikey::Process::wait_for(sub { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) }, 5, 'the proxy');

    return bless { process => $process, path => $path }, $class;
}

sub url  { return "unix://$_[0]{path}" }
sub stop { return $_[0]{process}->stop }

1;

__DATA__
use strict;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);

my ($path, $redis, $at, $how, $times) = @ARGV;
my $done = 0;
my $listen = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 8) or die $!;

CLIENT:
while (my $client = $listen->accept) {
    my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $redis) or die $!;
    my $select = IO::Select->new($client, $server);
    my $cut    = 0;

    while (my @ready = $select->can_read) {
        for my $from (@ready) {
            sysread($from, my $bytes, 1 << 16) or next CLIENT;

            if ($from == $client) {
                $cut ||= index($bytes, $at) >= 0 && (!$times || $done++ < $times);
                syswrite $server, $bytes;

            } elsif (!$cut) {
                syswrite $client, $bytes;

            } elsif ($how eq 'close') {
                next CLIENT;

            } elsif ($how eq 'garble') {
                syswrite $client, "HTTP/1.1 400 Bad Request\r\n\r\n";
            }
        }
    }
}
