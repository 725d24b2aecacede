#!/usr/bin/perl

# Renewing: the six verdicts, what is recorded and when, and that it is no
# change; and reading the log from a version on.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Process ();
use Apikey::Redis ();

my $S     = '{apikey}';
my $BOOT  = 'b' x 32;
my $OTHER = 'f' x 40;

my $r = Apikey::Redis->start->load_library;

my $epoch = $r->init(log_length => 1000, lease => 700)->{epoch};
my $key   = $r->create;

# Toggles the key until the head is at this version.
sub go_on_to {
    my ($version) = @_;
    my $status = 'enabled';

    while ($r->ok('HGET', "$S:meta", 'version') < $version) {
        $status = $status eq 'enabled' ? 'disabled' : 'enabled';
        $r->set_status($key->{id}, $status);
    }
}

sub chain_at {
    my ($version) = @_;
    my ($entry) = @{ $r->ok('XRANGE', "$S:log", "$version-0", "$version-0") };

    return $entry->[1][1];
}

sub renew {
    my ($edge, %arg) = @_;
    my %all = (boot => $BOOT, epoch => $epoch, %arg);

    return $r->fcall_hash('renew', $edge, %all);
}

sub edges {
    return { map { $_->[0] => JSON::PP::decode_json($_->[1]) }
             @{ $r->fcall_ok('edges') } };
}

go_on_to(10);

my $head = $r->meta->{chain};
my %answer = (epoch => $epoch, version => 10, chain => $head, lease => 700,
              previous => '', holder => '');

# ---- verdicts that record nothing --------------------------------------------

my $before = $r->fingerprint;

for my $row (
    ['nothing applied yet', 'epoch', epoch => '', version => '', chain => ''],
    ['another epoch', 'epoch', epoch => 'f' x 32, version => 10,
        chain => $head],
    ['another epoch, ahead', 'epoch', epoch => 'f' x 32, version => 11,
        chain => $head],
    ['one version ahead', 'ahead', version => 11, chain => $head],
    ['far ahead', 'ahead', version => '281474976710655', chain => $head],
    ['another chain at the head', 'fork', version => 10, chain => $OTHER],
    ['another chain before it', 'fork', version => 9, chain => $OTHER],
    ['the head\'s chain at another version', 'fork', version => 9,
        chain => $head],
    ['another chain at the first', 'fork', version => 1, chain => $OTHER],
    ['version 0', 'trimmed', version => 0, chain => $OTHER],
) {
    my ($what, $verdict, %arg) = @$row;

    is_deeply(renew('e1', %arg), { %answer, verdict => $verdict },
        "$verdict: $what");
}

is_deeply(edges(), {}, 'none of these registers an edge');
is($r->fingerprint, $before, '... or changes anything');

# ---- ok ----------------------------------------------------------------------

my $listener = $r->connect;
$listener->ok('SUBSCRIBE', "$S:events");

is_deeply(renew('e1', version => 10, chain => $head, address => '10.0.0.1',
                software => "apikey-sync 1 \xe2\x82\xac \"x\""),
    { %answer, verdict => 'ok' }, 'ok: the head');

my $edge = edges()->{e1};

is_deeply({ %$edge, at => 0 },
    { boot => $BOOT, version => 10, epoch => $epoch, chain => $head, address => '10.0.0.1',
      software => "apikey-sync 1 \x{20ac} \"x\"", at => 0 },
    '... is recorded');
ok(abs($edge->{at} - $r->meta->{time}) < 5000, '... with its time');
is($r->meta->{version}, 10, '... and is no change');
is($r->meta->{edges}, 1, '... meta counts it');

is_deeply(renew('e2', version => 1, chain => chain_at(1)),
    { %answer, verdict => 'ok' }, 'ok: version 1, which is far behind');

for my $version (2 .. 9) {
    my $is = renew('e2', version => $version, chain => chain_at($version));

    like(delete $is->{previous}, qr/^\d{1,4}$/, 'previous, ms');
    is($is->{verdict}, 'ok', "ok: version $version");
    is(edges()->{e2}{version}, $version, '... is what is acknowledged');
}

is_deeply([sort keys %{ edges() }], ['e1', 'e2'], 'each edge has its own');
is_deeply([map { $_->[0] } @{ $r->fcall_ok('edges') }], ['e1', 'e2'],
    '... listed by name');
is($listener->read_reply(0), undef, 'renewals publish nothing');

