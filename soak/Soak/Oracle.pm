package Soak::Oracle;

# Judges a history (Soak::History): takes records, answers what in them must
# not be.  It looks at nothing else, and knows nothing of how the system works.
#
#   my @violations = Soak::Oracle::judge($history, bound => 10);
#   # { rule => 'revoked', text => '...', check => {...} }
#
# WHAT IS A VIOLATION
#
#   revoked    200 for a check that began after a revoke of its key was proven;
#              or on an edge that had acknowledged the revoke, or had answered
#              401 revoked before
#   disabled   200 for a check that began after a disable of its key was
#              proven, until somebody sent an enable
#   lease      200 for a check that began longer than a lease after the moment
#              since when the edge's lease could not be renewed (its daemon
#              dead or stopped, its store out of reach), and ended before that
#              was over.  There is no slack in it: the clocks are one clock
#   never      200 for a key that nobody ever created, or ever enabled
#   identity   200 under the id of another key
#   forgotten  a failover lost a revoke that was proven with a replica
#   denied     401 disabled or revoked for a key that was proven enabled before
#              the check began, with no disable or revoke sent since; 401
#              unknown for a key that was proven to be there
#   truth      at the end, when the edge has applied all that the store says,
#              an answer other than that
#   lost       no answer, though nothing was going on that breaks connections;
#              or none for so long that the client gave up
#   unhealed   503 though no fault is on, nor was one in the last `bound`
#              seconds
#   odd        an answer that the gate does not give to these requests
#
# WHAT IS NONE
#
#   While a fault is on, 503 is always right, and a key may be refused that
#   should not be: what cannot be known is refused.
#
#   What a store loses (a failover to a replica that lagged, a truncated log of
#   commands, a restored backup) is lost: what it says afterwards is the truth.
#   A disable that was proven and then lost is no longer in force; nor is a
#   revoke, where nobody saw it.  But an edge that has seen a revoke keeps to
#   it for ever, whatever the store says later; and a revoke that was proven
#   with a replica survives a failover to that replica, and so is in force
#   everywhere.
#
#   A change that was made and whose answer was lost may take effect at any time
#   after it was sent: such an enable ends what earlier disables proved, for
#   good, and such a disable or revoke excuses every later refusal.
#
#   The order of two changes is known by their versions if they belong to the
#   same history, or if one was answered before the other was sent.  A change
#   that was under way while the store was losing something belongs to neither
#   history: it proves nothing, but to the edges that acknowledged it.
#
#   401 unknown while files of the table are damaged: slots that somebody has
#   overwritten with zeros look empty (docs/internals.md, Damage).  And what an
#   edge had seen but not yet acknowledged when its files were damaged is not
#   held against it.

use strict;
use warnings;

my %ON = (create => 1, enable => 1);

# What excuses a refusal with this code, and what must have been proven for it
# to be wrong.
my %REFUSAL = (
    revoked  => { by => { revoke => 1 },  in_spite_of => \%ON },
    disabled => { by => { disable => 1 }, in_spite_of => \%ON },
    unknown  => {
        by          => {},
        in_spite_of => { %ON, map { $_ => 1 } qw(create_disabled disable revoke) },
    },
);

# bound: seconds after the end of a fault for which 503 is excused.
sub judge {
    my ($history, %opt) = @_;

    my $self = bless {
        history => $history,
        bound   => $opt{bound} // 10,
        lease   => $history->{lease}[0]{seconds},
        found   => [],
    }, __PACKAGE__;

    $self->prepare;
    $self->losses;
    $self->check($_) for sort { $a->{begin} <=> $b->{begin} }
                              @{ $history->{check} };

    return @{ $self->{found} };
}

sub violation {
    my ($self, $rule, $text, %more) = @_;

    push @{ $self->{found} }, { rule => $rule, text => $text, %more };

    return;
}

# ---- what is known before the first check is looked at -------------------------

sub prepare {
    my ($self) = @_;

    my $history = $self->{history};

    $self->{loss} = [ sort { $a->{begin} <=> $b->{begin} }
                      @{ $history->{loss} } ];

    for my $change (@{ $history->{change} }) {
        next if $change->{outcome} eq 'refused';

        my %acked = map { $_ => 1 } split /,/, $change->{acked};

        push @{ $self->{changes}{ $change->{key} } },
            { %$change, by => \%acked, era => $self->era($change) };
    }

    $self->{truth}{ $_->{key} } = $_ for @{ $history->{truth} };

    for my $kind (qw(dark breaks closes damage fault)) {
        my %by_edge;

        push @{ $by_edge{ $_->{edge} } }, $_ for @{ $history->{$kind} };
        $self->{$kind} = \%by_edge;
    }

    my %edges = map { $_->{edge} => 1 } @{ $history->{check} };

    for my $edge (keys %edges) {
        $self->{dark}{$edge} = [ union($self->about(dark => $edge)) ];
    }

    return;
}

