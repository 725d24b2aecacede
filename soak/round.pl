#!/usr/bin/perl

# One round of the soak, for run.pl:
#
#   round.pl RESULT name=value ...      # the options of Soak::Round
#
# The result is written to the file RESULT as JSON, and lines of progress to
# standard output.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../t/lib";

use JSON::PP ();

use Apikey::Process ();
use Soak::Round ();

alarm 0;    # it is no test: it lasts as long as it is told
$| = 1;

my $file   = shift @ARGV;
my $result = Soak::Round->run((map { split /=/, $_, 2 } @ARGV),
                              say => sub { print "$_[0]\n" });

open my $out, '>', $file or die "$file: $!\n";
print {$out} JSON::PP->new->canonical->encode($result);
close $out or die "$file: $!\n";
