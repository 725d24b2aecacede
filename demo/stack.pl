#!/usr/bin/perl

# make up, make down: a stack to try things on, left running until it is told
# to stop.  `up` writes what a shell needs to DIR/env, and once it runs changes
# nothing; `down` stops it, and is content where there is none.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Stack;

my $build = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";
my $stack = Stack->new(dir => "$build/demo/up");
my $env   = "$build/demo/env";

my %verb = (up => \&up, down => \&down);
my $verb = $verb{ $ARGV[0] // '' } or die "usage: stack.pl up|down\n";

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

$stack->lock;
$verb->();

sub up {
    if ($stack->running && -e $env) {
        print "Running already.\n";
    }
    else {
        start();
    }

    print what_to_try();

    return;
}

# Half a stack is no stack.
sub start {
    my $done = 0;

    unlink $env;

    eval {
        local $SIG{INT} = sub { die "interrupted\n" };

        print "Starting Redis, apikey-sync and nginx in $stack->{dir}\n";
        $stack->start;
        $stack->ctl('member', 'add', 'ada', '--name', 'Ada', '--tenant', 'ten_acme');

        my %env = $stack->env;

        Stack::write_file($env, join '', map { "export $_=" . quote($env{$_}) . "\n" } sort keys %env);
        $done = 1;
    };

    return if $done;

    my $why = $@;

    $stack->stop;
    die $why;
}

sub down {
    my $was = grep { $stack->alive($_) } Stack::PROCESSES;

    $stack->stop;
    unlink $env;
    print $was ? "Stopped.\n" : "Nothing is running.\n";

    return;
}

sub quote {
    my ($value) = @_;

    $value =~ s/'/'\\''/g;

    return "'$value'";
}

sub what_to_try {
    return <<"TRY";

It runs until `make down`.  In a shell:

  . $env

  key=\$(\$APIKEYCTL create --member ada --name try --quiet)    # shown once
  curl -i -H "X-API-Key: \$key" \$APIKEY_URL
  \$APIKEYCTL list
  \$APIKEYCTL disable KEY_ID     # then the curl again: 401; enable: 200
  \$APIKEYCTL revoke KEY_ID      # 401 for ever
  \$APIKEYCTL status

  less \$NGINX_CONF              # how nginx is told
  ls $stack->{dir}     # logs
TRY
}
