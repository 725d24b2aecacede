#!/usr/bin/perl

# apikeyctl status: the store, its edges and the pepper here; and exit code 7
# where something needs somebody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Process;
use Apikey::Redis;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);
my ($exit, $out, $err);

$ctl->ok('init', '--lease=30s');

my $key = $ctl->key;

$ctl->key(disabled => 1);
$ctl->ok('revoke', $ctl->key->{id});

sub status {
    ($exit, $out, $err) = $ctl->run('status', '--json', @_);
    return JSON::PP->new->utf8->decode($out);
}

# As a daemon does it.
sub renew {
    my ($edge, %arg) = @_;

    my $meta = $redis->meta;

    return $redis->fcall_hash(
        'renew', $edge, boot => Apikey::Redis::hex_text(32, 7), epoch => $meta->{epoch},
        version => $meta->{version}, chain => $meta->{chain}, address => '10.0.0.7',
        software => 'apikey-sync 0.1', %arg,
    );
}

my $status = status();

is($exit, 0, 'nothing is wrong');
is_deeply([ sort keys %$status ],
          [qw(address conflicts edges epoch keys lease_ms library log_first log_length members pepper_here peppers prefix
              problems promise replica server store time version)], 'status --json');
is_deeply($status->{keys}, { enabled => 1, disabled => 1, revoked => 1 }, 'the keys');
is($status->{members}, 1, 'the members');
is($status->{promise}, 'holds', 'the promise');
is($status->{conflicts}, 0, 'no conflicts');
is($status->{version}, $redis->meta->{version}, 'the version');
is($status->{epoch}, $redis->meta->{epoch}, 'the epoch');
is($status->{lease_ms}, 30000, 'the lease');
is($status->{library}, 'current', 'the library');
is($status->{pepper_here}{state}, 'fits', 'the pepper');
like($status->{server}, qr/^(?:redis|valkey) \d/, 'the server');
is_deeply($status->{edges}, [], 'no edges');
is_deeply($status->{problems}, [], 'no problems');

$out = $ctl->ok('status');
like($out, qr/\Aholds: a change .*\nStore +\{apikey\} at unix:\S+ \((?:redis|valkey) \d\S+\)\nEpoch +[0-9a-f]{32}\nVersion +6, log from 1\nLease +30000 ms\n/, 'status');
like($out, qr/^Keys +1 enabled, 1 disabled, 1 revoked\n/m, 'its keys');
like($out, qr/^Edges +none has ever renewed\n\z/m, 'its edges');
is($ctl->ok('status', '--quiet'), '', 'status --quiet');

# ---- edges ------------------------------------------------------------------

is(renew('edge-b')->{verdict}, 'ok', 'an edge renews');
is(renew('edge-a')->{verdict}, 'ok', 'and another');
$ctl->ok('disable', $key->{id});

$status = status();
is($exit, 0, 'an edge that is behind, within its lease, is no problem');
is_deeply([ map { $_->{name} } @{ $status->{edges} } ], [qw(edge-a edge-b)], 'edges by name');

my $edge = $status->{edges}[0];

is_deeply([ sort keys %$edge ], [qw(address age_ms behind late_ms lease_left_ms name renewed software state verdict version)], 'an edge');
is($edge->{behind}, 1, 'is behind by one');
is($edge->{version}, $status->{version} - 1, 'at its version');
is($edge->{address}, '10.0.0.7', 'its address');
is($edge->{verdict}, 'ok', 'its history');
is($edge->{state}, 'live', 'its state');
is($status->{promise}, 'holds', 'and the promise holds');
cmp_ok($edge->{age_ms}, '<', 10000, 'its age');

renew('edge-a');
like($ctl->ok('status'), qr/^EDGE +STATE +VERSION +BEHIND +LEASE +RENEWED +VERDICT +ADDRESS +SOFTWARE\nedge-a +live +7 +0 +30\.\d s left +0\.\d s ago +ok +10\.0\.0\.7 +apikey-sync 0\.1\nedge-b +live +6 +1 /m,
     'a table of them');

# one that has been silent for an hour, as the store tells it
my $renewal = $redis->ok('HGET', '{apikey}:edges', 'edge-b');

$renewal =~ s/"at":(\d+)/'"at":' . ($1 - 3_600_000)/e or die $renewal;
$redis->ok('HSET', '{apikey}:edges', 'edge-b', $renewal);

$status = status();
is($exit, 7, 'a silent edge: exit 7');
is(scalar @{ $status->{problems} }, 1, 'one problem');
like($status->{problems}[0], qr/^edge edge-b is silent: it has not renewed for 360\d\.\d s, and the lease is 30\.0 s/, 'that names it');
like($status->{problems}[0], qr/apikeyctl edges forget edge-b\)$/, 'and says how to forget it');
is($status->{promise}, 'bounded', 'the promise: the lease is the bound there');
like(($ctl->run('status'))[1], qr/\Abounded: /, 'as the first word says');
($exit, $out) = $ctl->run('status');
is($exit, 7, 'for people too');
like($out, qr/^Problem +edge edge-b is silent/m, 'and named');
is(($ctl->run('status', '--quiet'))[0], 7, 'and for scripts');
$redis->ok('HDEL', '{apikey}:edges', 'edge-b');

