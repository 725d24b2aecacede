#!/usr/bin/perl
#
# Lets spin check the models: each as it is, then with each of its rules broken,
# one at a time.  What is expected stands in the models, beside the rules:
#
#   holds    the property holds in every state that can be reached
#   found    broken like this, a counterexample must be found
#   reached  this must be possible, or the rest would say nothing
#
#   model/check.pl [--jobs N] [--dir DIR] [MODEL[:RULE] ...]
#
# A rule is given by its name, "-" is the model as it is.  Ends non-zero if
# anything is not as expected.  For a look at a counterexample, see
# model/README.md.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Getopt::Long;
use Time::HiRes qw(time);

my $here = abs_path(dirname(__FILE__));
my @names = qw(table resync lease);
my ($jobs, $dir) = (2, "$here/../build/model");

GetOptions('jobs=i' => \$jobs, 'dir=s' => \$dir) or exit 2;

my @wanted = @ARGV ? @ARGV : @names;


# The rules of a model: { number, name, expect, text }, the first being none.
sub rules {
    my ($model) = @_;
    my @rules;

    open my $in, '<', "$here/$model.pml" or die "$here/$model.pml: $!\n";
    my $text = do { local $/; <$in> };
    close $in;

    while ($text =~ m{/\*\ (holds|found|reached):\s+((?:(?!\*/).)+?)\s*\*/\n
                      \#define\ (\w+)\ +(\d+)}gsx)
    {
        my ($expect, $what, $name, $number) = ($1, $2, $3, $4);

        $what =~ s/\s+/ /g;
        push @rules, { model => $model, expect => $expect, text => $what,
                       name => $name, number => $number };
    }

    die "$model.pml: no rules\n" if !@rules;

    return ({ model => $model, expect => 'holds', text => 'as it is',
              name => '-', number => 0 }, @rules);
}


sub run {
    my (@command) = @_;

    system(@command) == 0 or die "failed: @command\n";
}


sub build {
    my ($model) = @_;
    my $work = "$dir/$model";

    make_path($work);
    run('cp', "$here/rules.pml", "$here/$model.pml", $work);
    chdir $work or die "$work: $!\n";
    unlink glob '*.trail';
    run('spin', '-a', "$model.pml");
    run($ENV{CC} || 'cc', qw(-O2 -w -DSAFETY -DNOFAIR), '-o', 'pan',
        'pan.c');
}


# Starts the checker, which writes to <name>.out; its process id.
sub start {
    my ($rule) = @_;
    my $work = "$dir/$rule->{model}";

    $rule->{began} = time;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $ENV{RULE} = $rule->{number};
        my $run = "$work/$rule->{name}";
        make_path($run);
        chdir $run or die "$run: $!\n";
        open STDOUT, '>', 'out' or die "out: $!\n";
        open STDERR, '>&', \*STDOUT or die "out: $!\n";
        exec "$work/pan", qw(-E -n -m1000000) or die "exec: $!\n";
    }

    return $pid;
}


# What came of it: holds, or an error was found, or nothing to go by.
sub outcome {
    my ($rule) = @_;
    my $file = "$dir/$rule->{model}/$rule->{name}/out";

    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    close $in;

    ($rule->{errors}) = $text =~ /errors: (\d+)/;
    ($rule->{depth}) = $text =~ /depth reached (\d+)/;
    ($rule->{states}) = $text =~ /^ *(\S+) states, stored/m;

    if (!defined $rule->{states} || $text =~ /max search depth|out of memory/) {
        return 'failed';
    }

    if ($rule->{errors}) {
        return $text !~ /assertion violated/ ? 'failed'
               : $rule->{expect} eq 'reached' ? 'reached' : 'found';
    }

    return 'holds';
}


sub report {
    my ($rule) = @_;
    my $got = outcome($rule);
    my $wrong = $got ne $rule->{expect};

    printf "%-6s  %-12s  %-7s  %10s  %6s  %6.1f  %s%s\n", $rule->{model},
        $rule->{name}, $got, $rule->{states} // '?', $rule->{depth} // '?',
        time - $rule->{began}, $wrong ? "EXPECTED $rule->{expect}: " : '',
        $rule->{text};

    return $wrong;
}


$| = 1;
printf "%-6s  %-12s  %-7s  %10s  %6s  %6s  %s\n", qw(model rule result states
    depth seconds), 'what is broken, or must be possible';

my (@queue, %built);

for my $wanted (@wanted) {
    my ($model, $only) = split /:/, $wanted;
    my @rows = grep { !defined $only || $_->{name} eq $only } rules($model);

    die "$wanted: no such rule\n" if !@rows;
    build($model) if !$built{$model}++;
    push @queue, @rows;
}

my ($wrong, $count, %running) = (0, scalar @queue);

while (@queue || %running) {
    while (@queue && keys %running < $jobs) {
        my $rule = shift @queue;
        $running{start($rule)} = $rule;
    }

    my $pid = wait;
    $wrong += report(delete $running{$pid});
}

print $wrong ? "$wrong of $count are not as expected\n"
             : "all $count as expected\n";
exit !!$wrong;
