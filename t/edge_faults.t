# What callers of an edge see while a part of it is down: what the table still
# confirms within the lease, then 503, and never a wrong answer.

use strict;
use warnings;

use lib 't/lib';

use Test::More;
use Time::HiRes qw(time);

use Apikey::Edge;
use Apikey::Process;

my $LEASE = 2;    # seconds

my $e = Apikey::Edge->start(workers => 2, lease => $LEASE * 1000, daemon => 0);

# ---- nginx starts before there is a table ------------------------------------

my $early = $e->key(name => 'early');

is $e->get($early)->status, 503, 'without a table: 503';
is $e->get($early)->code, 'unavailable', 'without a table: unavailable';
is $e->get($early)->header('Retry-After'), '1', 'without a table: Retry-After';
is $e->nginx->get('/')->status, 401, 'without a key: 401 all the same';

my @workers = $e->nginx->workers;

$e->start_daemon;
$e->wait_status($early, 200);
is_deeply [ sort $e->nginx->workers ], [ sort @workers ],
    'the table came: the same workers accept the key';

my $revoked = $e->key(name => 'revoked');
my $disabled = $e->key(name => 'disabled');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->ctl->ok('disable', $disabled->{id});
$e->wait_status($revoked, 401, 'revoked');
$e->wait_status($disabled, 401, 'disabled');

# ---- Redis is gone -------------------------------------------------------------

for my $how (qw(STOP KILL)) {
    my $began = time;
    my $ok    = 0;

    $how eq 'STOP' ? $e->redis->process->signal('STOP') : $e->redis->kill9;

    Apikey::Process::wait_for(sub {
        my $r = $e->get($early);

        $ok++ if $r->status == 200;
        return $r->status == 503;
    }, $LEASE + 5, 'the lease to end');

    my $took = time - $began;

    ok $ok > 0, "Redis SIG$how: served at first";
    ok $took < $LEASE + 1, "Redis SIG$how: 503 when the lease is over"
        or diag "after $took s";
    is $e->get($early)->code, 'stale', "Redis SIG$how: stale";
    is $e->get($early)->header('Retry-After'), '1', "Redis SIG$how: Retry-After";
    is $e->get({ text => 'x' x 32 })->code, 'stale',
        "Redis SIG$how: an unknown key is not called unknown";
    is $e->get($disabled)->code, 'stale',
        "Redis SIG$how: a disabled one may have been enabled";
    is $e->get($revoked)->code, 'revoked',
        "Redis SIG$how: a revoked one stays revoked";

    my ($exit, $out, $err) = $e->ctl->run('--timeout', '1s', 'disable', $early->{id});

    isnt $exit, 0, "Redis SIG$how: a change is refused";
    like $err, qr/\S/, "Redis SIG$how: and it is said why";

    $how eq 'STOP' ? $e->redis->process->signal('CONT') : $e->redis->start_again;

    $e->wait_status($early, 200, undef, 10);
    pass "Redis SIG$how: healed";
    is $e->get($revoked)->code, 'revoked', "Redis SIG$how: revoked for ever";
}

$e->stop;

done_testing;
