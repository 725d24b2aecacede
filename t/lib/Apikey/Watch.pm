package Apikey::Watch;

# A reader that looks keys up in a table without a pause, beside the test, and
# what it saw.
#
#   my $w = Apikey::Watch->start($table_dir, revoked => $digest, ...);
#   my $t = Apikey::Watch::now();
#   ...
#   $w->stop;
#   $w->seen('revoked');             # { enabled => [first, last], ... }
#   $w->after('revoked', $t);        # the answers to look-ups that began later
#
# Times are nanoseconds of CLOCK_MONOTONIC.  The answers are those of
# `tableget --watch`: enabled, disabled, revoked and unknown under a lease that
# lasts, stale, unavailable.

use strict;
use warnings;

use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use Apikey::Daemon ();
use Apikey::Process ();

sub now { return int(clock_gettime(CLOCK_MONOTONIC) * 1e9) }

sub start {
    my ($class, $table, @keys) = @_;

    my (@names, @digests);

    while (my ($name, $digest) = splice @keys, 0, 2) {
        push @names, $name;
        push @digests, $digest;
    }

    my $log = Apikey::Process::tempdir() . '/seen';

    open my $out, '>', $log or die "$log: $!";

    return bless {
        names   => \@names,
        log     => $log,
        process => Apikey::Process->start(
            cmd => [ Apikey::Daemon::tableget(), '--watch', $table, @digests ],
            stdout => $out),
    }, $class;
}

sub process { return $_[0]{process} }

sub stop {
    my ($self) = @_;

    $self->{process}->signal('TERM');
    $self->{process}->wait(5);
    $self->{process}->stop;

    open my $log, '<', $self->{log} or die "$self->{log}: $!";

    while (defined(my $line = readline $log)) {
        my ($i, $answer, $first, $last) = split ' ', $line;

        push @{ $self->{seen}{ $self->{names}[$i] } },
            [ $answer, $first, $last ];
    }

    return $self;
}

# By answer: when the first and the last look-up that gave it began.
sub seen {
    my ($self, $name) = @_;

    my %seen;

    for my $stretch (@{ $self->{seen}{$name} || [] }) {
        my ($answer, $first, $last) = @$stretch;

        $seen{$answer} ||= [ $first, $last ];
        $seen{$answer}[1] = $last;
    }

    return \%seen;
}

# The answers to look-ups that began after this time, each once, in order.
sub after {
    my ($self, $name, $time) = @_;

    my %seen = %{ $self->seen($name) };

    return sort grep { $seen{$_}[1] > $time } keys %seen;
}

1;
