#!/usr/bin/perl

# Conflicts: what edges report of revocations that the store has lost, and how
# each is settled, once for all or for as long as the key lives.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S    = '{apikey}';
my $BOOT = 'b' x 32;

my $r = Apikey::Redis->start->load_library;

my $epoch    = $r->init->{epoch};
my $listener = $r->connect;
my $marks    = 0;

$listener->ok('PSUBSCRIBE', '*');

sub published {
    my $mark = 'mark ' . ++$marks;
    my $n    = 0;

    $r->ok('PUBLISH', 'mark', $mark);
    $n++ while $listener->read_reply(5)->[3] ne $mark;

    return $n;
}

# An edge reports "<key id>:<version>:<stamp>" of each key.
sub report {
    my ($edge, @keys) = @_;

    return $r->fcall_hash('conflicts_put', $edge, boot => $BOOT,
        total => scalar @keys, keys => "@keys");
}

sub conflicts {
    return { map { $_->[0] => JSON::PP::decode_json($_->[1]) }
             @{ $r->fcall_ok('conflicts') } };
}

sub settle {
    my ($id, $as, %arg) = @_;

    return $r->fcall_hash('settle', $id, as => $as, actor => 'ops', %arg);
}

sub refused {
    my ($what, $error, $text, @call) = @_;

    published();

    my $before = $r->fingerprint;
    my $reply  = $r->fcall(@call);

    ok(ref $reply eq 'Apikey::Redis::Error' && $reply->name eq $error
        && $reply =~ $text && $r->fingerprint eq $before && published() == 0,
        "$error: $what")
        or diag(ref $reply eq 'ARRAY' ? "answered @$reply" : $reply);
}

sub last_entry {
    my ($entry) = @{ $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 1) };

    return JSON::PP::decode_json($entry->[1][3]);
}

# ---- reports -----------------------------------------------------------------

my ($id, $id_2, $id_3) = map { $r->create->{id} } 1 .. 3;
my $version = $r->meta->{version};

published();
is_deeply(conflicts(), {}, 'none at first');

my $put = report('e2', "$id:2:1000", "$id_2:7:2000");

is_deeply($put, { edge => 'e2', total => 2, at => $put->{at} }, 'reported');
is_deeply(conflicts(), { e2 => { boot => $BOOT, total => '2',
    keys => "$id:2:1000 $id_2:7:2000", at => $put->{at} + 0 } }, '... is kept');
ok(abs($put->{at} - $r->meta->{time}) < 60000, '... with its time');

report('e1', "$id:3:1500");
is_deeply([map { $_->[0] } @{ $r->fcall_ok('conflicts') }], ['e1', 'e2'],
    'ordered by edge');
report('e2', "$id_2:7:2000");
is(conflicts()->{e2}{keys}, "$id_2:7:2000", 'replaced by the next');
report('e2');
is_deeply([keys %{ conflicts() }], ['e1'], 'a total of 0 takes it away');
is_deeply(report('e2')->{total}, 0, '... and again');

$r->fcall_ok('conflicts_put', 'e2', boot => $BOOT, total => 5);
is_deeply([@{ conflicts()->{e2} }{qw(total keys)}], ['5', ''],
    'more than are named');
is(report('0123456789azAZ_.:-' . 'e' x 46,
        map { Apikey::Redis::key_id($_) . ':281474976710655:9999999999999' }
        1 .. 100)->{total}, 100, 'a hundred of the longest');
$r->fcall_ok('conflicts_put', '0123456789azAZ_.:-' . 'e' x 46, boot => $BOOT,
    total => 0);

is($r->meta->{version}, $version, 'reports are no changes');
is(published(), 0, '... and publish nothing');

# ---- accepting ---------------------------------------------------------------

report('e1', "$id:3:1500", "$id_2:7:2000");
report('e2', "$id:2:1000", "$id_3:9:3000");

my $before = $r->fcall_hash('get', $id);

published();