$renewal = $redis->ok('HGET', '{apikey}:edges', 'edge-a');
$renewal =~ s/"epoch":"./'"epoch":"' . ($& =~ m{f$} ? 'e' : 'f')/e or die $renewal;
$redis->ok('HSET', '{apikey}:edges', 'edge-a', $renewal);
$status = status();
is($exit, 7, 'an edge of another epoch');
like($status->{problems}[0], qr/^edge edge-a has last acknowledged another history than the store's \(epoch\)/, 'is named');
is($status->{promise}, 'bounded', 'and bounded');

# one that renews, but lacks a change of an hour ago
renew('edge-a');
$ctl->ok('enable', $key->{id});
{
    my ($last, $before) = @{ $redis->ok('XREVRANGE', '{apikey}:log', '+', '-', 'COUNT', 2) };
    my %field = @{ $last->[1] };

    $field{entry} =~ s/"at":(\d+)/'"at":' . ($1 - 3_600_000)/e or die $field{entry};
    $redis->ok('DEL', '{apikey}:log');
    $redis->ok('XADD', '{apikey}:log', $before->[0], @{ $before->[1] });
    $redis->ok('XADD', '{apikey}:log', $last->[0], map { $_ => $field{$_} } qw(chain entry));
}
$status = status();
is($exit, 7, 'an edge that lacks a change for an hour');
like($status->{problems}[0], qr/^edge edge-a is behind: it has not acknowledged a change that is 360\d\.\d s old/, 'is named');
is($status->{promise}, 'bounded', 'and bounded');
is($status->{edges}[0]{behind}, 1, 'by one');
cmp_ok($status->{edges}[0]{late_ms}, '>', 3_500_000, 'for so long');

$redis->ok('HSET', '{apikey}:edges', 'edge-a', 'no JSON');
$status = status();
is($exit, 7, 'an entry that is no JSON');
like($status->{problems}[0], qr/^edge edge-a has an entry that cannot be read/, 'is named');
$redis->ok('DEL', '{apikey}:edges');

# ---- the library ------------------------------------------------------------

open my $fh, '<:raw', $redis->library or die $!;
$redis->ok('FUNCTION', 'LOAD', 'REPLACE', do { local $/; readline $fh } . "\n-- another\n");
$status = status();
is($exit, 7, 'another library');
is($status->{library}, 'different', 'is seen');
like($status->{problems}[0], qr/apikeyctl library loads it/, 'and what to do');
is($status->{promise}, 'broken', 'nobody knows what it promises');
$ctl->ok('library');

# ---- a store that takes no changes -------------------------------------------

$redis->ok('CONFIG', 'SET', 'min-replicas-to-write', 1);
$status = status();
is($exit, 7, 'a store that takes no changes');
is($status->{promise}, 'broken', 'keeps no promise');
like($status->{problems}[0], qr/^the store takes no changes, and edges cannot renew their leases \(NOREPLICAS\)/, 'says why');
$redis->ok('CONFIG', 'SET', 'min-replicas-to-write', 0);

my $version = $redis->meta->{version};

is(status()->{promise}, 'holds', 'and holds again');
is($redis->meta->{version}, $version, 'to find that out changes nothing');

# ---- conflicts ---------------------------------------------------------------

$redis->fcall_hash('conflicts_put', 'edge-a', boot => 'b' x 32, total => 2, keys => "$key->{id}:3:1700000000000");
$status = status();
is($exit, 7, 'a conflict');
is($status->{promise}, 'broken', 'breaks the promise');
is($status->{conflicts}, 2, 'how many');
like($status->{problems}[0], qr/^edge edge-a refuses 2 keys that it has seen revoked .*: apikeyctl conflicts$/, 'and what to do');
$redis->fcall_hash('conflicts_put', 'edge-a', boot => 'b' x 32, total => 0);

# ---- the pepper here --------------------------------------------------------

my $pepper = $ctl->pepper;
my $ring   = Apikey::Ctl::read_file($pepper);

for my $row (
    [ 'absent',    0, sub { unlink $pepper } ],
    [ 'refused',   7, sub { write_pepper($ring); chmod 0644, $pepper }, qr/pepper file/ ],
    [ 'refused',   7, sub { write_pepper("p1:short\n") }, qr/pepper file/ ],
    [ 'differs',   7, sub { write_pepper('p1:' . 'A' x 43 . "=\n") }, qr/which the store does not know: keys cannot be created/ ],
    [ 'differs',   7, sub { write_pepper('p2:' . 'A' x 43 . "=\n$ring") }, qr/has p2:[0-9a-f]{16} first, which the store does not know/ ],
    [ 'fits',      0, sub { write_pepper($ring . 'p2:' . 'A' x 43 . "=\n") } ],
) {
    my ($state, $want, $change, $says) = @$row;

    $change->();
    $status = status();
    is($exit, $want, "a pepper file that is $state: exit $want");
    is($status->{pepper_here}{state}, $state, 'its state');
    like($status->{problems}[0], $says, 'the problem') if $says;
    is_deeply($status->{problems}, [], 'no problem') if !$says;
    unlike($out . $err, qr/AAAA/, 'and never the secret');
}

write_pepper('p1:' . 'A' x 43 . "=\n");
$status = status();
is(scalar(grep { /does not have p1:\w+, which the store's keys need/ } @{ $status->{problems} }), 1,
   'and that keys cannot be checked with it');

done_testing;

sub write_pepper {
    unlink $pepper;
    Apikey::Ctl::write_file($pepper, $_[0]);
    chmod 0600, $pepper or die $!;

    return;
}
