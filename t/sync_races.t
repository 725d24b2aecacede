# apikey-sync when links break and answers come late at the worst moments: a
# proxy before Redis arranges them.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use IO::Select ();
use IO::Socket::UNIX ();
use POSIX ();
use Socket qw(SOCK_STREAM);
use Test::More;
use Time::HiRes qw(time);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $STORE = '{apikey}';
my $dir   = Apikey::Process::tempdir();
my @proxies;

sub touch {
    my ($name) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    close $fh;

    return;
}

# ---- the proxy -----------------------------------------------------------------

# Passes bytes on. For each read the hook is called with 'c' (from the client)
# or 's', the bytes, and the connection: it may set {close} (after them), or
# {hold}: nothing is passed on in that direction until the sub is true.
sub proxy {
    my ($r, $hook) = @_;

    my $path = "$dir/proxy" . scalar(@proxies) . '.sock';
    my $pid  = fork // die "fork: $!";

    if (!$pid) {
        eval { serve($path, $r->socket, $hook) };
        print {*STDERR} $@;
        POSIX::_exit(0);
    }

    push @proxies, $pid;
    Apikey::Process::wait_for(sub { -S $path }, 5, 'the proxy');

    return "unix://$path";
}

sub serve {
    my ($path, $upstream, $hook) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $listen = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
                                       Listen => 16) or die "$path: $!\n";
    my $select = IO::Select->new($listen);
    my %way;

    for (;;) {
        for my $from ($select->can_read(0.002)) {
            if ($from == $listen) {
                my $client = $listen->accept;
                my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM,
                                                   Peer => $upstream)
                    or next;
                my $conn = { both => [$client, $server] };

                $way{$client} = { dir => 'c', to => $server, conn => $conn };
                $way{$server} = { dir => 's', to => $client, conn => $conn };
                $select->add($client, $server);
                next;
            }

            my $way = $way{$from} or next;

            if (sysread $from, my $bytes, 1 << 16) {
                $hook->($way->{dir}, $bytes, $way->{conn});
                $way->{hold} //= delete $way->{conn}{hold};
                $way->{waiting} .= $bytes;
            } else {
                $way->{conn}{close} = 1;
            }

            pass_on($way);

            if ($way->{conn}{close}) {
                for (@{ $way->{conn}{both} }) {
                    $select->remove($_);
                    delete $way{$_};
                    close $_;
                }
            }
        }

        pass_on($_) for values %way;
    }
}

sub pass_on {
    my ($way) = @_;

    return if $way->{hold} && !$way->{hold}->();

    delete $way->{hold};

    while (length($way->{waiting} // '')) {
        my $n = syswrite($way->{to}, $way->{waiting}) or return;

        substr $way->{waiting}, 0, $n, '';
    }

    return;
}

# ---- a store that is large enough for blocks to be allocated in steps ----------

my $KEYS  = 20_000;
my $LEASE = 2000;

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
$r->member('mem_1');

{
    my $client = $r->connect;

    for my $thousand (1 .. $KEYS / 1000) {
        $client->send('FCALL', 'apikey_create', 1, $STORE,
                      Apikey::Redis::key_id(1000 * $thousand + $_), 'digest',
                      sha256_hex(1000 * $thousand + $_), 'pepper',
                      "p1:$Apikey::Redis::FINGERPRINT", 'name', 'k', 'member',
                      'mem_1', 'actor', 't')
            for 1 .. 1000;
        $client->read_reply(30) for 1 .. 1000;
    }
}

my $digest = sha256_hex(1001);

# ---- the commands' link ends while blocks are allocated ------------------------

my $url = proxy($r, sub {
    my ($from, $bytes, $conn) = @_;

    if ($from eq 'c') {
        $conn->{meta} ||= $bytes =~ /apikey_meta/;

    } elsif ($conn->{meta} && !-e "$dir/closed") {
        touch('closed');
        $conn->{close} = 1;
    }
});

my $d = Apikey::Daemon->start(url => $url, edge => 'e1');

$d->wait_ready;
ok -e "$dir/closed", 'the link ended behind the answer of apikey_meta';
is $d->status($digest), 'enabled', 'lost in PREPARE: heals';
like $d->log, qr/a full resync is needed" cause="connection lost"/,
    'lost in PREPARE: told';
is $d->stop, 0, 'exit 0';

kill KILL => $_ for @proxies;
waitpid $_, 0 for @proxies;

done_testing;