# how long ago the last one was, by the store's clock
{
    my $at = edges()->{e1}{at};

    Apikey::Process::wait_for(sub { $r->meta->{time} >= $at + 50 }, 5,
        '50 ms by the clock of Redis');

    my $fork = renew('e1', version => 10, chain => $OTHER);

    cmp_ok($fork->{previous}, '>=', 50, 'previous: since the last recorded');
    is(edges()->{e1}{at}, $at, '... which a fork is not');
    cmp_ok(renew('e1', version => 10, chain => $head)->{previous}, '>=', 50,
        '... so it still counts from there');
    cmp_ok(renew('e1', version => 10, chain => $head)->{previous}, '<', 50,
        '... and then from the new one');
}

# what somebody else wrote there does not stop a renewal
for my $junk ('', 'junk', '[]', '7', 'null', map { "{\"at\":$_}" }
              qw("x" "7" null true [] -7 1e13 1e300)) {
    $r->ok('HSET', "$S:edges", 'e3', $junk);
    is_deeply(renew('e3', version => 10, chain => $head),
        { %answer, verdict => 'ok' }, "after \"$junk\" in edges");
}

$r->ok('HSET', "$S:edges", 'e3', '{"at":9999999999999}');
is(renew('e3', version => 10, chain => $head)->{previous}, 0,
    'a clock that went back: 0, not less');

is(renew('0123456789azAZ_.:-' . 'e' x 46, version => 10, chain => $head,
        address => 'a' x 128, software => 's' x 128)->{verdict}, 'ok',
    'the longest name, address, software');

# ---- name: another daemon ----------------------------------------------------

{
    my $lease = 3600000;
    my %was   = (boot => 'a' x 32, version => '1', epoch => $epoch,
                 chain => chain_at(1), address => 'host-a', software => 's');
    my %head  = (version => 10, chain => $head);
    my %none  = (epoch => '', version => '', chain => '');
    my @boots = map { $_ x 32 } 0 .. 6;

    # as if that daemon had renewed so many milliseconds ago
    my $renewed = sub {
        my ($ago, %changed) = @_;

        $r->ok('HSET', "$S:edges", 'n', JSON::PP::encode_json({ %was, %changed,
            at => $r->meta->{time} - $ago }));
    };

    $r->ok('HSET', "$S:meta", 'lease', $lease);

    for my $row (
        # milliseconds since, what this one says, the verdict
        ['just now',           0,          [%head, after => ''], 'name'],
        ['by a probe',         0,          [%none, after => ''], 'name'],
        ['ahead',              0, [%head, version => 11, after => ''], 'name'],
        ['in a fork',          0, [%head, chain => $OTHER, after => ''],
            'name'],
        ['after others',       0, [%head, after => "@boots"], 'name'],
        ['a lease ago',        $lease,     [%head, after => ''], 'name'],
        ['2 % and more later', $lease * 102 / 100 + 101, [%head, after => ''],
            'ok'],
        ['long ago, by a probe', $lease * 2, [%none, after => ''], 'epoch'],
        ['and this comes after it', 0, [%head, after => 'a' x 32], 'ok'],
        ['and this comes after it and others', 0,
            [%head, after => "@boots " . 'a' x 32], 'ok'],
        ['and this comes after it, first of two', 0,
            [%head, after => 'a' x 32 . " $boots[0]"], 'ok'],
        ['after it, by a probe', 0, [%none, after => 'a' x 32], 'epoch'],
        ['after it, in a fork', 0,
            [%head, chain => $OTHER, after => 'a' x 32], 'fork'],
        ['and this is the same', 0, [%head, boot => 'a' x 32, after => ''],
            'ok'],
        ['and this comes after nobody', 0, [%head], 'name'],
    ) {
        my ($what, $ago, $arg, $verdict) = @$row;

        $renewed->($ago);

        my $before = $r->ok('HGET', "$S:edges", 'n');
        my $is     = renew('n', @$arg);

        is_deeply([@$is{qw(verdict holder epoch version chain lease)}],
            [$verdict, 'host-a', $epoch, 10, $head, $lease],
            "$verdict: another renewed $what");
        cmp_ok(abs($is->{previous} - $ago), '<', 60000, '... previous');
        is($r->ok('HGET', "$S:edges", 'n') eq $before ? 'kept' : 'replaced',
            $verdict eq 'ok' ? 'replaced' : 'kept', '... the record');
    }

    # the clock goes back
    $renewed->(-7200000);

    my $is = renew('n', %head, after => '');

    is_deeply([@$is{qw(verdict previous)}], ['name', 0],
        'name: another renewed in the future');

    my $now = edges()->{n};

    cmp_ok(abs($now->{at} - $r->meta->{time}), '<', 60000,
        '... it gets one lease from now on');
    is_deeply({ %$now, at => 0 }, { %was, at => 0 },
        '... and nothing else changes');

    # what somebody else wrote there keeps nobody out
    for my $spoiled ({ boot => 'x' }, { boot => 7 }, { boot => undef }) {
        $renewed->(0, %$spoiled);
        is(renew('n', %head, after => '')->{verdict}, 'ok',
            'ok: after ' . JSON::PP::encode_json($spoiled));
    }

    for my $address ("a\nb", 'a' x 129, 7, undef) {
        $renewed->(0, address => $address);
        is(renew('n', %head, after => '')->{holder}, '',
            'name: an address that is none');
    }

    $r->ok('HSET', "$S:meta", 'lease', 700);
}

