# The network between edges and Redis goes and comes, 50 times: each edge lives
# in a network namespace of its own.  No change is overlooked for longer than a
# lease, and each edge is live again within a second of reachability.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use List::Util qw(max);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

plan skip_all => 'network namespaces take root' if $> != 0;

my $LEASE  = 500;    # milliseconds
my $EDGES  = 5;
my $CYCLES = 10;     # of each edge
my $PORT   = 6379;
my $STORE  = '{apikey}';

# Seconds without a network: within what a connection is trusted for, within a
# lease, longer than that, and long enough for the pauses between attempts to
# have grown.
my @LENGTHS = (0.1, 0.3, 0.6, 0.2, 1.2, 0.05, 0.4, 2.5, 0.15, 0.9);

# How, in the store's namespace or in the edge's: nothing gets through;
# requests do, but answers do not; each attempt fails at once.
my @WAYS = (
    [ 'the link is down', 'store', 'link set edge%d down', 'link set edge%d up' ],
    [ 'answers are lost', 'store', 'route add blackhole 10.0.%d.2/32',
      'route del blackhole 10.0.%d.2/32' ],
    [ 'no route', 'edge', 'route add unreachable 10.0.%d.1/32',
      'route del unreachable 10.0.%d.1/32' ],
);

# ---- the network -----------------------------------------------------------------

# A namespace lasts as long as the process in it, and what is in it as long as
# the namespace: nothing has to be cleaned up.
sub namespace {
    my $holder = Apikey::Process->start(
        cmd => [ 'unshare', '--net', 'sleep', 600 ]);
    my $outside = readlink '/proc/self/ns/net';

    Apikey::Process::wait_for(sub {
        (readlink('/proc/' . $holder->pid . '/ns/net') // $outside) ne $outside;
    }, 5, 'a network namespace');

    return $holder;
}

sub enter { return ('nsenter', "--net=/proc/" . $_[0]->pid . '/ns/net', '--') }

sub ip {
    my ($namespace, $what) = @_;

    system(enter($namespace), 'ip', split ' ', $what) == 0
        or die "ip $what: $?\n";

    return;
}

my $net  = namespace();
my @edge = map { { net => namespace(), i => $_ } } 1 .. $EDGES;

ip($net, 'link set lo up');

for my $edge (@edge) {
    my $i = $edge->{i};

    ip($net, "link add edge$i type veth peer name store netns "
             . $edge->{net}->pid);
    ip($net, "addr add 10.0.$i.1/24 dev edge$i");
    ip($net, "link set edge$i up");
    ip($edge->{net}, "addr add 10.0.$i.2/24 dev store");
    ip($edge->{net}, 'link set store up');
}

# ---- the store and the edges -----------------------------------------------------

my $r = Apikey::Redis->start(
    wrapper => [ enter($net) ],
    conf => [ '--port', $PORT, '--bind', (map { "10.0.$_->{i}.1" } @edge),
              '--protected-mode', 'no' ]);

$r->load_library->init(lease => $LEASE);

for my $edge (@edge) {
    my $i = $edge->{i};

    $edge->{keys} = [ map { $r->create(digest => sha256_hex("key $i $_")) }
                      1 .. $CYCLES ];

    local $ENV{APIKEY_SYNC_WRAPPER}
        = join ' ', enter($edge->{net}), $ENV{APIKEY_SYNC_WRAPPER} // ();

    $edge->{daemon} = Apikey::Daemon->start(
        url => "redis://10.0.$i.1:$PORT", edge => "edge$i");
}

$_->{daemon}->wait_ready for @edge;

# ---- the cycles, of all edges at the same time -----------------------------------

sub acked {
    my ($client, $edge) = @_;

    return $client->acked("edge$edge->{i}");
}

# One key is revoked in each; when the store had answered, when the edge was
# reachable again, and how long it took then.
sub cycle {
    my ($client, $edge, $n) = @_;

    my ($way, $where, $cut, $heal) = @{ $WAYS[ ($n + $edge->{i}) % @WAYS ] };
    my $net_of = $where eq 'store' ? $net : $edge->{net};
    my $length = $LENGTHS[ ($n + 2 * $edge->{i}) % @LENGTHS ];

    ip($net_of, sprintf $cut, $edge->{i});
    sleep $length / 2;

    my $key    = $edge->{keys}[$n];
    my %answer = @{ $client->ok('FCALL', 'apikey_set_status', 1, $STORE,
                                $key->{id}, 'revoked', 'actor', 't') };
    my $asked  = Apikey::Watch::now();

    sleep $length / 2;
    ip($net_of, sprintf $heal, $edge->{i});

    my $reachable = Apikey::Watch::now();
    my $ok = Apikey::Process::poll(sub {
        return $edge->{daemon}->live
            && acked($client, $edge) >= $answer{version};
    }, 20);

    return { way => $way, length => $length, asked => $asked, healed => $ok,
             took => (Apikey::Watch::now() - $reachable) / 1e9 };
}

sub cycles {
    my ($edge) = @_;

    my $client = $r->connect;

    return [ map { cycle($client, $edge, $_) } 0 .. $CYCLES - 1 ];
}

my @watch;

for my $edge (@edge) {
    push @watch, Apikey::Watch->start(
        $edge->{daemon}->table,
        map { ($_ => $edge->{keys}[$_]{digest}) } 0 .. $CYCLES - 1);

    pipe $edge->{report}, my $write or die "pipe: $!";
    $edge->{pid} = fork // die "fork: $!";

    if ($edge->{pid} == 0) {
        my $report = eval { cycles($edge) };

        print {$write} JSON::PP::encode_json({ cycles => $report, error => $@ });
        close $write;
        POSIX::_exit(0);
    }
}

for my $edge (@edge) {
    my $report = JSON::PP::decode_json(readline($edge->{report}) // '{}');

    waitpid $edge->{pid}, 0;
    is $report->{error}, '', "edge $edge->{i}: went through its cycles";
    $edge->{cycles} = $report->{cycles} || [];
}

$_->stop for @watch;

# ---- what was seen ---------------------------------------------------------------

my @took;

for my $edge (@edge) {
    my $watch = shift @watch;
    my $n     = 0;

    for my $cycle (@{ $edge->{cycles} }) {
        my $what = sprintf 'edge %d, %s for %.2f s', $edge->{i}, $cycle->{way},
            $cycle->{length};
        my $over = $cycle->{asked} + $LEASE * 1.02e6 + 100e6;

        is scalar(grep { $_ eq 'enabled' } $watch->after($n, $over)), 0,
            "$what: no allow after the lease";
        ok $cycle->{healed}, "$what: healed";
        push @took, [ $cycle->{took}, $what ];
        $n++;
    }

    is $edge->{daemon}->control->{snapshots}, 1,
        "edge $edge->{i}: no snapshot was needed";
    is $edge->{daemon}->status($edge->{keys}[$_]{digest}), 'revoked',
        "edge $edge->{i}: key $_ is revoked" for 0 .. $CYCLES - 1;
    is $edge->{daemon}->stop, 0, 'exit 0';
}

@took = sort { $a->[0] <=> $b->[0] } @took;

is scalar @took, $EDGES * $CYCLES, 'cycles';
diag sprintf 'live again after a partition: median %.2f s, slowest %.2f s (%s)',
    $took[ @took / 2 ][0], @{ $took[-1] };

# a second, and what a busy machine adds
cmp_ok max(map { $_->[0] } @took), '<', 3, 'live again soon after reachability';

done_testing;