my $answer = settle($id, 'accepted', reason => 'restored on purpose');
my $after  = $r->fcall_hash('get', $id);

is_deeply($answer, { id => $id, version => $version + 1, epoch => $epoch,
    at => $answer->{at}, status => 'enabled', changed => 1,
    accepted => '2:1000 3:1500', head => $version + 1,
    chain => $r->meta->{chain} },
    'accepted: what all edges hold of this key, the newest last');
is(published(), 1, '... and published');
is_deeply($after, { %$before, accepted => '2:1000 3:1500',
    version => $version + 1, updated => $answer->{at}, updated_by => 'ops',
    reason => 'restored on purpose' }, '... stands in the record');
is_deeply(last_entry(), { op => 'settle', at => $answer->{at} + 0,
    actor => 'ops', reason => 'restored on purpose',
    key => $after },
    '... and the whole record in the log');
is($r->ok('ZSCORE', "$S:status:enabled", $id), $after->{created_version},
    '... whose status is what it was');
is_deeply([$r->fcall_ok('list')->[1][2]], [$r->fcall_ok('get', $id)],
    '... and listed');

is_deeply(settle($id, 'accepted'), { %$answer, changed => 0 },
    'again: nothing is left to accept');
is_deeply($r->fcall_hash('get', $id), $after, '... nothing changes');

report('e1', "$id:3:1500");
report('e2', "$id:12:900", "$id:11:900", "$id:3:1500");
is(settle($id, 'accepted')->{accepted}, '2:1000 3:1500 11:900 12:900',
    'what is new comes behind, by its time and version');

# a key that the store has disabled stays so
report('e1', "$id_2:7:2000");
report('e2');
$r->set_status($id_2, 'disabled');
is_deeply([@{ settle($id_2, 'accepted') }{qw(status changed accepted)}],
    ['disabled', 1, '7:2000'], 'a disabled key stays disabled');
is_deeply([$r->set_status($id_2, 'enabled')->{status},
           $r->fcall_hash('get', $id_2)->{accepted}], ['enabled', '7:2000'],
    '... what was accepted stays when it is enabled');
is(last_entry()->{key}{accepted}, '7:2000', '... in the log too');
is(settle($id_2, 'accepted')->{changed}, 0, '... and needs no more');

# ---- a revocation of its own -------------------------------------------------

$r->set_status($id_2, 'revoked');
is($r->fcall_hash('get', $id_2)->{accepted}, undef,
    'the next revocation takes away what was accepted');
ok(!exists last_entry()->{key}{accepted}, '... in the log too');
refused('accepting for a key that the store has revoked', 'REVOKED',
    qr/key $id_2 is revoked in the store too/, 'settle', $id_2,
    as => 'accepted', actor => 'ops');
is_deeply([@{ settle($id_2, 'revoked') }{qw(status changed accepted)}],
    ['revoked', 0, ''], 'revoking it once more changes nothing');

# ---- revoking ----------------------------------------------------------------

report('e1', "$id:30:5000");
$answer = settle($id, 'revoked', reason => 'it was so');
$after  = $r->fcall_hash('get', $id);
is_deeply($answer, { id => $id, version => $after->{version},
    epoch => $epoch, at => $after->{updated}, status => 'revoked',
    changed => 1, accepted => '', head => $after->{version},
    chain => $r->meta->{chain} }, 'settled: revoked in the store too');
is_deeply([@$after{qw(status accepted reason)}],
    ['revoked', undef, 'it was so'], '... the record');
is(last_entry()->{op}, 'settle', '... by an entry of its own');
is_deeply(last_entry()->{key}, $after, '... with the whole record');
is_deeply([map { defined $r->ok('ZSCORE', "$S:$_", $id) ? 1 : 0 }
           map { ("status:$_", "tenant:ten_1:$_") }
           qw(enabled disabled revoked)], [0, 0, 0, 0, 1, 1],
    '... and the indexes');
