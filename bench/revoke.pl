#!/usr/bin/perl

# make bench-revoke: runs bench/revoke.c against a stack of its own, while
# nothing else happens and while the edge is busy.  KEYS=1000000, ROUNDS=3000,
# WORKERS=2, RATE=5000 (changes a second) and GROWTHS=2 may be set, and
# SITUATIONS='idle resync growth changes' takes some of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../demo";
use lib $FindBin::Bin;

use IPC::Open2;

use Bench;

my $keys    = $ENV{KEYS}    || 1_000_000;
my $rounds  = $ENV{ROUNDS}  || 3000;
my $workers = $ENV{WORKERS} || 2;
my $rate    = $ENV{RATE}    || 5000;
my $growths = $ENV{GROWTHS} || 2;

# two keys a round, and a growth may last for so many rounds
my $max       = $rounds > 20_000 ? $rounds : 20_000;
my $churned   = 1000;    # keys that are changed again and again
my %situation = (
    idle => [ 'nothing else happens', sub { order("idle $rounds") } ],
    resync => [ "while $keys keys are read from the store, again and again",
                sub { order("resync $rounds") } ],
    growth  => [ "while a table of $keys keys grows", \&growth ],
    changes => [ "while $rate changes a second arrive", \&changes ],
);
my @situations = split ' ', $ENV{SITUATIONS} // 'idle resync growth changes';

for (@situations) {
    die "no situation is called $_: take some of idle resync growth changes\n"
        if !$situation{$_};
}

my $need = $churned + 2 * $rounds * @situations + 1000;

die "KEYS=$keys: $rounds rounds need $need\n" if $keys < $need;

my $bench = Bench->new(workers => $workers);
my $stack = $bench->{stack};

$bench->fill(0, $keys);
$bench->start_sync;

my $pid = open2(my $from, my $to, "$stack->{build}/bench/revoke",
    $stack->{redis}, $bench->{store}, $stack->{pepper}, $stack->{port}, '/gate',
    $workers, $stack->{table}, $churned, $max);

$to->autoflush;

for (@situations) {
    my ($what, $run) = @{ $situation{$_} };

    print STDERR "$_: $what\n";
    $run->();
    print "$_: $what\n";
    print {$to} "report\n";

    while (defined(my $line = readline $from)) {
        print $line;
        last if $line eq "\n";
    }
}

close $to;
waitpid $pid, 0;
exit($? ? 1 : 0);

sub order {
    my ($order) = @_;

    print {$to} "$order\n";

    my $line = readline $from;

    die "revoke has ended\n" if !defined $line || $line ne "done\n";

    return;
}

# Brings the table to the brink, so that one more key makes it grow.
sub growth {
    my $count = $keys;

    for (1 .. $growths) {
        my %table = $bench->control;
        my $brink = int($table{slots} * 60 / 100);

        $bench->fill($count, $brink);
        $bench->wait_settled;
        order("growth $brink");
        $count = $brink + 1;
    }

    return;
}

sub changes {
    my $churn = open2(my $said, my $told, "$stack->{build}/bench/churn",
        $stack->{redis}, $bench->{store}, 0, $churned, $rate);

    order("idle $rounds");
    close $told;
    print STDERR '  ', readline $said;
    waitpid $churn, 0;
    $bench->wait_settled;

    return;
}
