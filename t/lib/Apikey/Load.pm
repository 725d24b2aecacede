package Apikey::Load;

# Clients that ask the gate of an edge without a pause, beside the test, and
# what they were answered.
#
#   my $load = Apikey::Load->start($edge, 2, good => $key, revoked => $other);
#   ...
#   my $seen = $load->stop;
#   $seen->{'good 200'};             # how often; also 'revoked 401 revoked',
#                                    # and 'good lost' for no answer at all
#   $load->last('good 200');         # when the last of them was begun
#
# Each request has a connection of its own.  Times are as Apikey::Watch::now.

use strict;
use warnings;

use JSON::PP ();
use POSIX ();

use Apikey::Watch ();

sub start {
    my ($class, $edge, $n, @keys) = @_;

    my @clients;

    for (1 .. $n) {
        pipe my $report, my $write or die "pipe: $!";
        pipe my $wait, my $go_on or die "pipe: $!";

        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            close $go_on;
            close $_->{stop} for @clients;
            eval { ask($edge, $write, $wait, @keys) };
            POSIX::_exit(0);
        }

        push @clients, { pid => $pid, report => $report, stop => $go_on };
    }

    return bless { clients => \@clients }, $class;
}

sub ask {
    my ($edge, $report, $wait, @keys) = @_;

    my (%seen, %last);
    my $stop = '';

    vec($stop, fileno $wait, 1) = 1;

    until (select my $ready = $stop, undef, undef, 0) {
        for (my $i = 0; $i < @keys; $i += 2) {
            my $began = Apikey::Watch::now();
            my $r     = eval { $edge->get($keys[ $i + 1 ]) };
            my $what  = "$keys[$i] "
                . (!$r ? 'lost' : $r->status . ($r->code && ' ') . $r->code);

            $seen{$what}++;
            $last{$what} = $began;
        }
    }

    print {$report} JSON::PP::encode_json([ \%seen, \%last ]);
    close $report;

    return;
}

sub stop {
    my ($self) = @_;

    close $_->{stop} for @{ $self->{clients} };

    for my $client (@{ delete $self->{clients} }) {
        my ($seen, $last)
            = @{ JSON::PP::decode_json(readline $client->{report}) };

        waitpid $client->{pid}, 0;

        for (keys %$seen) {
            $self->{seen}{$_} += $seen->{$_};
            $self->{last}{$_} = $last->{$_}
                if $last->{$_} > ($self->{last}{$_} // 0);
        }
    }

    return $self->{seen};
}

sub last { return $_[0]{last}{ $_[1] } // 0 }

1;
