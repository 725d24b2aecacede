package Soak::Schedule;

# Which fault begins when, how long it lasts and whom it meets: a function of
# the seed and of what it is told here, and of nothing else.
#
#   my @plan = Soak::Schedule::plan(
#       seed => 7, seconds => 60, edges => ['e1', 'e2'],
#       faults => \%Soak::Faults::FAULT);
#   # { at => 1.25, for => 2.5, fault => 'hole', edge => 'e2', draw => 0.7 }
#
# Two at a time, but never two of one place: an edge's link, daemon, nginx or
# table, or the store.  `draw` is for whatever else the fault lets chance decide.

use strict;
use warnings;

use Soak::Random ();

use constant {
    LANES => 2,
    PAUSE => [ 0.2, 2.5 ],    # seconds between two faults of a lane
};

my %ALONE = (store => '*', admin => 'admin');

sub plan {
    my (%opt) = @_;

    my %weights = map { $_ => $opt{faults}{$_}{weight} } keys %{ $opt{faults} };
    my (@plan, %busy);

    for my $lane (1 .. LANES) {
        my $random = Soak::Random->new($opt{seed}, 'schedule', $lane);
        my $at     = $random->between(0, 2);

        for (;;) {
            my $name  = $random->weighted(\%weights);
            my $fault = $opt{faults}{$name};
            my $for   = $random->between(@{ $fault->{for} });
            my $edge  = $random->pick(@{ $opt{edges} });
            my $draw  = $random->number;

            last if $at + $for > $opt{seconds};

            # one of them for all edges
            $edge = $ALONE{ $fault->{place} } // $edge;

            my $place = "$fault->{place} $edge";
            my $clash = grep { $_->{at} < $at + $for && $at < $_->{at} + $_->{for} }
                             @{ $busy{$place} };

            if (!$clash) {
                push @plan, {
                    at    => ms($at),
                    for   => ms($for),
                    fault => $name,
                    edge  => $edge,
                    draw  => ms($draw),
                };
                push @{ $busy{$place} }, { at => $at, for => $for + 0.5 };
            }

            $at += $for + $random->between(@{ +PAUSE });
        }
    }

    return sort { $a->{at} <=> $b->{at} } @plan;
}

sub ms { return sprintf('%.3f', $_[0]) + 0 }

# One line of it, for people.
sub text {
    my ($step) = @_;

    return sprintf '%7.3f s  %-9s %-3s for %.3f s, draw %.3f',
        @$step{qw(at fault edge for draw)};
}

1;
