#!/usr/bin/perl

# Who has acknowledged what: each edge's renewal against the history as it is
# now, also where that history has lost changes and given their versions to
# others; and edges that are taken out.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S     = '{apikey}';
my $BOOT  = 'b' x 32;
my $OTHER = 'f' x 40;
my $LEASE = 3600000;

my $r = Apikey::Redis->start->load_library;

my $epoch = $r->init(log_length => 1000, lease => $LEASE)->{epoch};
my $key   = $r->create;

sub change {
    my $status = $r->fcall_hash('get', $key->{id})->{status};

    return $r->set_status($key->{id}, $status eq 'enabled' ? 'disabled'
                                                           : 'enabled');
}

sub chain_at {
    my ($version) = @_;
    my ($entry) = @{ $r->ok('XRANGE', "$S:log", "$version-0", "$version-0") };

    return $entry->[1][1];
}

# Renews at a version of the history as it is.
sub renew {
    my ($edge, $version) = @_;
    my $is = $r->fcall_hash('renew', $edge, boot => $BOOT, epoch => $epoch,
        version => $version, chain => chain_at($version));

    $is->{verdict} eq 'ok' or die "$edge at $version: $is->{verdict}";

    return;
}

# { edge => verdict }
sub verdicts { return { map { $_->[0] => $_->[2] } @{ $_[0] } } }

# Who has acknowledged a change, as docs/store.md says it.
sub acked {
    my ($change) = @_;
    my ($verdict, undef, undef, undef, $edges)
        = @{ $r->fcall_ok('acks', @$change{qw(epoch head chain)}) };

    return "not: $verdict" if $verdict ne 'ok';

    return join ' ', map { $_->[0] } grep {
        $_->[2] eq 'ok' && JSON::PP::decode_json($_->[1])->{version}
                           >= $change->{head}
    } @$edges;
}

# All that the store holds, to go back to; but for the keys that are named.
sub remember {
    my (%but) = map { $_ => 1 } @_;
    my @keys = grep { !$but{$_} } @{ $r->ok('KEYS', '*') };
    my %kept = map { $_ => $r->ok('DUMP', $_) } @keys;

    return sub {
        $r->ok('DEL', grep { !$but{$_} } @{ $r->ok('KEYS', '*') });
        $r->ok('RESTORE', $_, 0, $kept{$_}) for sort keys %kept;
    };
}

# ---- the answer --------------------------------------------------------------

change() for 4 .. 9;    # version 9 is the head

my $last = change();

is($last->{head}, 10, 'ten versions');
is_deeply([@{ $r->fcall_ok('acks', $epoch, 9, chain_at(9)) }[0, 1, 3, 4]],
    ['ok', 10, $LEASE, []], 'the head, the lease; no edges: none');

my $time = $r->fcall_ok('acks', $epoch, 10, $last->{chain})->[2];

cmp_ok(abs($time - $r->meta->{time}), '<', 60000, '... and the time');

renew('late', 9);
renew('here', 10);
renew('b', 10);

my $edges = $r->fcall_ok('edges');

is_deeply([map { $_->[0] } @$edges], [qw(b here late)], 'edges by name');
is_deeply(verdicts($edges), { b => 'ok', here => 'ok', late => 'ok' },
    '... in this history all of them');
is_deeply($r->fcall_ok('acks', $epoch, 10, $last->{chain})->[4], $edges,
    'acks has the same');
is(acked($last), 'b here', 'who has the head has acknowledged it');
is(acked({ epoch => $epoch, head => 9, chain => chain_at(9) }),
    'b here late', '... and what is before it');

# ---- what the first verdict says of the change -------------------------------

for my $row (
    ['ok',      $epoch,   10, $last->{chain}],
    ['ok',      $epoch,   1,  chain_at(1)],
    ['ahead',   $epoch,   11, $last->{chain}],
    ['fork',    $epoch,   10, $OTHER],
    ['fork',    $epoch,   9,  $last->{chain}],
    ['trimmed', $epoch,   0,  $OTHER],
    ['epoch',   'f' x 32, 10, $last->{chain}],
) {
    my ($verdict, @change) = @$row;

    is($r->fcall_ok('acks', @change)->[0], $verdict, "$verdict: $change[1]");
}

# ---- a failover that lost the last writes ------------------------------------

{
    # acknowledgements outlive it here, which no replication would do
    my $fail_over = remember("$S:edges");
    my $lost      = change();

    renew('here', 11);
    is(acked($lost), 'here', 'acknowledged before the failover');
    $fail_over->();

    is(acked($lost), 'not: ahead', 'lost: nobody has acknowledged it');
    is_deeply(verdicts($r->fcall_ok('edges')),
        { b => 'ok', here => 'ahead', late => 'ok' }, '... and it shows');
    is(acked($last), 'b', '... who was there counts for nothing at all');

    my $again = $r->set_status($key->{id}, 'revoked', reason => 'another');

    is($again->{head}, 11, 'its version is another change\'s');
    is(acked($lost), 'not: fork', '... which is not the one that was lost');
    is(acked($again), '', '... and an acknowledgement of the lost one is none');
    is_deeply(verdicts($r->fcall_ok('edges')),
        { b => 'ok', here => 'fork', late => 'ok' }, '... it shows');

    $r->member('mem_2');
    is(acked($again), '', '... nor is it when the history goes on');
    is(acked($lost), 'not: fork', '... nor is the lost change back');

    renew('here', 12);
    is(acked($again), 'here', 'until that edge is in this history');

    $fail_over->();
}

