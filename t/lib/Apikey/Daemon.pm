package Apikey::Daemon;

# A private apikey-sync, and a look into its table.
#
#   my $d = Apikey::Daemon->start(redis => $redis, table => $dir, edge => 'e1');
#   $d->wait_ready;                            # until its lease is live
#   $d->table_get($digest);                    # 'enabled version=3 ...'
#   $d->control->{snapshots};                  # a figure of the control page
#   $d->wait_for_status($digest, 'disabled');
#   $d->wait_log(qr/a full resync is needed/);
#   $d->stop; $d->kill9; $d->log; $d->process;
#
# start takes url => or config => FILE in place of redis =>, args => [...] for
# more options, and env; without `table` it makes a directory; failpoint =>
# NAME or NAME:N runs the daemon of `make failpoints`, which kills itself
# there.  To run daemons under a tool: APIKEY_SYNC_WRAPPER='valgrind -q --error-exitcode=9' prove ...

use strict;
use warnings;

use Carp qw(croak);

use Apikey::Process ();

sub start {
    my ($class, %opt) = @_;

    my $home = Apikey::Process::tempdir();
    my $self = bless {
        home  => $home,
        table => $opt{table} // "$home/table",
        log   => "$home/sync.log",
    }, $class;

    if (!-d $self->{table}) {
        mkdir $self->{table}, 0755 or die "$self->{table}: $!";
    }

    my $program = 'bin/apikey-sync';

    if ($opt{failpoint}) {
        $program = "failpoints/$program";
        $opt{env} = { %{ $opt{env} || {} }, APIKEY_FAILPOINT => $opt{failpoint} };
    }

    my @store = $opt{config} ? () : ('--store', $opt{url} // $opt{redis}->url);

    $self->{process} = Apikey::Process->start(
        cmd => [
            split(' ', $ENV{APIKEY_SYNC_WRAPPER} // ''),
            Apikey::Process::build_dir() . "/$program",
            @store, '--table', $self->{table},
            ($opt{edge} ? ('--edge', $opt{edge}) : ()),
            ($opt{config} ? ('--config', $opt{config}) : ()),
            @{ $opt{args} || [] },
        ],
        env => $opt{env},
        log => $self->{log},
    );

    return $self;
}

sub process  { return $_[0]{process} }
sub pid      { return $_[0]{process}->pid }
sub table    { return $_[0]{table} }
sub log_file { return $_[0]{log} }

sub log {
    my ($self) = @_;

    open my $fh, '<', $self->{log} or return '';
    local $/;

    return scalar(readline $fh) // '';
}

# ---- the table ---------------------------------------------------------------

sub tableget { return Apikey::Process::build_dir() . '/t/tools/tableget' }

# What the table says of each digest: one line, or as many as were asked for.
sub table_get {
    my ($self, @digests) = @_;

    # by way of a file: more than fits into two pipes would stop both sides
    my $file = "$self->{home}/digests";

    open my $in, '>', $file or die "$file: $!";
    print {$in} map { "$_\n" } @digests;
    close $in;

    open my $out, '-|', 'sh', '-c', 'exec "$0" "$1" - <"$2"', tableget(),
        $self->{table}, $file
        or die "tableget: $!";

    my @lines = readline $out;

    close $out;
    chomp @lines;

    return wantarray ? @lines : $lines[0];
}

# Of one digest: the status alone.
sub status {
    my ($self, $digest) = @_;

    return (split / /, $self->table_get($digest))[0];
}

# The control page's names and values.
sub control {
    my ($self) = @_;

    open my $out, '-|', tableget(), '--control', $self->{table}
        or die 'tableget: ' . $!;

    my %value = map { /^(\w+)=(.*)/ ? ($1, $2) : () } readline $out;

    close $out;

    return \%value;
}

# Is there a lease, and does it last?
sub live {
    my ($self) = @_;

    return ($self->control->{deadline_ms} // -1) > 0;
}

# ---- waiting -----------------------------------------------------------------

# Until its lease is live; says why it ended if it did.
sub wait_ready {
    my ($self, $seconds) = @_;

    Apikey::Process::wait_for(sub {
        croak 'apikey-sync ended: ' . $self->log if !$self->process->alive;

        my $c = $self->control;

        return ($c->{pid} // 0) == $self->pid && ($c->{snapshots} // 0) > 0
            && ($c->{deadline_ms} // -1) > 0;
    }, $seconds // 10, 'apikey-sync to have a lease');

    return $self;
}

sub wait_for_status {
    my ($self, $digest, $status, $seconds) = @_;

    return Apikey::Process::wait_for(
        sub { $self->status($digest) eq $status },
        $seconds // 10, "the table to say $status");
}

# Until a figure of the control page satisfies the sub (as $_).
sub wait_control {
    my ($self, $name, $sub, $seconds) = @_;

    return Apikey::Process::wait_for(sub {
        local $_ = $self->control->{$name} // return 0;
        return $sub->();
    }, $seconds // 10, "a certain $name");
}

sub wait_log {
    my ($self, $pattern, $seconds) = @_;

    return Apikey::Process::wait_for(sub { $self->log =~ $pattern },
                                     $seconds // 10, "log $pattern");
}

# ---- ending ------------------------------------------------------------------

# TERM, and waits; the exit code.
sub stop {
    my ($self) = @_;

    $self->process->signal('TERM');
    $self->process->wait(10);
    $self->process->stop;

    return $self->process->exit_code;
}

sub kill9 {
    my ($self) = @_;

    $self->process->signal('KILL');
    $self->process->wait(5);

    return $self;
}

1;
