package Apikey::Upstream;

# An HTTP server that remembers which headers it got, in their order: nginx
# itself cannot tell a test what else was sent to it.
#
#   my $u = Apikey::Upstream->start;     # on the unix socket $u->{path}
#   $u->forget;
#   ... a request through nginx ...
#   $u->headers;                         # "name: value", names in lower case,
#                                        # of all requests since
#   $u->stop;
#
# It answers 200 with "PATH X-APIKEY-ID\n"; under /accel/ it redirects nginx
# to /target/.

use strict;
use warnings;

use IO::Select ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);

use Apikey::Process ();

sub start {
    my ($class) = @_;

    my $dir  = Apikey::Process::tempdir();
    my $self = bless { path => "$dir/up.sock", log => "$dir/log" }, $class;

    my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 64,
                                       Local => $self->{path})
        or die "cannot listen: $!";

    $self->forget;
    $self->{process} = Apikey::Process->start(
        cmd => [ $^X, '-I', Apikey::Process::root_dir() . '/t/lib',
                 '-MApikey::Upstream', '-e', 'Apikey::Upstream::serve(shift)',
                 $self->{log} ],
        stdin => $server);

    return $self;
}

sub forget {
    my ($self) = @_;

    open my $log, '>', $self->{log} or die "$self->{log}: $!";

    return;
}

sub headers {
    my ($self) = @_;

    open my $log, '<', $self->{log} or die "$self->{log}: $!";
    chomp(my @lines = readline $log);

    return @lines;
}

sub stop { return $_[0]{process}->stop }

# In a process of its own, with the listening socket as stdin.  One request a
# connection, which is what nginx does by default.
sub serve {
    my ($path) = @_;

    my $server = IO::Socket::UNIX->new_from_fd(0, 'r');

    while (my $client = $server->accept) {
        my $bytes = '';

        while ($bytes !~ /\r\n\r\n/) {
            sysread $client, $bytes, 65536, length $bytes or last;
        }

        my ($line, @headers) = split /\r\n/, $bytes;

        open my $log, '>>', $path or die "$path: $!";
        print $log map { s/^([^:]*)/\L$1/r . "\n" } @headers;
        close $log;

        my ($uri) = ($line // '') =~ /^\S+ (\S+)/;
        my ($id)  = $bytes =~ /^x-apikey-id: (\S+)/mi;
        my $body  = ($uri // '') . ' ' . ($id // '') . "\n";
        my $accel = $body =~ m{^/accel/}
            ? "X-Accel-Redirect: /target/\r\n" : '';

        print $client "HTTP/1.0 200 OK\r\n$accel",
            'Content-Length: ', length $body, "\r\n\r\n$body";
        close $client;
    }

    return;
}

1;
