#!/usr/bin/perl

# apikeyctl --wait: what is proven, what is not, and what nobody can know; the
# receipt; and an answer that was lost on the way, which is asked for again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

use Apikey::Ctl;
use Apikey::Cut;
use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use JSON::PP ();
use Test::More;

my $LEASE = 2;    # seconds
my $TIME  = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $S     = '{apikey}';

my ($exit, $out, $err);

# ---- real edges -------------------------------------------------------------

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init', "--lease=${LEASE}s");

my ($key, $other) = map { $ctl->key->{id} } 1, 2;
my ($first, $second)
    = map { Apikey::Daemon->start(redis => $redis, edge => "edge-$_") } 1, 2;

$_->wait_ready for $first, $second;

($exit, $out, $err) = $ctl->run('disable', $key, '--wait', '--reason=leaked', '--actor=ops');
is($exit, 0, 'all edges are live: proven');
is($err, '', 'and nothing is wrong');

my $head = version();

like($out, qr/\Aproven after \d+\.\d\d ms\nChange +$key disabled, version $head\nActor +ops\nReason +leaked\nEpoch +[0-9a-f]{32}\n\n/,
     'the receipt');
like($out, qr/^EDGE +STATE +WHEN\nedge-1 +acknowledged +\d+\.\d\d ms\nedge-2 +acknowledged +\d+\.\d\d ms\n\z/m,
     'with each edge and its milliseconds');

my $answer = json('enable', $key, '--wait=20s');

is($exit, 0, 'with --json');
is(scalar @$answer, 1, 'an object');
is_deeply([ sort keys %{ $answer->[0] } ], [qw(at changed epoch id ms receipt status version)], 'as ever, and the receipt');

my $receipt = $answer->[0]{receipt};

is_deeply([ sort keys %$receipt ], [qw(actor edges epoch lease_ms proof reason replicas version waited_ms why)], 'its members');
is($receipt->{proof}, 'proven', 'its one word');
is($receipt->{why}, undef, 'that needs no reason');
is($receipt->{version}, version(), 'the version that was waited for');
is($receipt->{lease_ms}, 1000 * $LEASE, 'the lease');
is_deeply($receipt->{replicas}, { wanted => 0, have => 0 }, 'no replicas');
is_deeply([ map { [ sort keys %$_ ] } @{ $receipt->{edges} } ], [ ([qw(ms name renewed safe state version)]) x 2 ], 'the edges');
is_deeply([ map { "$_->{name} $_->{state}" } @{ $receipt->{edges} } ], [ 'edge-1 acknowledged', 'edge-2 acknowledged' ], 'by name');
cmp_ok($receipt->{edges}[0]{ms}, '>', 0, 'their milliseconds');

is($ctl->ok('disable', $key, '--wait', '--quiet'), '', 'with --quiet nothing is said');
like($ctl->ok('disable', $key, '--wait'), qr/\Aproven .*\nChange +$key already disabled, version \d+\n/, 'what was so already is proven too');

# several: one wait, the change of each
($exit, $out, $err) = $ctl->run('enable', $key, 'key_' . '0' x 20, $other, '--wait');
is($exit, 1, 'several, of which one is refused: its exit code');
like($out, qr/\Aproven after .*\nChange +$key enabled, version \d+\n +$other already enabled, version \d+\nActor/, 'the others are proven');
is(() = $out =~ /^edge-1 /mg, 1, 'by one wait');
like($err, qr/no key has the id key_0{20} \(NOKEY\)/, 'and the one is named');
$answer = json('disable', $key, 'key_' . '0' x 20, $other, '--wait');
is_deeply([ map { $_->{error} ? $_->{error}{name} : $_->{receipt}{proof} } @$answer ], [qw(proven NOKEY proven)], 'with --json likewise');

