#!/usr/bin/perl

# make bench-wait: how long `apikeyctl revoke --wait` takes with three edges,
# all of them live and with one killed, and how soon an edge is back after
# kill -9 of its daemon.  KEYS=100000 (of the recovery), ROUNDS=500, KILLS=3
# and RECOVERIES=10 may be set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../demo";
use lib $FindBin::Bin;

use Time::HiRes qw(sleep time);

use Bench;

my $keys       = $ENV{KEYS}       || 100_000;
my $rounds     = $ENV{ROUNDS}     || 500;
my $kills      = $ENV{KILLS}      || 3;
my $recoveries = $ENV{RECOVERIES} || 10;

my $LEASE = 5000;    # milliseconds
my $need  = $rounds + $kills + 10;

die "KEYS=$keys: $rounds rounds need $need\n" if $keys < $need;

my $bench = Bench->new(lease => "${LEASE}ms");
my $stack = $bench->{stack};
my $next  = 0;                                   # key

$bench->fill(0, $need);
$bench->start_sync;
$bench->start_edge($_) for qw(edge-2 edge-3);
$bench->wait_settled($_) for values %{ $bench->{edges} };

# ---- three live edges --------------------------------------------------------

print STDERR "three live edges\n";
revoke() for 1 .. 10;

my @live = map { revoke() } 1 .. $rounds;

Bench::head("$rounds revokes, three live edges; milliseconds");
Bench::row('apikeyctl revoke --wait: its start to its end',
    map { $_->{took} } @live);
Bench::row('the answer of the store to the proof',
    map { $_->{waited} } @live);
Bench::row('the answer of the store to the last acknowledgement',
    map { $_->{last} } @live);
print "\n";

# ---- one of them killed ------------------------------------------------------

print STDERR "one of three edges is killed\n";

my @killed;

for (1 .. $kills) {
    $bench->kill_edge('edge-3');
    push @killed, revoke();
    $bench->start_edge('edge-3');
    $bench->wait_settled($bench->{edges}{'edge-3'});
}

Bench::head("$kills revokes, each right after one of three edges was killed");
Bench::row('apikeyctl revoke --wait: its start to its end',
    map { $_->{took} } @killed);
printf "%-54s %8s %8s %8s %8s %8.3f\n\n", '1.02 leases and half a second', ('') x 4,
    1.02 * $LEASE + 500;

# ---- a daemon that comes back ------------------------------------------------

$bench->fill($need, $keys);
$bench->wait_settled($bench->{edges}{'edge-3'});
print STDERR "a daemon is killed and started again\n";

my @back;

for (1 .. $recoveries) {
    my $killed = $bench->kill_edge('edge-3');

    $bench->start_edge('edge-3');

    my $pid = $stack->alive('edge-3');

    Stack::wait_for(60, sub {
        my %control = $bench->control($bench->{edges}{'edge-3'});

        return ($control{pid} // 0) == $pid && $control{renewed};
    });
    push @back, (time - $killed) * 1000;
    $bench->wait_settled($bench->{edges}{'edge-3'});
}

Bench::head("$recoveries times kill -9 of a daemon with $keys keys; milliseconds");
Bench::row('kill -9 to a lease that the next daemon renewed', @back);

# Revokes the next key with --wait: milliseconds.
sub revoke {
    my $began = time;
    my $out   = $stack->ctl('revoke', sprintf('key_%020d', $next++), '--wait',
        '--json', '--reason', 'bench');
    my $took = (time - $began) * 1000;

    my ($proof)  = $out =~ /"proof"\s*:\s*"([^"]*)"/;
    my ($waited) = $out =~ /"waited_ms"\s*:\s*([\d.]+)/;
    my @ms       = $out =~ /"ms"\s*:\s*([\d.]+),\s*"version"/g;

    die "not proven: $out\n" if ($proof // '') ne 'proven';

    return { took => $took, waited => $waited,
             last => (sort { $a <=> $b } @ms)[-1] };
}
