package Soak::Healing;

# How long after a fault a gate still said 503: nothing to judge, but to look at.
#
#   my $longest = Soak::Healing::longest($history);    # { hole => 0.61, ... }
#
# Seconds, the longest of each kind of fault; only of those in whose end no
# other was on, and until the next one began.  Some faults (a failover, damaged
# files) last by definition until the edge has healed, and so tell little here.

use strict;
use warnings;

use List::Util qw(max);

sub longest {
    my ($history) = @_;

    my (%stale, %longest);

    push @{ $stale{ $_->{edge} } }, $_->{end}
        for grep { $_->{status} == 503 } @{ $history->{check} };

    for my $edge (keys %stale) {
        my @faults = sort { $a->{begin} <=> $b->{begin} }
                     grep { $_->{edge} eq $edge || $_->{edge} eq '*' }
                     @{ $history->{fault} };

        for my $fault (@faults) {
            my ($end, $next) = ($fault->{end}, 'inf');

            next if grep { $_ != $fault && $_->{begin} <= $end && $_->{end} > $end }
                    @faults;

            for (@faults) {
                $next = $_->{begin} if $_->{begin} > $end && $_->{begin} < $next;
            }

            my $last = max(grep { $_ > $end && $_ < $next } @{ $stale{$edge} })
                // next;

            $longest{ $fault->{why} }
                = max($longest{ $fault->{why} } // 0, $last - $end);
        }
    }

    return \%longest;
}

1;
