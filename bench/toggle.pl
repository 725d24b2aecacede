#!/usr/bin/perl

# make bench-toggle: runs bench/toggle.c against a stack of its own.
# ROUNDS=1000 and WORKERS=2 may be set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../demo";

use Stack;

my $build   = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";
my $rounds  = $ENV{ROUNDS}       || 1000;
my $workers = $ENV{WORKERS}      || 2;

my $stack = Stack->new(
    dir     => "$build/demo/bench",
    workers => $workers,
    conf    => <<'CONF',
        location = /gate {
            apikey on;
            access_log off;
            add_header X-Worker $pid always;
            empty_gif;
        }
CONF
);

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
$stack->lock;

END {
    if ($stack && $stack->{lock}) {
        my $status = $?;

        $stack->stop;
        $? = $status;
    }
}

$stack->start;
my ($id, $text) = $stack->make_key;
my $digest = `redis-cli -s '$stack->{redis}' hget '{apikey}:key:$id' digest`;

open my $bench, '|-', "$stack->{build}/bench/toggle", $stack->{redis}, '{apikey}', $id,
    $stack->{port}, '/gate', $workers, $stack->{table}, $rounds or die "toggle: $!\n";

print $bench "$text\n$digest";
close $bench or exit 1;
