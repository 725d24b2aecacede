# No file descriptors are left, to the daemon or to nginx's workers: nothing is
# allowed that should not be, whoever can't go on says why, and goes on once
# there are some.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Daemon;
use Apikey::Edge;
use Apikey::HTTP;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 500;    # milliseconds

sub limit {
    my ($pid, $n) = @_;

    system('prlimit', "--pid=$pid", "--nofile=$n:1024") == 0
        or die "prlimit: $?\n";

    return;
}

sub descriptors { return scalar(() = glob "/proc/$_[0]/fd/*") }

# ---- the daemon, from its start ----------------------------------------------------

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 5;

# With each limit it either works, or ends with a line that says why, or waits
# and works when it may.  (With less than 6, libuv aborts before we are asked.)
{
    my %seen;

    for my $n (6 .. 24) {
        local $ENV{APIKEY_SYNC_WRAPPER} = "prlimit --nofile=$n:1024";

        $r->ok('DEL', '{apikey}:edges');

        my $d = Apikey::Daemon->start(redis => $r, edge => 'edge');

        Apikey::Process::poll(
            sub { !$d->process->alive || $d->live || $d->log =~ /Too many|too many/ },
            10);

        # whoever says this is about to end
        $d->process->wait(5) if $d->log =~ /the table cannot be used|no event loop/;

        if (!$d->process->alive) {
            $seen{ended}++;
            is $d->process->exit_code, 1, "$n descriptors: exit 1";
            like $d->log, qr/[Tt]oo many open files|no event loop/,
                "$n descriptors: and says why";
            next;
        }

        $seen{ $d->live ? 'live' : 'waits' }++;
        limit($d->pid, 256);
        ok eval { $d->wait_ready }, "$n descriptors: live once it may have more"
            or diag $d->log;
        is $d->stop, 0, 'exit 0';
    }

    ok $seen{$_}, "some $_" for qw(ended waits live);
}

# ---- a daemon that runs ------------------------------------------------------------

my $e = Apikey::Edge->start(
    workers => 1, lease => $LEASE,
    main => 'worker_rlimit_nofile 64;',
    expect_log => qr/accept4?\(\) failed \(24: Too many open files\)/,
    server => 'location = /now { apikey on; try_files /none =204; }');

my $good    = $e->key(name => 'good');
my $revoked = $e->key(name => 'revoked');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->wait_status($revoked, 401, 'revoked');

# what it has it keeps
my $pid = $e->daemon->pid;

limit($pid, descriptors($pid));

my $toggled = $e->key(name => 'toggled');

$e->ctl->ok('disable', $toggled->{id});
$e->wait_status($toggled, 401, 'disabled');
pass 'a daemon without another descriptor: follows';

# what it loses it cannot make anew
$e->redis->ok('CLIENT', 'KILL', 'TYPE', $_, 'SKIPME', 'yes')
    for qw(pubsub normal);
limit($pid, 4);
$e->wait_status($good, 503, 'stale');
$e->ctl->ok('enable', $toggled->{id});
is $e->get($toggled)->code, 'stale', 'and without connections: stale';
is $e->get($revoked)->code, 'revoked', 'revoked is revoked';
ok $e->daemon->process->alive, 'it goes on trying';
$e->daemon->wait_log(qr/[Tt]oo many open files/);
pass 'and says why';
limit($pid, 1024);
$e->wait_status($toggled, 200);
is $e->daemon->pid, $pid, 'there are some again: it heals by itself';

# ---- a worker --------------------------------------------------------------------------

my ($worker) = $e->nginx->workers;
my @idle;

# connections that are kept, until the worker takes no more
for (1 .. 80) {
    my $c = $e->nginx->connect;

    $c->send(Apikey::HTTP::compose('GET', '/now', 'X-API-Key' => $good->{text},
                                   Connection => 'keep-alive'));
    push @idle, $c;
    last if !IO::Select->new($c->{socket})->can_read(0.3);
    is $c->response->status, 204, 'a connection' if @idle == 1;
    $c->response if @idle > 1;
}

my ($kept, $other) = @idle;

cmp_ok descriptors($worker), '>=', 63, 'the worker has no descriptor left';

sub ask {
    my ($c, $key) = @_;

    $c->send(Apikey::HTTP::compose('GET', '/now', 'X-API-Key' => $key->{text},
                                   Connection => 'keep-alive'));

    my $response = $c->response;

    return $response->status . ($response->code && ' ') . $response->code;
}

is ask($kept, $good), '204', 'no descriptor left: what is mapped serves';
is ask($kept, $revoked), '401 revoked', 'no descriptor left: and refuses';

# another generation, that it can't open
$e->daemon->stop;
$e->start_daemon;
is ask($kept, $good), '503 unavailable', 'a new generation: 503';
is ask($kept, $revoked), '503 unavailable', 'a new generation: 503 for all';
like $e->nginx->error_log,
    qr/apikey: table .* cannot be used: a system error \(memory, file descriptors\)/,
    'a new generation: the log says why';

$_->close for splice @idle, 2;
Apikey::Process::wait_for(sub { ask($other, $good) eq '204' }, 5, 'the worker to heal');
is ask($kept, $revoked), '401 revoked', 'there are some again: it heals by itself';
is_deeply [ $e->nginx->workers ], [$worker], 'it is the same worker';
$e->wait_status($good, 200);
pass 'and it takes connections again';

$e->stop;

done_testing;
