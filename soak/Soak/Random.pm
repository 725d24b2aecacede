package Soak::Random;

# Numbers that follow from a seed alone, on every machine and whatever else
# draws numbers.
#
#   my $r = Soak::Random->new($seed, 'schedule');    # seed and purpose
#   $r->number;                  # in [0, 1)
#   $r->between(0.5, 3);
#   $r->pick(@list);
#   $r->weighted({ a => 3, b => 1 });

use strict;
use warnings;

use Digest::SHA qw(sha256);

sub new {
    my ($class, @seed) = @_;

    return bless { seed => join('/', @seed), count => 0 }, $class;
}

sub number {
    my ($self) = @_;

    my ($bits) = unpack 'N', sha256("$self->{seed}/" . $self->{count}++);

    return $bits / 2**32;
}

sub between {
    my ($self, $low, $high) = @_;

    return $low + $self->number * ($high - $low);
}

sub pick {
    my ($self, @list) = @_;

    return $list[ int $self->number * @list ];
}

sub weighted {
    my ($self, $weights) = @_;

    my $sum = 0;

    $sum += $_ for values %$weights;

    my $at = $self->number * $sum;

    for my $name (sort keys %$weights) {
        return $name if ($at -= $weights->{$name}) < 0;
    }

    return (sort keys %$weights)[-1];
}

1;