# other changes
($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=waited', '--wait');
is($exit, 0, 'create --wait');
like($out, qr/\AKey +mm_\w{38}\n(?:.+\n)+\nproven after .*\nChange +(key_\w{20}) created, version \d+\n/, 'the key first, then the receipt');
is($ctl->json('create', '--member=ada', '--name=waited', '--wait')->{receipt}{proof}, 'proven', 'create --wait --json');
like($ctl->ok('create', '--member=ada', '--name=waited', '--wait', '--quiet'), qr/\Amm_\w{38}\n\z/, 'create --wait --quiet');
like($ctl->ok('member', 'put', 'ada', '--name=Ada', '--wait'), qr/\Aproven after .*\nChange +ada changed, version \d+\n/, 'member put --wait');
is($ctl->json('member', 'put', 'ada', '--name=Ada L', '--wait')->{receipt}{proof}, 'proven', 'member put --wait --json');

# ---- a silent edge ----------------------------------------------------------

$second->process->signal('STOP');

($exit, $out, $err) = $ctl->run('enable', $key, '--wait=300ms');
is($exit, 8, 'an edge is stopped: not proven within 300 ms');
like($out, qr/\Anot proven within 3\d\d ms\nChange +$key enabled, version \d+\n/, 'says the first line');
like($out, qr/^edge-1 +acknowledged +\d+\.\d\d ms\nedge-2 +waiting +silent since $TIME, safe by $TIME\n\z/m, 'and names it, and when it is safe');
like($err, qr/^apikeyctl enable: not proven within 3\d\d ms: edge-2 has not acknowledged\n  the change was made; the leases from before it have run out by $TIME\n\z/, 'on stderr too');

$answer = json('disable', $key, '--wait=300ms');
is($exit, 8, 'with --json');
is($answer->[0]{receipt}{proof}, 'not proven', 'its word');
is($answer->[0]{receipt}{edges}[1]{state}, 'waiting', 'the edge');
is($answer->[0]{receipt}{edges}[1]{ms}, undef, 'has no milliseconds');
like($answer->[0]{receipt}{edges}[1]{safe}, qr/\A$TIME\z/, 'but a time');
is(JSON::PP->new->decode($err)->{error}{exit}, 8, 'and the error says the code');
is(($ctl->run('enable', $key, '--wait=100ms', '--quiet'))[0], 8, 'with --quiet');

# stopped while it waits
{
    my $waiting = background('disable', $key, '--wait');

    sleep 0.3;
    $waiting->{process}->signal('INT');
    ($exit, $out, $err) = finished($waiting);
    is($exit, 8, 'Ctrl-C while it waits');
    like($out, qr/\Anot proven within/, 'the receipt is printed all the same');
    like($err, qr/not proven when it was stopped after \d+ ms: edge-2 has not acknowledged/, 'and why it says so');
}

my $begin = clock_gettime(CLOCK_MONOTONIC);

($exit, $out, $err) = $ctl->run('enable', $key, '--wait');
diag(sprintf 'an edge is stopped: proven after %.3f s of a lease of %d s; the aim is %.2f s',
     clock_gettime(CLOCK_MONOTONIC) - $begin, $LEASE, 1.02 * $LEASE + 0.5);
is($exit, 0, 'waited for: proven by the end of its lease');
cmp_ok(clock_gettime(CLOCK_MONOTONIC) - $begin, '>', 1.02 * $LEASE + 0.1, 'and not before that');
like($out, qr/^edge-2 +expired +silent since $TIME, safe since $TIME\n\z/m, 'as the receipt says');

$second->process->signal('CONT');
$ctl->ok('disable', $key, '--wait');
$second->wait_ready;
like($ctl->ok('enable', $key, '--wait'), qr/^edge-2 +acknowledged/m, 'back again, it acknowledges');
$_->stop for $first, $second;

# ---- a store that changes under the wait ------------------------------------

# One made-up edge that renews once and never acknowledges; --wait would take
# a lease of an hour.
sub silent_store {
    my $store = Apikey::Redis->start;

    $ctl = Apikey::Ctl->new(url => $store->url);
    $ctl->ok('init', '--lease=1h');
    $key = $ctl->key->{id};

    my $meta = $store->meta;

    $store->fcall_hash('renew', 'ghost', boot => 'b' x 32, epoch => $meta->{epoch}, version => $meta->{version},
                       chain => $meta->{chain});

    return $store;
}

for my $row (
    [ 'the epoch is replaced', qr/not part of the store's history any more \(epoch\)/,
      sub { $_[0]->ok('HSET', "$S:meta", 'epoch', 'e' x 32) } ],
    [ 'the last change is rolled back', qr/\(ahead\)/,
      sub { $_[0]->ok('HSET', "$S:meta", 'version', $_[1]{version} - 1) } ],
    [ 'another change has its version', qr/\(fork\)/,
      sub { $_[0]->ok('HSET', "$S:meta", 'chain', 'f' x 40) } ],
    [ 'the log ends before it', qr/\(trimmed\)/,
      sub { $_[0]->ok('XTRIM', "$S:log", 'MAXLEN', 0); $_[0]->ok('HSET', "$S:meta", 'version', $_[1]{version} + 1) } ],
    [ 'everything is gone', qr/\(NOINIT\)/, sub { $_[0]->ok('FLUSHALL') } ],
    [ 'the library is gone', qr/\(NOLIBRARY\)/, sub { $_[0]->ok('FUNCTION', 'FLUSH') } ],
    [ 'the server is killed', qr/the connection was lost|cannot reach the store/, sub { $_[0]->kill9 } ],
) {
    my ($what, $says, $do) = @$row;
    my $store   = silent_store();
    my $before  = $store->meta->{version};
    my $waiting = background('disable', $key, '--wait=3s', '--timeout=500ms');

    Apikey::Process::wait_for(sub { $store->meta->{version} > $before }, 10, 'the change');
    sleep 0.1;
    $do->($store, $store->meta);

    ($exit, $out, $err) = finished($waiting);
    is($exit, 4, "$what during the wait: unknown");
    like($out, qr/\Aunknown: .*\nChange +$key disabled, version \d+\n/, 'says the first line');
    like($err, qr/^apikeyctl disable: unknown: .*$says/, 'and why');
    $store->stop;
}

# a store that is away for a while is waited for
{
    my $store = Apikey::Redis->start(conf => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);

    $ctl = Apikey::Ctl->new(url => $store->url);
    $ctl->ok('init', '--lease=1h');
    $key = $ctl->key->{id};

    my %edge = (boot => 'b' x 32, epoch => $store->meta->{epoch});
    my $renew = sub {
        my $meta = $store->meta;

        return $store->fcall_hash('renew', 'late', %edge, version => $meta->{version}, chain => $meta->{chain});
    };

    $renew->();

    my $waiting = background('disable', $key, '--wait=30s', '--timeout=500ms');

    Apikey::Process::wait_for(sub { $store->meta->{version} == 4 }, 10, 'the change');
    $store->kill9;
    sleep 0.2;
    $store->start_again;
    $renew->();

    ($exit, $out, $err) = finished($waiting);
    is($exit, 0, 'the server is killed and back, and the edge acknowledges: proven');
    is($err, '', 'without a word');
    $store->stop;
}

# an acknowledgement of a history that was lost
{
    my $store = silent_store();
    my $meta  = $store->meta;

    $store->ok('HSET', "$S:edges", 'ghost', sprintf '{"boot":"%s","version":"%d","epoch":"%s","chain":"%s","at":%s}',
               'b' x 32, $meta->{version} + 1, $meta->{epoch}, 'f' x 40, $meta->{time});

    ($exit, $out, $err) = $ctl->run('disable', $key, '--wait=200ms');
    is($exit, 8, 'an edge has this version, of another history: not proven');
    like($err, qr/: ghost has not acknowledged$/m, 'and it is named');

    # one that nobody can read is waited for, too
    $store->ok('HSET', "$S:edges", 'ghost', 'no JSON');
    ($exit, $out, $err) = $ctl->run('enable', $key, '--wait=200ms');
    is($exit, 8, 'an entry that is no JSON: not proven');
    like($err, qr/: ghost has not acknowledged$/m, 'and named');

    # nobody is registered
    $store->ok('DEL', "$S:edges");
    like($ctl->ok('disable', $key, '--wait'), qr/\Aproven .*^Edges +none is registered\n\z/ms, 'no edge: nobody to wait for');

    # more than can be named
    for my $i (1 .. 7) {
        $store->fcall_hash('renew', "e$i", boot => 'b' x 32, epoch => $meta->{epoch}, version => $meta->{version}, chain => $meta->{chain});
    }

    ($exit, $out, $err) = $ctl->run('enable', $key, '--wait=200ms');
    like($err, qr/: e1, e2, e3, e4, e5 and 2 more have not acknowledged$/m, 'the first few are named on stderr');
    is(() = $out =~ /^e\d +waiting/mg, 7, 'all of them in the receipt');
    $store->stop;
}

# ---- replicas ---------------------------------------------------------------

{
    my $store   = Apikey::Redis->start(conf => [ '--repl-diskless-sync-delay', '0' ]);
    my $replica = Apikey::Redis->start;

    $ctl = Apikey::Ctl->new(url => $store->url);
    $ctl->ok('init', '--lease=200ms');
    $key = $ctl->key->{id};

    ($exit, $out, $err) = $ctl->run('disable', $key, '--wait=200ms', '--replicas=1');
    is($exit, 8, 'no replica has it: not proven');
    like($out, qr/^Replicas +0 of 1 have it$/m, 'says the receipt');
    like($err, qr/not proven within \d+ ms: 0 of 1 replicas have it$/m, 'and stderr');

    my $port = do {
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
        $socket->sockport;
    };

    $store->ok('CONFIG', 'SET', 'bind', '127.0.0.1');
    $store->ok('CONFIG', 'SET', 'port', $port);
    $replica->ok('REPLICAOF', '127.0.0.1', $port);
    Apikey::Process::wait_for(sub { $replica->ok('INFO', 'replication') =~ /master_link_status:up/ }, 10, 'the replica');

    ($exit, $out, $err) = $ctl->run('enable', $key, '--wait=10s', '--replicas=1');
    is($exit, 0, 'one has it: proven');
    like($out, qr/^Replicas +1 of 1 have it$/m, 'says the receipt');
    is(($ctl->run('disable', $key, '--wait=200ms', { env => { APIKEY_REPLICAS => 2 } }))[0], 8, 'APIKEY_REPLICAS=2: not proven');
    is(($ctl->run('enable', $key, { env => { APIKEY_REPLICAS => 2 } }))[0], 0, 'which without --wait says nothing');
    is(json('disable', $key, '--wait=10s', '--replicas=1')->[0]{receipt}{replicas}{have}, 1, 'with --json');

    my $cut = Apikey::Cut->start(redis => $store, at => 'apikey_set_status', how => 'close', times => 1);

    ($exit, $out, $err) = $ctl->run('enable', $key, '--wait=10s', '--replicas=1', '--store', $cut->url);
    is($exit, 4, 'the connection that made the change is gone: who has it cannot be asked');
    like($err, qr/on another one Redis does not say which replicas have it/, 'says so');
    $_->stop for $cut, $replica, $store;
}

# ---- an answer that was lost ------------------------------------------------

{
    my $store = Apikey::Redis->start;

    $ctl = Apikey::Ctl->new(url => $store->url);
    $ctl->ok('init');
    $key = $ctl->key->{id};

    for my $how (qw(close hang garble)) {
        for my $row (
            [ 'apikey_set_status', 'disable', $key ],
            [ 'apikey_set_status', 'enable', $key, '--wait' ],
            [ 'apikey_create', 'create', '--member=ada', "--name=$how" ],
            [ 'apikey_member_put', 'member', 'put', 'ada', "--name=$how" ],
        ) {
            my ($at, @words) = @$row;
            my $before = $store->meta->{version};
            my $cut    = Apikey::Cut->start(redis => $store, at => $at, how => $how, times => 1);

            ($exit, $out, $err) = $ctl->run(@words, '--store', $cut->url, '--timeout=500ms');
            is($exit, 0, "$words[0], whose answer is lost ($how): done");
            is($err, '', 'without a word');
            is($store->meta->{version}, $before + 1, 'and exactly one change was made');
            like($out, qr/ersion +@{[ $before + 1 ]}\b/, 'which is the one that is reported');
            $cut->stop;
        }
    }

    # the store has gone with the answer, and is back as a replica: not asked
    my $cut = Apikey::Cut->start(redis => $store, at => 'apikey_set_status', how => 'hang', times => 1);
    my $waiting = background('disable', $key, '--store', $cut->url, '--timeout=500ms');

    Apikey::Process::wait_for(sub { $ctl->ok('show', $key, '--quiet') eq "disabled\n" }, 10, 'the change');
    $store->ok('REPLICAOF', '127.0.0.1', 1);
    ($exit, $out, $err) = finished($waiting);
    is($exit, 4, 'a server that now refuses says nothing about what was sent before');
    like($err, qr/whether the change was made is not known/, 'so that is what is said');
    $store->stop;
}

done_testing;

sub version { return $redis->meta->{version} }

sub json {
    ($exit, $out, $err) = $ctl->run(@_, '--json');
    return JSON::PP->new->utf8->decode($out);
}

# Runs apikeyctl without waiting for it.
sub background {
    my (@words) = @_;

    my $dir = Apikey::Process::tempdir();

    open my $stdout, '>', "$dir/out" or die "$dir/out: $!";

    return {
        dir     => $dir,
        process => Apikey::Process->start(cmd => [ $ctl->program, @words ], env => $ctl->env, stdout => $stdout, log => "$dir/err"),
    };
}

sub finished {
    my ($run) = @_;

    $run->{process}->wait(30) or die 'apikeyctl does not end';

    return ($run->{process}->exit_code, map { Apikey::Ctl::read_file("$run->{dir}/$_") } qw(out err));
}
