# Rounds of the soak, short and with seeds and faults that do not change: two
# edges with their daemons, Redis with a replica, clients and changes; no
# history may hold a violation.  `make soak` is the long form; docs/internals.md
# says how to look into a history.

use strict;
use warnings;

use lib 't/lib', 'soak';

use List::Util qw(sum0);
use Test::More;

use Apikey::Process;
use Soak::Round;

for my $row (
    [ 704, 'failover kill hole copy_all worker_stop lossy' ],
    [ 862, 'flush failpoint worker_kill zero_keys refuse stop reload admin_reset' ],
) {
    my ($seed, $faults) = @$row;

    my @said;
    my $result = Soak::Round->run(
        seed     => $seed,
        faults   => $faults,
        seconds  => 8,
        edges    => 2,
        clients  => 1,
        changers => 2,
        pause    => 0.01,
        # on a busy machine a lease may run out for want of time
        bound    => 60,
        dir      => Apikey::Process::build_dir() . '/soak',
        say      => sub { push @said, @_ },
    );

    is scalar @{ $result->{violations} }, 0, "seed $seed: no violation"
        or diag join "\n", @said;

    my ($checks, $changes) = @$result{qw(checks changes)};
    my $proven = sum0(map { $changes->{$_} } grep { /proven/ } keys %$changes);

    cmp_ok $checks->{200} // 0, '>', 20, "seed $seed: keys were allowed";
    cmp_ok $proven, '>', 4, "seed $seed: and changed, and that was proven";
    note explain { %$result, violations => undef };
}

done_testing;
