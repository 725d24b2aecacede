# The soak's schedule of faults: the same for the same seed, never two faults
# of one place at a time, and each fault in some of them.

use strict;
use warnings;

use lib 't/lib', 'soak';

use Test::More;

use Soak::Faults;
use Soak::Schedule;

my $faults = \%Soak::Faults::FAULT;

sub plan_of {
    my ($seed, %opt) = @_;

    return Soak::Schedule::plan(seed => $seed, seconds => 60,
                                edges => [qw(e1 e2)], faults => $faults, %opt);
}

is_deeply [ plan_of(1) ], [ plan_of(1) ], 'the same seed: the same schedule';

srand 5;
rand;
is_deeply [ map { Soak::Schedule::text($_) } plan_of(1, seconds => 6, faults => {
        one   => { weight => 2, place => 'link',  for => [ 0.5, 1 ] },
        other => { weight => 1, place => 'store', for => [ 1,   2 ] },
    }) ],
    [
        '  0.022 s  one       e2  for 0.821 s, draw 0.812',
        '  1.768 s  one       e2  for 0.891 s, draw 0.438',
        '  4.023 s  one       e1  for 0.866 s, draw 0.442',
    ], 'on every machine';

isnt join(' ', map { $_->{fault} } plan_of(1)),
    join(' ', map { $_->{fault} } plan_of(2)), 'another seed: another schedule';

my (%seen, @clash, @late);

for my $seed (1 .. 20) {
    my %until;

    for my $step (plan_of($seed)) {
        my ($place, $end) = ("$faults->{ $step->{fault} }{place} $step->{edge}",
                             $step->{at} + $step->{for});

        push @clash, "seed $seed: " . Soak::Schedule::text($step)
            if $step->{at} < ($until{$place} // 0);
        push @late, "seed $seed: " . Soak::Schedule::text($step)
            if $end > 60;
        $until{$place} = $end;
        $seen{ $step->{fault} }++;
    }
}

is "@clash", '', 'never two of one place at a time';
is "@late", '', 'all have ended when the round ends';
is_deeply [ sort keys %seen ], [ sort keys %$faults ], 'each fault has its turn';

done_testing;
