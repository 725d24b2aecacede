#!/usr/bin/perl

# make bench-hot: what `apikey on` costs a request, beside `apikey off` in the
# same location otherwise: instructions (callgrind, one nginx process, the
# difference of two runs so that the start does not count) and system calls
# (strace on a worker under load).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../demo";

use Caller;
use POSIX ();
use Stack;
use Time::HiRes qw(sleep);

use constant {
    FEW     => 500,     # requests; the start is paid in both runs
    MANY    => 2500,
    CALLS   => 5000,    # requests under strace
};

my $build = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";

my $stack = Stack->new(
    dir     => "$build/demo/bench",
    workers => 1,
    conf    => <<'CONF',
        access_log off;

        location = /off {
            apikey off;
            empty_gif;
        }

        location = /on {
            apikey on;
            empty_gif;
        }

        location = /variables {
            apikey on;
            empty_gif;
            set $all "$apikey_id$apikey_member$apikey_tenant$apikey_name$apikey_scopes";
        }
CONF
);

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
$stack->lock;

my $grind;    # the nginx under callgrind

END {
    if ($stack && $stack->{lock}) {
        my $status = $?;

        $stack->stop;
        kill 'KILL', $grind if $grind;
        $? = $status;
    }
}

$stack->start;

my ($id, $text) = $stack->make_key;
my $key   = "Authorization: Bearer $text";
my $wrong = 'Authorization: Bearer ' . 'x' x length $text;

my @cases = (
    [ 'apikey off',                     '/off',       $key,   200 ],
    [ 'apikey on, a good key',          '/on',        $key,   200 ],
    [ 'the same, all variables used',   '/variables', $key,   200 ],
    [ 'apikey on, an unknown key',      '/on',        $wrong, 401 ],
    [ 'apikey on, no key',              '/on',        '',     401 ],
);

instructions();
system_calls();

sub instructions {
    printf "%-34s %12s %12s\n", 'instructions per request', 'total', 'more';

    my $base;

    for my $case (@cases) {
        my ($what, @request) = @$case;
        my $each = (count(MANY, @request) - count(FEW, @request)) / (MANY - FEW);

        $base //= $each;
        printf "%-34s %12.0f %12.0f\n", $what, $each, $each - $base;
    }

    return;
}

# Instructions of an nginx from its start to its end, with so many requests.
sub count {
    my ($requests, $path, $header, $status) = @_;

    my $dir  = $stack->{dir};
    my $port = Stack::free_port();
    my $conf = $stack->nginx_conf;

    $conf =~ s/127.0.0.1:$stack->{port}/127.0.0.1:$port/;
    $conf =~ s/upstream\.sock/grind.sock/;
    $conf =~ s/pid nginx\.pid;/pid grind.pid;\nmaster_process off;/;

    unlink "$dir/grind.sock", "$dir/grind.out";
    Stack::write_file("$dir/grind.conf", $conf);

    defined($grind = fork) or die "fork: $!\n";

    if ($grind == 0) {
        open STDOUT, '>>', "$dir/grind.log";
        open STDERR, '>&', \*STDOUT;
        exec 'valgrind', '--tool=callgrind', "--callgrind-out-file=$dir/grind.out",
            Stack::nginx(), '-p', "$dir/nginx", '-e', "$dir/grind.log", '-c', "$dir/grind.conf"
            or POSIX::_exit(127);
    }

    Stack::wait_for(60, sub { eval { Caller->new($port, 1, '', '/open')->get } });
    my $caller = load($port, $requests, $path, $header, $status);

    # a process without a master notes the signal, and heeds it at its next
    # event: here, that the caller hangs up
    kill 'TERM', $grind;
    sleep 0.1;
    undef $caller;

    Stack::wait_for(60, sub { waitpid($grind, POSIX::WNOHANG()) == $grind });
    $grind = 0;

    open my $file, '<', "$dir/grind.out" or die "grind.out: $!\n";
    my ($total) = map { /^(?:summary|totals): (\d+)/ ? $1 : () } readline $file;

    return $total // die "callgrind counted nothing; see $dir/grind.log\n";
}

# Requests, one after the other, on one connection.  The first may be early:
# the table is attached on demand.
sub load {
    my ($port, $requests, $path, $header, $status) = @_;

    my $caller = Caller->new($port, 1, $header, $path);

    Stack::wait_for(10, sub { $caller->get->{status} == $status });

    for (1 .. $requests) {
        my $got = $caller->get->{status};

        die "$path: $got instead of $status\n" if $got != $status;
    }

    return $caller;
}

sub system_calls {
    my $pid = $stack->alive('nginx');
    my ($worker) = split ' ', `cat /proc/$pid/task/$pid/children`;
    my (%calls, %names);

    for my $case (@cases) {
        my ($what, $path, $header, $status) = @$case;
        my $file = "$stack->{dir}/strace.out";

        unlink $file;
        defined(my $tracer = fork) or die "fork: $!\n";

        if ($tracer == 0) {
            open STDERR, '>>', "$stack->{dir}/strace.log";
            exec 'strace', '-c', '-f', '-U', 'calls,name', '-o', $file, '-p', $worker
                or POSIX::_exit(127);
        }

        Stack::wait_for(10, sub { traced($worker) });
        load($stack->{port}, CALLS, $path, $header, $status);
        kill 'INT', $tracer;
        waitpid $tracer, 0;

        open my $out, '<', $file or die "$file: $!\n";

        while (defined(my $line = readline $out)) {
            my ($calls, $name) = $line =~ /^\s*(\d+) ([a-z]\w*)$/ or next;

            next if $name eq 'total';
            $calls{$what}{$name} = $calls / CALLS;
            $names{$name} = $calls / CALLS if $calls / CALLS > ($names{$name} // 0);
        }
    }

    # what is looked for is shown even where there is none of it
    my @names = sort { $a cmp $b } 'futex', 'clock_gettime',
        grep { $names{$_} >= 0.01 && !/^(?:futex|clock_gettime)$/ } keys %names;

    printf "\n%-30s" . ' %13s' x (@names + 1) . "\n", 'system calls per request', @names, 'others';

    for my $what (map { $_->[0] } @cases) {
        my $others = delete $calls{$what} or die "no figures of strace\n";
        my @shown  = map { delete $others->{$_} // 0 } @names;
        my $rest   = 0;

        $rest += $_ for values %$others;
        printf "%-30s" . ' %13.3f' x (@names + 1) . "\n", $what, @shown, $rest;
    }

    print "\n(others: the connection of the measure itself, and what a worker does now and then)\n";

    return;
}

sub traced {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/status" or die "worker $pid: $!\n";

    return grep { /^TracerPid:\s+[1-9]/ } readline $file;
}