# ---- restored, in another epoch ----------------------------------------------

{
    my $back = remember();

    $r->ok('HSET', "$S:meta", 'epoch', 'f' x 32);
    is(acked($last), 'not: epoch', 'another epoch: nothing');
    is_deeply(verdicts($r->fcall_ok('edges')),
        { map { $_ => 'epoch' } qw(b here late) }, '... from nobody');
    $back->();
}

# ---- what is no renewal acknowledges nothing ---------------------------------

my %sound = %{ JSON::PP::decode_json($edges->[0][1]) };

for my $row (
    ['', 'epoch'], ['junk', 'epoch'], ['[]', 'epoch'], ['null', 'epoch'],
    ['{"at":1}', 'epoch'], ['{"epoch":', 'epoch'],
    (map { my %part = %sound; delete $part{$_};
           [JSON::PP::encode_json(\%part), 'epoch'] }
     qw(epoch version chain)),
    map({ [JSON::PP::encode_json({ %sound, %$_ }), 'epoch'] }
        { version => 'x' }, { version => '010' }, { version => '10-1' },
        { version => 10 }, { version => undef }, { version => [] },
        { version => '281474976710656' }, { chain => 'x' }, { chain => 7 },
        { epoch => '' }, { epoch => 1 }),
    [JSON::PP::encode_json({ %sound, version => '11' }), 'ahead'],
    [JSON::PP::encode_json({ %sound, chain => $OTHER }), 'fork'],
    [JSON::PP::encode_json({ %sound, version => '0' }), 'trimmed'],
    [JSON::PP::encode_json(\%sound), 'ok'],
) {
    my ($json, $verdict) = @$row;

    $r->ok('HSET', "$S:edges", 'x', $json);
    is(verdicts($r->fcall_ok('edges'))->{x}, $verdict, "$verdict: '$json'");
    is(verdicts($r->fcall_ok('acks', $epoch, 10, $last->{chain})->[4])->{x},
        $verdict, '... in acks too');
}

# ---- an edge that is taken out -----------------------------------------------

# The edge as if it had renewed so many milliseconds ago.
sub renewed_ago {
    my ($edge, $ago) = @_;

    $r->ok('HSET', "$S:edges", $edge, JSON::PP->new->canonical->encode({
        %sound, at => $r->meta->{time} - $ago }));

    return;
}

sub refused {
    my ($what, $error, $text, @call) = @_;
    my $before = $r->fingerprint;
    my $reply  = $r->fcall(@call);

    ok(ref $reply eq 'Apikey::Redis::Error' && $reply->name eq $error
        && $reply =~ $text && $r->fingerprint eq $before, "$error: $what")
        or diag(ref $reply eq 'ARRAY' ? "answered @$reply" : $reply);
}

my @forget = (actor => 'ops', reason => 'scrapped');

refused('no such edge', 'NOEDGE', qr/no edge has the name nobody/,
    'edge_forget', 'nobody', @forget);

for my $row (['just now', 0], ['a lease ago', $LEASE],
             ['in the future', -100000]) {
    my ($what, $ago) = @$row;

    renewed_ago('x', $ago);
    refused("renewed $what", 'LIVE', qr/edge x renewed its lease of $LEASE ms/,
        'edge_forget', 'x', @forget);
}

# the lease, 2 % for its clock, 100 ms
renewed_ago('x', $LEASE * 102 / 100 + 101);

my $forgot = $r->fcall_hash('edge_forget', 'x', @forget);
my $meta   = $r->meta;

is_deeply($forgot, { edge => 'x', version => 11, epoch => $epoch,
                     at => $forgot->{at}, head => 11,
                     chain => $meta->{chain} }, 'forgotten');
is($meta->{version}, 11, '... by a change');
is($meta->{edges}, 3, '... one edge less');

{
    my ($entry) = @{ $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 1) };

    is_deeply(JSON::PP::decode_json($entry->[1][3]),
        { op => 'forget', at => $forgot->{at} + 0, actor => 'ops',
          reason => 'scrapped',
          edge => { name => 'x', version => '10', epoch => $epoch } },
        '... that the log has');
}

refused('forgotten before', 'NOEDGE', qr/the name x/, 'edge_forget', 'x',
    @forget);
renew('x', 11);
is($r->meta->{edges}, 4, 'who renews again is there again');

# what somebody else wrote there can be taken away
for my $json ('', 'junk', '{"at":"x"}', '{"version":"x","at":1}') {
    $r->ok('HSET', "$S:edges", 'x', $json);
    is($r->fcall_hash('edge_forget', 'x', @forget)->{head},
        $r->meta->{version}, "forgotten: '$json'");

    my ($entry) = @{ $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 1) };

    is_deeply(JSON::PP::decode_json($entry->[1][3])->{edge}, { name => 'x' },
        '... whose version nobody knows');
}

# ---- trimmed -----------------------------------------------------------------

change() while $r->meta->{log_first} <= 11;

is(acked($last), 'not: trimmed', 'a change that the log no longer has');
is_deeply(verdicts($r->fcall_ok('edges')),
    { map { $_ => 'trimmed' } qw(b here late) }, '... nor the edges\' version');

done_testing();
