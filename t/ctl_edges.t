#!/usr/bin/perl

# apikeyctl edges: who is live, how far, for how long yet; and forget.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Test::More;

my $TIME  = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);
my ($exit, $out, $err);

$ctl->ok('init', '--lease=30s');

is($ctl->ok('edges'), "EDGE  STATE  VERSION  BEHIND  LEASE  RENEWED  VERDICT  ADDRESS  SOFTWARE\n", 'no edges: the head alone');
is_deeply($ctl->json('edges'), [], 'and an empty array');
is($ctl->ok('edges', '--quiet'), '', 'and nothing');

# ---- a real one --------------------------------------------------------------

my $key    = $ctl->key->{id};
my $daemon = Apikey::Daemon->start(redis => $redis, edge => 'real-1')->wait_ready;

$ctl->ok('disable', $key, '--wait');

like($ctl->ok('edges'), qr/^real-1 +live +4 +0 +30\.\d s left +0\.\d s ago +ok +\S+ +apikey-sync\S+\n\z/m, 'a real one');
is($ctl->ok('edges', '--quiet'), "real-1\n", 'its name');
$daemon->stop;

# ---- made up -----------------------------------------------------------------

sub renew {
    my ($edge, %arg) = @_;

    my $meta = $redis->meta;

    return $redis->fcall_hash('renew', $edge, boot => 'b' x 32, epoch => $meta->{epoch}, version => $meta->{version},
                              chain => $meta->{chain}, %arg);
}

# Its last renewal was so many milliseconds ago, or whatever the sub makes of
# its JSON.
sub rewrite {
    my ($edge, $sub) = @_;

    local $_ = $redis->ok('HGET', '{apikey}:edges', $edge);

    my $before = $_;

    ref $sub ? $sub->() : s/"at":(\d+)/'"at":' . ($1 - $sub)/e;
    $_ ne $before or die "nothing changed: $_";
    $redis->ok('HSET', '{apikey}:edges', $edge, $_);

    return;
}

renew('behind');
rewrite('behind', 10_000);
$ctl->ok('enable', $key);
renew('current');

my %edge = map { $_->{name} => $_ } @{ $ctl->json('edges') };

is_deeply([ sort keys %{ $edge{behind} } ], [qw(address age_ms behind late_ms lease_left_ms name renewed software state verdict version)],
          'an edge, for programs');
is($edge{behind}{state}, 'live', 'one that is behind is live');
is($edge{behind}{behind}, 1, 'by so many');
cmp_ok($edge{behind}{late_ms}, '>', 0, 'and for so long');
cmp_ok($edge{behind}{age_ms}, '>=', 10_000, 'it has renewed so long ago');
cmp_ok($edge{behind}{lease_left_ms}, '<=', 30_000 * 1.02 + 101 - 10_000, 'and its lease lasts so long yet');
cmp_ok($edge{behind}{lease_left_ms}, '>', 10_000, 'which is more than it was');
like($edge{behind}{renewed}, qr/\A$TIME\z/, 'a time');
is($edge{current}{behind}, 0, 'one that is not');
is($edge{current}{late_ms}, 0, 'lacks nothing');

# each thing that is wrong, and the exit code that says so
for my $row (
    [ 'silent',   qr/^odd +silent +5 +0 +over +$TIME +ok /m,     60_000 ],
    [ 'epoch',    qr/^odd +live +5 +0 +30\.\d s left .* epoch /m, sub { s/"epoch":"../"epoch":"00/ } ],
    [ 'fork',     qr/^odd +live +5 .* fork /m,                   sub { s/"chain":"../"chain":"zz/; s/zz/00/ } ],
    [ 'ahead',    qr/^odd +live +6 .* ahead /m,                  sub { s/"version":"5"/"version":"6"/ } ],
    [ 'no JSON',  qr/^odd +silent +0 +5 +over +never +epoch /m,  sub { $_ = 'no JSON' } ],
) {
    my ($what, $says, $do) = @$row;

    is(($ctl->run('edges'))[0], 0, "before $what all is well");
    renew('odd');
    rewrite('odd', $do);
    ($exit, $out, $err) = $ctl->run('edges');
    is($exit, 7, "$what: exit 7");
    like($out, $says, 'and it shows');
    is(($ctl->run('edges', '--quiet'))[0], 7, 'for scripts too');
    $redis->ok('HDEL', '{apikey}:edges', 'odd');
}

# ---- forget ------------------------------------------------------------------

($exit, $out, $err) = $ctl->run('edges', 'forget', 'nobody');
is($exit, 1, 'forget of one that is not there');
like($err, qr/no edge has the name nobody \(NOEDGE\)\n  the names of all: apikeyctl edges\n/, 'is refused');
($exit, $out, $err) = $ctl->run('edges', 'forget', 'current');
is($exit, 1, 'forget of one that is live');
like($err, qr/\(LIVE\)\n  stop its daemon, and try again when apikeyctl edges calls it silent\n/, 'is refused');
is(($ctl->run('edges', 'forget', 'a b'))[0], 2, 'a name that is none is a mistake');
is(($ctl->run('edges', 'forget', 'a@b'))[0], 2, 'and so is this one');

# the last moment of its lease, and the first behind it, are the store's
rewrite('current', 60_000);
like($ctl->ok('edges', 'forget', 'current', '--reason=sold', '--actor=ops'), qr/\Acurrent  forgotten  version 6\n\z/, 'forget of one that is silent');
ok(!(grep { $_->{name} eq 'current' } @{ $ctl->json('edges') }), 'and it is gone');

my ($entry) = @{ $redis->ok('XREVRANGE', '{apikey}:log', '+', '-', 'COUNT', 1) };

like($entry->[1][3], qr/"op":"forget".*"actor":"ops","reason":"sold","edge":\{"name":"current"/, 'the log has it');

renew('a');
renew('b');
rewrite($_, 60_000) for qw(a b behind real-1);
($exit, $out, $err) = $ctl->run('edges', 'forget', 'a', '--wait=100ms');
is($exit, 8, 'forget --wait: what is silent still has not acknowledged that');
like($out, qr/\Anot proven .*\nChange +a forgotten, version 7\n/, 'says the receipt');

my $json = $ctl->json('edges', 'forget', 'b');

is_deeply([ sort keys %$json ], [qw(at epoch name version)], 'with --json');
is($json->{name}, 'b', 'its name');
is($json->{version}, 8, 'the version');

done_testing;
