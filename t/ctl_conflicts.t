#!/usr/bin/perl

# Conflicts: keys that edges saw revoked and that the store has forgotten to
# be; and how one ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Terminal;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);
my ($exit, $out, $err);

$ctl->ok('init');

my @keys = map { $ctl->key(name => "Key $_")->{id} } 1 .. 4;
my $gone = 'key_' . '0' x 20;
my $AT   = 1_700_000_000_000;
my $WHEN = '2023-11-14T22:13:20.000Z';

# As a daemon does it: [id, version] of each.
sub report {
    my ($edge, $total, @seen) = @_;

    return $redis->fcall_hash('conflicts_put', $edge, boot => 'b' x 32, total => $total,
                              keys => join ' ', map { "$_->[0]:$_->[1]:$AT" } @seen);
}

is($ctl->ok('conflicts'), '', 'no conflicts');
is_deeply($ctl->json('conflicts'), { conflicts => [], edges => [] }, 'with --json');

report('edge-1', 2, [ $keys[0], 41 ], [ $gone, 42 ]);
report('edge-2', 7, [ $keys[0], 41 ], [ $keys[1], 43 ]);
$ctl->ok('disable', $keys[1]);

($exit, $out, $err) = $ctl->run('conflicts');
is($exit, 7, 'conflicts: exit 7');
is($err, '', 'nothing on stderr');
like($out, qr/\AKEY +NAME +STATUS +EDGE +REVOKED +VERSION
$keys[0] +Key 1 +enabled +edge-1 +$WHEN +41
$keys[0] +Key 1 +enabled +edge-2 +$WHEN +41
$gone +missing +edge-1 +$WHEN +42
$keys[1] +Key 2 +disabled +edge-2 +$WHEN +43
edge-2 has 5 more, named once these are settled

These edges go on/, 'each key with the edges that hold to it');
($exit, $out, $err) = $ctl->run('conflicts', '--quiet');
is($exit, 7, 'with --quiet');
is($out, join('', map { "$_\n" } $keys[0], $gone, $keys[1]), 'the ids, each once');

($exit, $out, $err) = $ctl->run('conflicts', '--json');
is($exit, 7, 'with --json');

my $json = JSON::PP->new->utf8->decode($out);

is_deeply($json->{conflicts}[0],
          { id => $keys[0], name => 'Key 1', status => 'enabled',
            edges => [ map { { name => $_, version => 41, revoked => $WHEN } } qw(edge-1 edge-2) ] }, 'a conflict');
is($json->{conflicts}[1]{status}, 'missing', 'one that the store does not know');
is_deeply([ map { "$_->{name} $_->{named}/$_->{total}" } @{ $json->{edges} } ], [ 'edge-1 2/2', 'edge-2 2/7' ], 'the reports');

# one that nobody can read is a conflict still
$redis->ok('HSET', '{apikey}:conflicts', 'edge-3', 'no JSON');
($exit, $out, $err) = $ctl->run('conflicts');
is($exit, 7, 'a report that cannot be read');
like($out, qr/^edge-3 has 1 more/m, 'counts as one');
$redis->ok('HDEL', '{apikey}:conflicts', 'edge-3');

# ---- the end of one ----------------------------------------------------------

my $before = $redis->meta->{version};

($exit, $out, $err) = $ctl->run('settle', $keys[2], '--revoke');
is($exit, 1, 'settle of a key without a conflict');
like($err, qr/\(NOCONFLICT\)\n  what there is: apikeyctl conflicts\n/, 'is refused');
($exit, $out, $err) = $ctl->run('settle', $gone, '--revoke');
is($exit, 1, 'of one that the store does not know');
like($err, qr/\(NOKEY\)/, 'is refused');
is(($ctl->run('settle', $keys[0], '--accept', '--reason=x'))[0], 2, 'to accept without a terminal needs --confirm');
is($redis->meta->{version}, $before, 'and nothing has changed');

like($ctl->ok('settle', $keys[0], '--revoke', '--actor=ops', '--reason=it was leaked'), qr/\A$keys[0]  revoked  version @{[ $before + 1 ]}\n\z/, '--revoke');
is($ctl->ok('show', $keys[0], '--quiet'), "revoked\n", 'revokes it in the store');
($exit, $out, $err) = $ctl->run('settle', $keys[0], '--accept', '--reason=x', "--confirm=$keys[0]");
is($exit, 1, 'to accept for one that is revoked');
like($err, qr/\(REVOKED\)/, 'is refused');

like($ctl->ok('settle', $keys[1], '--accept', '--actor=ops', '--reason=restored on purpose', "--confirm=$keys[1]"),
     qr/\A$keys[1]  accepted  version @{[ $before + 2 ]}\n\z/, '--accept with --confirm');

my ($entry) = @{ $redis->ok('XREVRANGE', '{apikey}:log', '+', '-', 'COUNT', 1) };

like($entry->[1][3], qr/"op":"settle".*"actor":"ops","reason":"restored on purpose".*"accepted":"43:$AT"/, 'the log has who, why and what');
is($ctl->ok('show', $keys[1], '--quiet'), "disabled\n", 'the status stays');
like($ctl->ok('settle', $keys[1], '--accept', '--reason=x', "--confirm=$keys[1]"), qr/  already accepted  /, 'again');

$json = $ctl->json('settle', $keys[1], '--accept', '--reason=x', "--confirm=$keys[1]", '--wait');
is_deeply([ sort keys %$json ], [qw(as at changed epoch id receipt version)], 'with --json and --wait');
is($json->{as}, 'accepted', 'as what');
is($json->{receipt}{proof}, 'proven', 'and proven');

# ---- typed -------------------------------------------------------------------

for my $row (
    [ 'the id',       $keys[3],      0, '3:' ],
    [ 'yes',          'yes',         1, undef ],
    [ 'another id',   $keys[0],      1, undef ],
    [ 'nothing',      '',            1, undef ],
) {
    my ($what, $answer, $want, $accepted) = @$row;

    $redis->ok('HDEL', "{apikey}:key:$keys[3]", 'accepted');
    report('edge-1', 1, [ $keys[3], 3 ]);
    ($exit, $out) = Apikey::Terminal::typed($ctl, [ 'settle', $keys[3], '--accept', '--reason=x' ], qr/to accept: /, "$answer\n");
    is($exit, $want, "to accept, typed $what: exit $want");
    like($out, qr/$keys[3]  Key 4  of ada  enabled in the store\r\nedge-1 saw it revoked at $WHEN, version 3\r\n/, 'it showed what it is about');
    is(!!$redis->ok('HGET', "{apikey}:key:$keys[3]", 'accepted'), !!$accepted, $accepted ? 'and it is accepted' : 'and nothing is accepted');
}

done_testing;
