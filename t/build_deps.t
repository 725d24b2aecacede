#!/usr/bin/perl

# script/deps where everything is installed, as after `make test` began:
# silent, fast and without rights; and clear where it cannot help.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use Test::More;

my $deps = Apikey::Process::root_dir() . '/script/deps';
my $bare = Apikey::Process::tempdir();

# a machine that has the shell's tools, and no apt-get
for my $tool (qw(sh mktemp rm tr sort sed comm)) {
    my ($path) = grep { -x } map { "$_/$tool" } split /:/, $ENV{PATH};

    symlink $path, "$bare/$tool" or die "$tool: $!";
}

is(run(''),               "0\n", 'nothing is missing: no word, status 0');
is(run('build run test'), "0\n", 'nor by group');

like(run('build test', "PATH=$bare"), qr/^deps: this is not Debian.*docs\/install\.md.*\n1\n$/s, 'no apt-get: says so');
is(run('', "PATH=$bare APIKEY_DEPS=skip"), "0\n", 'unless told that all is seen to');
like(run('nonsense'), qr/^deps: no group 'nonsense'.*\n1\n$/s, 'an unknown group is an error');

done_testing();

sub run {
    my ($args, $env) = @_;

    my $out = `env ${\ ($env // '')} $deps $args 2>&1 < /dev/null`;

    return $out . ($? >> 8) . "\n";
}
