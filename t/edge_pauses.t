# The daemon, or workers in the middle of requests, are stopped and go on
# later: nobody decides by a view that is older than the lease.

use strict;
use warnings;

use lib 't/lib';

use IO::Select ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Edge;
use Apikey::HTTP;
use Apikey::Process;
use Apikey::Watch;

my $LEASE   = 600;    # milliseconds
my $ROUNDS  = 8;
my $CLIENTS = 60;

# /now is answered in the same breath as it is decided
my $e = Apikey::Edge->start(
    workers => 2, lease => $LEASE,
    server => 'location = /now { apikey on; try_files /none =204; }');

my $good = $e->key(name => 'good');

sub longer_than_the_lease { return sleep $LEASE / 1000 * 1.3 }

sub ask {
    my ($key, @clients) = @_;

    my $bytes = Apikey::HTTP::compose('GET', '/now', 'X-API-Key' => $key->{text});

    $_->send($bytes) for @clients;

    return;
}

sub acked {
    return $e->redis->acked('edge-1');
}

# Answers as "status code", how often.
sub counted {
    my %seen;

    $seen{ !$_ ? 'lost' : $_->status . ($_->code && ' ') . $_->code }++ for @_;

    return \%seen;
}

# ---- the daemon ------------------------------------------------------------------

for my $round (1 .. 3) {
    my $key = $e->key(name => "daemon $round");
    my $pid = $e->daemon->pid;

    $e->daemon->process->signal('STOP');
    $e->ctl->ok('revoke', '--yes', $key->{id});

    my $over = Apikey::Watch::now() + $LEASE * 1.02e6 + 100e6;
    my ($late, @late) = 0;

    until ($late > 20) {
        my $began = Apikey::Watch::now();
        my $r     = $e->get($key);

        next if $began < $over;
        push @late, $r;
        $late++;
    }

    is_deeply counted(@late), { '503 stale' => scalar @late },
        "daemon stopped, $round: 503 for a key that was revoked meanwhile";
    is $e->get($good)->code, 'stale',
        "daemon stopped, $round: for any key";

    $e->daemon->process->signal('CONT');
    $e->wait_status($key, 401, 'revoked');
    $e->wait_status($good, 200);
    is $e->daemon->pid, $pid, "daemon continued, $round: it heals by itself";
    is $e->daemon->control->{snapshots}, 1,
        "daemon continued, $round: from the log";
}

# ---- workers: requests that arrive while they are stopped -------------------------

for my $round (1 .. 3) {
    my $key = $e->key(name => "arrived $round");

    kill STOP => $e->nginx->workers;

    my @clients = map { $e->nginx->connect } 1 .. $CLIENTS;

    ask($key, @clients);
    $e->ctl->ok('revoke', '--yes', $key->{id});
    Apikey::Process::wait_for(sub { acked() >= $e->redis->meta->{version} },
                              10, 'the acknowledgement');
    kill CONT => $e->nginx->workers;

    is_deeply counted(map { $_->response } @clients),
        { '401 revoked' => $CLIENTS },
        "workers stopped, $round: what they find waiting they refuse";
}

# ---- workers: requests that they are in the middle of --------------------------------

# While many ask, the workers are stopped at any moment, and the daemon with
# them, so that no later deadline comes to their rescue.  When they go on the
# lease is over: of what was not answered yet, each may let through the one
# request that it had decided already.
my $in_the_middle = 0;

for my $round (1 .. $ROUNDS) {
    my @clients = map { $e->nginx->connect } 1 .. $CLIENTS;
    my @workers = $e->nginx->workers;

    if (my $pid = fork // die "fork: $!") {
        sleep rand 0.01;
        kill STOP => $e->daemon->pid, @workers;
        waitpid $pid, 0;
    } else {
        ask($good, @clients);
        POSIX::_exit(0);
    }

    my @rest = grep { !IO::Select->new($_->{socket})->can_read(0) } @clients;

    $in_the_middle += @rest && @rest < @clients;
    longer_than_the_lease();
    kill CONT => @workers;

    my $seen = counted(map { $_->response } @rest);

    cmp_ok $seen->{204} // 0, '<=', @workers,
        "stopped in the middle, $round: none is decided by the old view"
        or diag explain $seen;
    is scalar(grep { !/^(?:204|503 stale)$/ } keys %$seen), 0,
        "stopped in the middle, $round: nothing is lost"
        or diag explain $seen;

    $e->daemon->process->signal('CONT');
    $e->wait_status($good, 200);
}

cmp_ok $in_the_middle, '>', 0, 'some were stopped in the middle';

$e->stop;

done_testing;