# ---- trimmed -----------------------------------------------------------------

my $chain_10 = chain_at(10);

go_on_to(1500);

my $first = $r->meta->{log_first};

cmp_ok($first, '>', 11, 'the log is trimmed');
is(renew('e1', version => 10, chain => $chain_10)->{verdict}, 'trimmed',
    'trimmed: a version that is gone');
is(edges()->{e1}{version}, 10, '... acknowledges nothing new');
is(renew('e1', version => $first, chain => chain_at($first))->{verdict}, 'ok',
    'ok: the first that is left');
is(renew('e1', version => $first - 1, chain => $OTHER)->{verdict}, 'trimmed',
    'trimmed: the one before');

# ---- since -------------------------------------------------------------------

sub since {
    my ($version, $count) = @_;
    my ($is, $at, $chain, $entries) = @{ $r->fcall_ok('since', $version,
                                                      $count) };

    is("$is $at", "$epoch 1500", "since $version, $count: the head");

    return $entries;
}

is_deeply([map { $_->[0] } @{ since(1490, 100) }], [1491 .. 1500],
    'all after the version');
is_deeply([map { $_->[0] } @{ since(1490, 10) }], [1491 .. 1500],
    '... just as many as there are');
is_deeply([map { $_->[0] } @{ since(1490, 9) }], [1491 .. 1499],
    '... no more than asked for');
is_deeply([map { $_->[0] } @{ since(1499, 1) }], [1500], 'the last one');
is_deeply(since(1500, 1), [], 'none after the head');
is_deeply(since('281474976710655', 1), [], 'none far beyond it');

my $entries = since(1490, 100);

is_deeply([map { $_->[1] } @$entries], [map { chain_at($_) } 1490 .. 1499],
    'each with the chain before it');
is_deeply([map { $_->[2] } @$entries], [map { chain_at($_) } 1491 .. 1500],
    '... and its own');

is(since($first - 1, 1)->[0][1], '', 'the chain before the first is unknown');
is(since($first - 1, 2)->[1][1], chain_at($first), '... and then known');
is(since($first, 1)->[0][1], chain_at($first),
    '... and for who stands at the first');
is(since(5, 1)->[0][0], $first, 'who is further behind gets the first left');

$r->ok('XDEL', "$S:log", '1495-0');
is_deeply([map { [$_->[0], $_->[1] eq '' ? 'unknown' : 'known'] }
           @{ since(1493, 3) }],
    [[1494, 'known'], [1496, 'unknown'], [1497, 'known']],
    'a hole in the log shows');

# a new store's first entry stands on the epoch
{
    $r->ok('FLUSHALL');
    $r->init;

    my $only = $r->fcall_ok('since', 0, 10)->[3];

    is_deeply([@{ $only->[0] }[0, 1], scalar @$only], [1, $epoch, 1],
        'the chain before the first of all is the epoch');
    $r->ok('DEL', "$S:log");
    is_deeply($r->fcall_ok('since', 0, 10)->[3], [], 'an empty log');
    is($r->meta->{log_first}, '', '... of which meta says nothing');
    is(renew('e1', version => 1, chain => $r->meta->{chain})->{verdict}, 'ok',
        '... and who stands at the head still renews');
    is($r->member('mem_1')->{version}, 2, '... and changes go on');
}

done_testing();
