# Revokes go on while all keys are read anew, by a daemon that resyncs, that
# was killed, and while a table grows: none waits for it to be done.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use List::Util qw(max);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

my $STORE = '{apikey}';
my $LEASE = 2000;      # milliseconds
my $KEYS  = 16_000;
my $EACH  = 60;        # keys revoked in each row

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
$r->member('mem_1');

sub id     { return Apikey::Redis::key_id($_[0]) }
sub digest { return sha256_hex("key $_[0]") }

sub create {
    my ($from, $n) = @_;

    my $client = $r->connect;

    for (my $i = $from; $i < $from + $n; $i += 400) {
        $client->send('FCALL', 'apikey_create', 1, $STORE, id($_), 'digest',
                      digest($_), 'pepper', "p1:$Apikey::Redis::FINGERPRINT",
                      'name', 'k', 'member', 'mem_1', 'actor', 't')
            for $i .. $i + 399;
        $client->read_reply(30) for 1 .. 400;
    }

    return;
}

sub acked {
    return $r->acked('edge');
}

create(1, $KEYS);

my $d = Apikey::Daemon->start(redis => $r, edge => 'edge');

$d->wait_ready(30);

my $next = 1;

# Revokes keys while the sub's work goes on, until `done` says that it is done
# (and $EACH are revoked at least).
sub row {
    my ($name, $do, $done) = @_;

    my @mine  = map { $next++ } 1 .. 5 * $EACH;
    my $watch = Apikey::Watch->start($d->table,
                                     map { ($_ => digest($_)) } @mine);
    my %answered;
    my $busy = 0;

    $do->();

    for my $key (@mine) {
        $r->set_status(id($key), 'revoked');
        $answered{$key} = Apikey::Watch::now();

        my $is_done = $done->();

        $busy++ if !$is_done;
        last if $is_done && keys %answered >= $EACH;
        sleep 0.002;
    }

    Apikey::Process::wait_for(
        sub { $done->() && $d->live && acked() >= $r->meta->{version} }, 30,
        "$name: to be done");
    $watch->stop;

    # how long after the answer a look-up began that still said enabled
    my @late = sort { $a <=> $b } map {
        my $seen = $watch->seen($_)->{enabled};

        max(0, $seen ? ($seen->[1] - $answered{$_}) / 1e6 : 0);
    } keys %answered;

    cmp_ok $busy, '>', 0, "$name: revoked in the middle of it";
    cmp_ok $late[-1], '<', $LEASE * 1.02 + 100,
        "$name: each is refused within the lease";
    is scalar(grep { $d->status(digest($_)) ne 'revoked' } keys %answered), 0,
        "$name: and stays so";
    diag sprintf '%s: %d revoked, %d in the middle of it; refused after %.2f ms'
        . ' (median), %.2f ms (slowest)',
        $name, scalar @late, $busy, $late[ @late / 2 ], $late[-1];

    return;
}

# ---- a resync: another history --------------------------------------------------

my $snapshots = $d->control->{snapshots};

row('resync', sub {
    $r->ok('HSET', "$STORE:meta", 'epoch', 'e' x 32);
}, sub { $d->control->{snapshots} > $snapshots });

# ---- a daemon that was killed ------------------------------------------------------

row('restart', sub {
    $d->kill9;
    $d = Apikey::Daemon->start(redis => $r, edge => 'edge', table => $d->table);
}, sub { ($d->control->{pid} // 0) == $d->pid && $d->control->{snapshots} });

# ---- growth ------------------------------------------------------------------------

# there is room for a quarter more than there were
my $growths = $d->control->{growths};
my $pid;

create($KEYS + 1, $KEYS / 5);
row('growth', sub {
    $pid = fork // die "fork: $!";

    if ($pid == 0) {
        create(2 * $KEYS, $KEYS / 5);
        POSIX::_exit(0);
    }
}, sub { $d->control->{growths} > $growths });
waitpid $pid, 0;

my $lines = join "\n", $d->table_get(map { digest($_) } 1 .. $KEYS);

is scalar(() = $lines =~ /^revoked/mg), $r->meta->{revoked},
    'as many are revoked as in the store';
is $d->stop, 0, 'exit 0';

done_testing;
