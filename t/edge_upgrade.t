# Reloads every 200 ms, killed workers and an upgrade of nginx's binary, all
# under load and with a hundred changes a second: nothing is allowed that
# should not be, and no request is lost but those of a worker that is killed.

use strict;
use warnings;

use lib 't/lib';

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Edge;
use Apikey::Load;
use Apikey::Process;
use Apikey::Watch;

my $STORE = '{apikey}';

my $e = Apikey::Edge->start(workers => 2, upgradable => 1,
                            expect_log => qr/exited on signal 9/);

my $good    = $e->key(name => 'good');
my $revoked = $e->key(name => 'revoked');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->wait_status($revoked, 401, 'revoked');

my $pepper = $e->redis->meta->{peppers};
my @others = map { $e->redis->create(pepper => $pepper)->{id} } 1 .. 50;

sub acked {
    my ($client) = @_;

    return $client->acked('edge-1');
}

# Disables and enables keys, a hundred times a second, until the handle closes.
sub change {
    my ($wait) = @_;

    my $client = $e->redis->connect;
    my $n      = 0;
    my $stop   = '';

    vec($stop, fileno $wait, 1) = 1;

    until (select my $ready = $stop, undef, undef, 0.01) {
        $client->ok('FCALL', 'apikey_set_status', 1, $STORE,
                    $others[ $n % @others ],
                    int($n / @others) % 2 ? 'enabled' : 'disabled', 'actor', 't');
        $n++;
    }

    return;
}

# Runs the sub under load and changes; what the clients saw.  lost => 1: some
# may get no answer.
sub row {
    my ($name, $sub, %opt) = @_;

    my $load = Apikey::Load->start($e, 1, good => $good, revoked => $revoked);
    my $from = $e->redis->meta->{version};

    pipe my $wait, my $go_on or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $go_on;
        eval { change($wait) };
        POSIX::_exit(0);
    }

    close $wait;
    $sub->();
    Apikey::Process::wait_for(sub { $e->redis->meta->{version} - $from > 10 },
                              20, 'changes');
    close $go_on;
    waitpid $pid, 0;

    my $seen = $load->stop;
    my $lost = $opt{lost} ? qr/lost/ : qr/(?!)/;

    is join(', ', grep { !/^(?:good (?:200|$lost)|revoked (?:401 revoked|$lost))$/ }
            sort keys %$seen),
        '', "$name: nothing wrong" . ($opt{lost} ? '' : ', nothing lost')
        or diag explain $seen;
    cmp_ok $seen->{'good 200'} // 0, '>', 20, "$name: there was load";
    cmp_ok $e->redis->meta->{version} - $from, '>', 10,
        "$name: there were changes";

    return;
}

# A key is revoked; once the edge has acknowledged that, every worker of every
# master refuses it.
my $keys = 0;

sub revoke {
    my ($what) = @_;

    my $key = $e->key(name => 'key ' . ++$keys);
    my $v   = $e->redis->set_status($key->{id}, 'revoked')->{version};

    Apikey::Process::wait_for(sub { acked($e->redis->client) >= $v }, 10,
                              'the acknowledgement');

    is_deeply $e->answers($key, 20), { '401 revoked' => 20 },
        "$what: a key is refused once its revocation is acknowledged";

    return;
}

# ---- reloads ---------------------------------------------------------------------

row('reloads', sub {
    for (1 .. 15) {
        kill HUP => $e->nginx->master;
        sleep 0.2;
        revoke("reload $_") if $_ % 5 == 0;
    }
});

Apikey::Process::wait_for(sub { $e->nginx->workers == 2 }, 15,
                          'the old workers to end');

# ---- killed workers ----------------------------------------------------------------

row('killed workers', sub {
    for my $round (1 .. 6) {
        my ($victim) = $e->nginx->workers;

        kill KILL => $victim;
        Apikey::Process::wait_for(
            sub { 2 == grep { $_ != $victim } $e->nginx->workers }, 10,
            'another worker');
        revoke("worker killed, $round") if $round % 3 == 0;
    }
}, lost => 1);

# ---- another binary ------------------------------------------------------------------

for my $round (1 .. 2) {
    row("upgrade $round", sub {
        my $old = $e->nginx->master;

        kill USR2 => $old;
        Apikey::Process::wait_for(
            sub { $e->nginx->master !~ /^(?:0|$old)$/ && $e->nginx->workers == 2 },
            10, 'the new master and its workers');

        revoke("upgrade $round, two masters");
        kill QUIT => $old;
        Apikey::Process::wait_for(sub { !kill 0, $old }, 15, 'the old master to end');
        revoke("upgrade $round, the new master alone");
    });
}

$e->stop;

done_testing;
