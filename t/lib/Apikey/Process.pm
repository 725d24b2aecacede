package Apikey::Process;

# Processes that a test starts, and what it waits for: whatever way the test
# ends, they are stopped and reaped, and its directories are removed.
#
#   my $p = Apikey::Process->start(cmd => ['redis-server', ...],
#                                  env => { TZ => 'UTC' }, log => $file);
#   $p->pid; $p->alive; $p->signal('KILL');
#   $p->wait(5) or die;                # 1: it has ended, 0: not in 5 s
#   $p->status; $p->exit_code;         # as $? and $? >> 8, once it has ended
#   $p->stop;                          # TERM, later KILL; also when $p goes
#
#   Apikey::Process::wait_for(sub { -S $socket }, 5, 'the socket');
#
# stdin is /dev/null; stdout and stderr go to `log` (appended) or, without
# one, to the test's stderr.  `stdin` and `stdout` may be given as handles.
# APIKEY_KEEP=1 in the environment keeps the directories.

use strict;
use warnings;

use Carp qw(croak);
use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();
use POSIX ();
use Scalar::Util qw(weaken);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant PATIENCE => 300;    # seconds, for a whole test file

my $owner = $$;
my %running;    # by pid; undef where the object is gone before the process

# An END block runs only if a signal ends the test in an orderly way.  The
# alarm is for a test that waits for what never comes.
for (qw(HUP:1 INT:2 ALRM:14 TERM:15)) {
    my ($name, $number) = split /:/;

    $SIG{$name} //= sub {
        undisturbed();
        print {*STDERR} "$0: still running after @{[ PATIENCE ]} s\n" if $name eq 'ALRM';
        forked_gone();
        exit 128 + $number;
    };
}

alarm PATIENCE;

# For the way to the end: neither a second signal nor that nobody reads our
# output any more may stop the cleaning up.
sub undisturbed {
    @SIG{qw(HUP INT ALRM TERM PIPE)} = ('IGNORE') x 5;

    return;
}

sub start {
    my ($class, %opt) = @_;

    my $cmd = delete $opt{cmd} or croak 'start: no cmd';
    my ($env, $log, $stdin, $stdout) = delete @opt{qw(env log stdin stdout)};

    croak 'start: unknown ' . join ' ', sort keys %opt if %opt;

    # the child tells through this pipe why it could not exec; at a
    # successful exec it closes
    pipe my $read, my $write or die "pipe: $!";

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        close $read;
        eval { become($cmd, $env, $log, $stdin, $stdout) };
        syswrite $write, "$@";
        POSIX::_exit(127);
    }

    close $write;
    setpgrp $pid, $pid;    # whoever of the two is first

    my $error = do { local $/; readline $read };

    if (defined $error && length $error) {
        waitpid $pid, 0;
        croak $error;
    }

    my $self = bless { pid => $pid, cmd => $cmd, owner => $$ }, $class;

    weaken($running{$pid} = $self);

    return $self;
}

# In the child: never returns but by an exception.
sub become {
    my ($cmd, $env, $log, $stdin, $stdout) = @_;

    setpgrp 0, 0;
    @SIG{qw(HUP INT ALRM TERM PIPE)} = ('DEFAULT') x 5;
    @ENV{ keys %$env } = values %$env if $env;

    my $out = \*STDERR;

    if (defined $log) {
        open $out, '>>', $log or die "$log: $!\n";
    }

    if (!$stdin) {
        open $stdin, '<', '/dev/null' or die "/dev/null: $!\n";
    }

    place($stdin, 0);
    place($stdout || $out, 1);
    place($out, 2);

    no warnings "exec";
    exec { $cmd->[0] } @$cmd or die "cannot run $cmd->[0]: $!\n";
}

sub place {
    my ($handle, $fd) = @_;

    return if fileno $handle == $fd;

    POSIX::dup2(fileno $handle, $fd) // die "dup2: $!\n";
}

sub pid { return $_[0]{pid} }

# The process alone, not its children: a test that kills one means that one.
sub signal {
    my ($self, $name) = @_;

    return 0 if !$self->alive;
    return kill $name, $self->{pid};
}

sub alive {
    my ($self) = @_;

    return 0 if defined $self->{status};

    my $got = waitpid $self->{pid}, POSIX::WNOHANG();

    return 1 if $got == 0;

    $self->{status} = $got == $self->{pid} ? $? : -1;

    return 0;
}

sub wait {
    my ($self, $seconds) = @_;

    return poll(sub { !$self->alive }, $seconds // 10) ? 1 : 0;
}

sub status { return $_[0]{status} }

# -1 if a signal ended it
sub exit_code {
    my ($self) = @_;

    return undef if !defined $self->{status};
    return $self->{status} & 127 ? -1 : $self->{status} >> 8;
}

# Ends the process and whatever it left behind in its process group.
sub stop {
    my ($self, $seconds) = @_;

    return if $self->{owner} != $$;

    # DESTROY and END must not disturb what the test is reporting
    local ($@, $!, $?);

    if ($self->alive) {
        kill 'TERM', $self->{pid};
        $self->wait($seconds // 5);
    }

    kill 'KILL', -$self->{pid};
    $self->wait(5);
    delete $running{ $self->{pid} };

    return;
}

sub DESTROY {
    my ($self) = @_;

    $self->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT';

    return;
}

END {
    if ($$ == $owner) {
        undisturbed();

        for my $pid (keys %running) {
            $running{$pid} ? $running{$pid}->stop : kill 'KILL', -$pid;
        }

        forked_gone();
    }
}

# Kills what the test forked by itself.  perl waits for the process behind a
# pipe when the handle goes, which may be before END.
sub forked_gone {
    open my $children, '<', "/proc/$$/task/$$/children" or return;

    kill 'KILL', grep { !exists $running{$_} } split ' ', readline($children) // '';

    return;
}

# Calls the sub every 2 to 10 ms until it is true; returns what it returned.
sub wait_for {
    my ($sub, $seconds, $what) = @_;

    return poll($sub, $seconds)
        // croak "waited $seconds s in vain for: $what";
}

sub poll {
    my ($sub, $seconds) = @_;

    my $end   = clock_gettime(CLOCK_MONOTONIC) + $seconds;
    my $pause = 0.002;

    for (;;) {
        my $late  = clock_gettime(CLOCK_MONOTONIC) > $end;
        my $value = $sub->();

        return $value if $value;
        return undef  if $late;

        Time::HiRes::sleep($pause);
        $pause *= 1.3 if $pause < 0.008;
    }
}

# A directory with a path that is short enough for unix sockets in it, and
# that workers of another user may enter.
sub tempdir {
    my $dir = File::Temp::tempdir('apikey-XXXXXX', DIR => '/tmp',
                                  CLEANUP => !$ENV{APIKEY_KEEP});

    chmod 0755, $dir or die "$dir: $!";

    return $dir;
}

# The root of the checkout.
sub root_dir {
    return Cwd::abs_path(dirname(__FILE__) . '/../../..');
}

# Where the programs and the module under test are.
sub build_dir {
    my $dir = $ENV{APIKEY_BUILD} || root_dir() . '/build';

    return Cwd::abs_path($dir) || die "$dir: $!: run make first\n";
}

1;
