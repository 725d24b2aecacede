#!/usr/bin/perl

# Every link in README.md and docs/ leads to a file that is there, and to a
# heading in it; every test that a promise names exists.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use File::Basename qw(dirname);
use Test::More;

my $root = Apikey::Process::root_dir();

for my $page ("$root/README.md", glob("$root/docs/*.md")) {
    my $text = slurp($page);
    my @dead;

    $text =~ s/^```.*?^```//gms;

    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my ($path, $anchor) = split /#/, $1, 2;

        next if $path =~ /^https?:/;

        my $file = length $path ? dirname($page) . "/$path" : $page;

        push @dead, $1 if !-e $file || defined $anchor && !anchors($file)->{$anchor};
    }

    is(join(' ', @dead), '', "links of " . substr $page, 1 + length $root);
}

# what is promised names its tests
for my $page (qw(README.md docs/guarantees.md)) {
    my $text = slurp("$root/$page");
    my %named;

    $named{$1}++ while $text =~ m{`(t/[\w/.]+)`}g;
    ok(-e "$root/$_" || -e "$root/$_.c", "$page names $_") for sort keys %named;
}

done_testing();

# The anchors of a page's headings, as forges make them.
sub anchors {
    my ($file) = @_;

    my $text = slurp($file);
    my %anchor;

    for my $heading ($text =~ /^#+ +(.+)$/mg) {
        my $anchor = lc $heading;

        $anchor =~ s/[^\w -]//g;
        $anchor =~ tr/ /-/;
        $anchor{$anchor} = 1;
    }

    return \%anchor;
}

sub slurp {
    my ($path) = @_;

    open my $file, '<', $path or die "$path: $!";
    local $/;

    return readline $file;
}
