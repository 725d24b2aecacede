#!/usr/bin/perl

# The models, as far as a test has time for: how a table comes to be what the
# store's history says, whole, and of the wait the rules that are found soon.
# `make model` is the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use Test::More;

my $root = Apikey::Process::root_dir();
my $dir = Apikey::Process::tempdir();

my @rows = ('resync', map { "lease:$_" } qw(- S1_ADOPT S2_CARRY A1_START
    A2_CHAIN A3_SILENT A3_DRIFT A3_ASKED A4_REPLICA ACKED SILENT LOST OUTCOME));

my @lines = `perl $root/model/check.pl --jobs 1 --dir $dir @rows 2>&1`;
my $status = $?;

shift @lines;
my $end = pop @lines // '';

for my $line (@lines) {
    my ($model, $rule, $result) = split ' ', $line;

    unlike($line, qr/EXPECTED/, "$model $rule $result") or diag($line);
}

cmp_ok(scalar @lines, '>=', 30, 'all rows are there');
like($end, qr/^all \d+ as expected$/, 'as expected');
is($status, 0, 'and so is the status');

done_testing();
