package Bench;

# A stack of its own for a benchmark, its table in memory as in /run, its store
# full of the keys that bench/fill.c makes, and more edges, if asked for.

use strict;
use warnings;

use File::Temp ();
use FindBin;
use Time::HiRes ();

use Stack;

use constant MEMORY => '/dev/shm';

my $running;

sub new {
    my ($class, %self) = @_;

    my $self = bless { store => '{apikey}', lease => '10m', %self }, $class;
    my $build = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";

    $self->{edges} = {};

    $self->{stack} = Stack->new(
        dir     => "$build/demo/bench",
        table   => $self->memory,
        lease   => $self->{lease},
        workers => $self->{workers} // 2,
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
    $self->{stack}->lock;
    $running = $self;
    $self->{stack}->start;
    $self->{stack}->stop_process('sync');
    $self->{stack}->ctl('member', 'add', 'bench', '--name', 'bench',
        '--tenant', 'bench');

    return $self;
}

# Not left to the object's end: by then its parts may be gone.
END {
    my $status = $?;

    if ($running && $running->{stack}{lock}) {
        my $stack = $running->{stack};

        $stack->stop_process($_) for keys %{ $running->{edges} };
        $stack->stop;
    }

    $? = $status;
}

# A directory for a table, as systemd makes /run/apikey.
sub memory {
    my ($self) = @_;

    my $dir = File::Temp->newdir('apikey-bench-XXXXXX',
        DIR => -w MEMORY ? MEMORY : '/tmp');

    push @{ $self->{memory} }, $dir;

    return "$dir";
}

# Starts another edge's daemon, or starts it again; its table is
# $self->{edges}{$name}.
sub start_edge {
    my ($self, $name) = @_;

    my $stack = $self->{stack};
    my $table = $self->{edges}{$name} //= $self->memory;
    my $state = "$stack->{dir}/$name";

    mkdir $state;
    $stack->spawn($name, "$stack->{build}/bin/apikey-sync", '--store',
        $stack->{url}, '--table', $table, '--state', $state, '--edge', $name);

    return;
}

# Kills an edge's daemon, and returns when: for good, it is gone.
sub kill_edge {
    my ($self, $name) = @_;

    my $stack = $self->{stack};
    my $at    = Time::HiRes::time;

    kill 'KILL', $stack->alive($name) or die "$name: not running\n";
    Stack::wait_for(10, sub { !$stack->alive($name) });

    return $at;
}

# Makes the keys $from to $to - 1.
sub fill {
    my ($self, $from, $to) = @_;

    my $stack = $self->{stack};

    return if $from >= $to;

    print STDERR "making keys $from to $to\n";

    system("$stack->{build}/bench/fill", $stack->{redis}, $self->{store},
        $stack->{pepper}, $from, $to) == 0 or exit 1;

    return;
}

# Starts the daemon, and waits until the table is live.
sub start_sync {
    my ($self) = @_;

    my $began = Time::HiRes::time;

    $self->{stack}->start_sync;
    $self->wait_settled;
    printf STDERR "the table is live %.1f s after the daemon's start\n",
        Time::HiRes::time - $began;

    return;
}

# What the control page of a table says, by name.
sub control {
    my ($self, $table) = @_;

    my $stack = $self->{stack};

    $table //= $stack->{table};

    return map { /^(\w+)=(.*)$/ ? ($1, $2) : () }
        `$stack->{build}/t/tools/tableget --control $table 2>&1`;
}

# Until the edge is at the store's head and has a lease.
sub wait_settled {
    my ($self, $table) = @_;

    my $stack = $self->{stack};

    Stack::wait_for(300, sub {
        chomp(my $head
            = `redis-cli -s '$stack->{redis}' hget '$self->{store}:meta' version`);
        my %control = $self->control($table);

        return ($control{version} // 0) == $head
            && ($control{deadline_ms} // 0) > 0;
    });

    return;
}

# ---- figures ---------------------------------------------------------------

sub head {
    my ($what) = @_;

    printf "%-54s %8s %8s %8s %8s %8s\n", $what, qw(min p50 p99 p99.9 max);

    return;
}

# A row of milliseconds.
sub row {
    my ($what, @values) = @_;

    @values = sort { $a <=> $b } @values;

    my @shown = map { $values[ $_ * @values ] // $values[-1] }
        0, 0.5, 0.99, 0.999, 1;

    printf '%-54s' . ' %8.3f' x @shown . "\n", $what, @shown;

    return;
}

1;