refused('enabling it', 'REVOKED', qr/for ever/, 'set_status', $id, 'enabled',
    actor => 'ops');

# ---- no conflict -------------------------------------------------------------

my @bad = (
    '', 'junk', '[]', 'null', '7', '{"keys":7}', '{"keys":null}',
    "{\"total\":\"1\"}", "{\"keys\":[\"$id_3:2:3\"]}", "{\"keys\":\"$id_3\"}",
    "{\"keys\":\"$id_3:2:3 \"}", "{\"keys\":\"$id_3:0:3\"}",
    "{\"keys\":\"x $id_3:2:3\"}", "{\"keys\":\"$id_3:2:3,4:5\"}",
    "{\"keys\":\"$id_3:2:99999999999999\"}",
);

report($_) for qw(e1 e2);

for my $as (qw(accepted revoked)) {
    refused("$as, nobody reports any", 'NOCONFLICT', qr/the key $id_3\b/,
        'settle', $id_3, as => $as, actor => 'ops');
    report('e1', "$id_2:7:2000");
    refused("$as, nobody reports this key", 'NOCONFLICT', qr/the key $id_3\b/,
        'settle', $id_3, as => $as, actor => 'ops');

    for my $junk (@bad) {
        $r->ok('HSET', "$S:conflicts", 'e3', $junk);
        refused("$as, '$junk' in conflicts", 'NOCONFLICT', qr/$id_3/,
            'settle', $id_3, as => $as, actor => 'ops');
    }

    refused("$as, no such key", 'NOKEY', qr/no key/, 'settle',
        Apikey::Redis::key_id(99), as => $as, actor => 'ops');
}

is_deeply([map { $_->[1] } @{ $r->fcall_ok('conflicts') }[1]], [$bad[-1]],
    'what somebody else wrote there is shown as it is');

report('e1', "$id_3:2:3");
is(settle($id_3, 'accepted')->{accepted}, '2:3',
    '... and keeps no other report from being settled');

# ---- sixteen -----------------------------------------------------------------

$r->ok('DEL', "$S:conflicts");
report('e1', map { "$id_3:$_:1000" } 3 .. 17);
is(settle($id_3, 'accepted')->{accepted},
    join(' ', '2:3', map { "$_:1000" } 3 .. 17), 'sixteen');
report('e1', "$id_3:18:1000", "$id_3:19:1000");
is(settle($id_3, 'accepted')->{accepted},
    join(' ', map { "$_:1000" } 4 .. 19), '... of more, the newest');
is($r->fcall_hash('get', $id_3)->{version}, $r->meta->{version},
    '... and the record can be read');

# ---- an edge that is taken out -----------------------------------------------

report('e9', "$id_3:50:1000");
is($r->fcall_hash('edge_forget', 'e9', actor => 'ops')->{edge}, 'e9',
    'an edge that never renewed, only reported, can be forgotten');
is_deeply([sort keys %{ conflicts() }], ['e1'], '... with its conflicts');
$r->ok('HSET', "$S:edges", 'e1', '{"at":1}');
$r->fcall_hash('edge_forget', 'e1', actor => 'ops');
is_deeply(conflicts(), {}, '... and so can one that did both');
refused('once they are gone', 'NOCONFLICT', qr/$id_3/, 'settle', $id_3,
    as => 'accepted', actor => 'ops');

# ---- the same, with a token, after the fact ----------------------------------

{
    report('e1', "$id_3:50:1000");

    my @call = ('settle', $id_3, as => 'accepted', actor => 'ops',
                token => 't' x 16);
    my $first = $r->fcall_ok(@call);

    report('e1');
    $r->set_status($id_3, 'revoked');
    is_deeply($r->fcall_ok(@call), [@$first, replayed => 1],
        'a settlement sent again after a revoke is its old answer');
    is_deeply([@{ $r->fcall_hash('get', $id_3) }{qw(status accepted)}],
        ['revoked', undef], '... and the key stays revoked');
}

done_testing();
