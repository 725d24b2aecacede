#!/usr/bin/perl

# make soak: rounds of faults under load until the time is over, each judged by
# Soak::Oracle; docs/internals.md, Tests, says how to read what it tells.
#
# In the environment: SEED (of the first round; each next one has the next
# number), MINUTES, ROUND (seconds of faults in a round), EDGES, CLIENTS (of an
# edge), CHANGERS, FAULTS (names, if not all).  Ends with 1 if there was a
# violation.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";

use File::Path qw(make_path);
use JSON::PP ();
use List::Util qw(max);

use Soak::History ();

$| = 1;

my $build   = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";
my $seed    = $ENV{SEED}         || 1 + time % 1_000_000;
my $minutes = $ENV{MINUTES}      // 10;
my %opt     = (
    seconds  => $ENV{ROUND}    || 45,
    edges    => $ENV{EDGES}    || 3,
    clients  => $ENV{CLIENTS}  || 2,
    changers => $ENV{CHANGERS} || 4,
    faults   => $ENV{FAULTS}   // '',
    dir      => "$build/soak",
);

make_path($opt{dir});

my $begin  = Soak::History::now();
my $rounds = 0;
my (%total, %healing, %rules);

print "soak: SEED=$seed MINUTES=$minutes ROUND=$opt{seconds} EDGES=$opt{edges} "
    . "CLIENTS=$opt{clients} CHANGERS=$opt{changers} FAULTS='$opt{faults}'\n";

while (!$rounds || Soak::History::now() < $begin + 60 * $minutes) {
    round($seed + $rounds++);
}

summary();
exit(%rules ? 1 : 0);

# In a process of its own, so that each begins with nothing.
sub round {
    my ($seed) = @_;

    my $file = "$opt{dir}/result.$$";
    my $status = system $^X, "$FindBin::Bin/round.pl", $file, "seed=$seed",
                        map { "$_=$opt{$_}" } sort keys %opt;

    if ($status != 0) {
        print "the round of SEED=$seed failed\n";
        exit 130 if ($status & 127) == 2;
        $rules{'a round failed'}++;
        return;
    }

    open my $in, '<', $file or die "$file: $!\n";

    my $result = JSON::PP::decode_json(do { local $/; readline $in });

    unlink $file;

    for my $what (qw(checks changes faults)) {
        $total{$what}{$_} += $result->{$what}{$_} for keys %{ $result->{$what} };
    }

    for (keys %{ $result->{healing} }) {
        $healing{$_} = max($healing{$_} // 0, $result->{healing}{$_});
    }

    $rules{ $_->{rule} }++ for @{ $result->{violations} };

    return;
}

sub summary {
    printf "\n%d rounds, %.1f minutes, SEED %d to %d\n", $rounds,
        (Soak::History::now() - $begin) / 60, $seed, $seed + $rounds - 1;
    table("\u$_", $total{$_}) for qw(checks changes faults);

    print "\nLongest time after a fault for which a gate still said 503, ms\n";
    printf "  %9.0f  %s\n", 1000 * $healing{$_}, $_
        for sort { $healing{$b} <=> $healing{$a} } keys %healing;

    table('Violations', \%rules);
    print "none\n" if !%rules;

    return;
}

sub table {
    my ($title, $count) = @_;

    my $sum = 0;

    $sum += $_ for values %$count;
    print "\n$title: $sum\n";
    printf "  %9d  %s\n", $count->{$_}, $_
        for sort { $count->{$b} <=> $count->{$a} || $a cmp $b } keys %$count;

    return;
}