# Of which history a change is: how many losses came before it; undef if it is
# not known, or if it was under way while one happened.
sub era {
    my ($self, $change) = @_;

    return undef if $change->{outcome} ne 'ok';

    my $era = 0;

    for my $loss (@{ $self->{loss} }) {
        next if $change->{answered} < $loss->{begin};
        return undef if $change->{sent} <= $loss->{end};
        $era++;
    }

    return $era;
}

# Intervals that touch as one.
sub union {
    my @sorted = sort { $a->{begin} <=> $b->{begin} } @_;
    my @union;

    for my $one (@sorted) {
        if (@union && $one->{begin} <= $union[-1]{end}) {
            $union[-1]{why} .= " and $one->{why}";
            $union[-1]{end} = $one->{end} if $one->{end} > $union[-1]{end};
        } else {
            push @union, {%$one};
        }
    }

    return @union;
}

# Records of this kind that are about the edge.
sub about {
    my ($self, $kind, $edge) = @_;

    return map { @{ $self->{$kind}{$_} || [] } } $edge, '*';
}

# Is any of them going on between the two times, or was `after` seconds before?
sub during {
    my ($self, $kind, $edge, $from, $to, $after) = @_;

    for my $one ($self->about($kind, $edge)) {
        return 1 if $one->{begin} <= $to && $from <= $one->{end} + ($after // 0);
    }

    return 0;
}

# ---- changes -------------------------------------------------------------------

sub changes { return @{ $_[0]{changes}{ $_[1] } || [] } }

# Does the store's history certainly have the one before the other?
sub before {
    my ($one, $other) = @_;

    return 0 if $one->{outcome} ne 'ok';
    return 1 if $one->{answered} < $other->{sent};
    return 0 if $other->{outcome} ne 'ok';

    return defined $one->{era} && defined $other->{era}
        && $one->{era} == $other->{era} && $one->{version} < $other->{version};
}

# May a change of these kinds, sent before the time, come after this one?
sub overtaken {
    my ($self, $change, $kinds, $time) = @_;

    for my $other ($self->changes($change->{key})) {
        next if $other == $change || !$kinds->{ $other->{kind} };
        return 1 if $other->{sent} < $time && !before($other, $change);
    }

    return 0;
}

# Is the change certainly still part of the store's history at the time?
sub kept {
    my ($self, $change, $time) = @_;

    return 0 if !defined $change->{era};

    my @later = @{ $self->{loss} }[ $change->{era} .. $#{ $self->{loss} } ];

    for my $loss (@later) {
        return 0 if $loss->{begin} < $time && $loss->{kept} < $change->{version};
    }

    return 1;
}

sub proven {
    my ($change, $time) = @_;

    return $change->{proven} ne '' && $change->{proven} < $time;
}

sub losses {
    my ($self) = @_;

    for my $change (map { @$_ } values %{ $self->{changes} }) {
        next if $change->{kind} ne 'revoke' || !$change->{replicas}
             || $change->{proven} eq '' || !defined $change->{era};

        my $loss = $self->{loss}[ $change->{era} ] or next;

        $self->violation('forgotten', "the revoke of $change->{key}, version "
            . "$change->{version}, was proven with a replica; the failover at "
            . "$loss->{begin} kept up to $loss->{kept}", change => $change)
            if $loss->{kind} eq 'failover'
            && proven($change, $loss->{begin})
            && $change->{version} > $loss->{kept};
    }

    return;
}

# ---- one check -----------------------------------------------------------------

sub check {
    my ($self, $check) = @_;

    if ($check->{status} == 200) {
        $self->allowed($check);

    } elsif ($check->{status} == 401
             && $REFUSAL{ $check->{code} })
    {
        $self->denied($check);

    } elsif ($check->{status} == 503
             && $check->{code} =~ /^(?:stale|unavailable)$/)
    {
        $self->unavailable($check);

    } elsif ($check->{status} == 0) {
        $self->lost($check);

    } else {
        $self->accuse(odd => $check, 'no answer of the gate');
    }

    return;
}

sub accuse {
    my ($self, $rule, $check, $why) = @_;

    $self->violation($rule, sprintf('%s: %s on %s for %s, %.6f to %.6f: %s',
        $rule, join(' ', grep { $_ ne '' } @$check{qw(status code)}),
        @$check{qw(edge key begin end)}, $why), check => $check);

    return;
}

sub allowed {
    my ($self, $check) = @_;

    my ($edge, $begin, $end) = @$check{qw(edge begin end)};
    my @changes = grep { $_->{sent} < $end } $self->changes($check->{key});

    $self->accuse(identity => $check, "it was taken for $check->{id}")
        if $check->{id} ne $check->{key};

    $self->accuse(never => $check, @changes ? 'it was never enabled'
                                            : 'nobody ever created it')
        if !grep { $ON{ $_->{kind} } } @changes;

    if (my $why = $self->refused_for_ever($check)) {
        $self->accuse(revoked => $check, $why);
    }

    for my $change (@changes) {
        next if $change->{kind} ne 'disable' || !proven($change, $begin)
             || !$self->kept($change, $end)
             || $self->overtaken($change, \%ON, $end);

        $self->accuse(disabled => $check, "it was disabled, version "
            . "$change->{version}, proven at $change->{proven}");
        last;
    }

    for my $dark (@{ $self->{dark}{$edge} }) {
        $self->accuse(lease => $check, "no renewal since $dark->{begin}, "
                . "$dark->{why}, until $dark->{end}")
            if $begin > $dark->{begin} + $self->{lease} && $end < $dark->{end};
    }

    $self->truth($check);

    return;
}

sub refused_for_ever {
    my ($self, $check) = @_;

    my ($edge, $begin, $end) = @$check{qw(edge begin end)};

    for my $change (grep { $_->{kind} eq 'revoke' }
                    $self->changes($check->{key}))
    {
        next if !proven($change, $begin);

        my $what = "it was revoked, version $change->{version}, proven at "
                 . $change->{proven};

        return "$what, acknowledged by this edge" if $change->{by}{$edge};
        return $what if $self->kept($change, $end);
    }

    my $seen = $self->{seen}{$edge}{ $check->{key} };

    return "this edge had answered 401 revoked at $seen"
        if defined $seen && $seen < $begin
        && !$self->during(damage => $edge, $seen, $end);

    return undef;
}

sub denied {
    my ($self, $check) = @_;

    my ($edge, $key, $begin, $end, $code) = @$check{qw(edge key begin end code)};

    $self->seen($check) if $code eq 'revoked';

    return if $code eq 'unknown'
           && $self->during(damage => $edge, $begin, $end);

    my $refusal = $REFUSAL{$code};

    for my $change ($self->changes($key)) {
        next if !$refusal->{in_spite_of}{ $change->{kind} }
             || !proven($change, $begin) || !$self->kept($change, $end)
             || $self->overtaken($change, $refusal->{by}, $end);

        $self->accuse(denied => $check, "$change->{kind}, version "
            . "$change->{version}, was proven at $change->{proven}");
        last;
    }

    $self->truth($check);

    return;
}

# Since when this edge is known to have seen the revoke; again, if its files
# were damaged since.
sub seen {
    my ($self, $check) = @_;

    my ($edge, $end) = @$check{qw(edge end)};
    my $seen = \$self->{seen}{$edge}{ $check->{key} };

    $$seen = $end
        if !defined $$seen || $self->during(damage => $edge, $$seen, $end);

    return;
}

# What the store says at the end, or the refusal for ever that it has forgotten.
sub truth {
    my ($self, $check) = @_;

    my $truth = $self->{truth}{ $check->{key} } or return;
    my $got   = $check->{status} == 200 ? 'enabled' : $check->{code};
    my $want  = $truth->{status} eq 'absent' ? 'unknown' : $truth->{status};

    return if $check->{begin} <= $truth->{at} || $got eq $want;
    return if $got eq 'revoked'
           && grep { $_->{kind} eq 'revoke' } $self->changes($check->{key});

    $self->accuse(truth => $check, "the store says $truth->{status}");

    return;
}

sub unavailable {
    my ($self, $check) = @_;

    $self->accuse(unhealed => $check, 'no fault is on')
        if !$self->during(fault => $check->{edge}, @$check{qw(begin end)},
                          $self->{bound});

    return;
}

sub lost {
    my ($self, $check) = @_;

    my ($edge, $opened, $begin, $end) = @$check{qw(edge opened begin end)};

    return if $check->{code} ne 'timeout'
           && ($self->during(breaks => $edge, $opened, $end)
               || $opened < $begin
                  && $self->during(closes => $edge, $opened, $end));

    $self->accuse(lost => $check, 'nothing broke connections');

    return;
}

1;
