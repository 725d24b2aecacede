# Two daemons under one edge's name: the store knows one, and the other says so
# and gets no lease.  A restart on the same table is not that.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 2000;
my $STORE = '{apikey}';

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

my $key = $r->create(digest => sha256_hex('key'));

sub daemon { return Apikey::Daemon->start(redis => $r, edge => 'e1', @_) }

# Whose renewal the store has, as the daemon's own id on its page tells.
sub renewed_by {
    my %edge = @{ $r->ok('HGETALL', "$STORE:edges") };

    return ($edge{e1} // '') =~ /"boot":"(\w+)"/ ? $1 : '';
}

sub acked {
    return $r->acked('e1');
}

# ---- a restart on the same table waits for nothing -----------------------------

my $first = daemon()->wait_ready;
my $table = $first->table;
my %seen  = (renewed_by() => 1);

for my $end (qw(kill9 stop kill9 kill9)) {
    $first->$end;
    $first = daemon(table => $table)->wait_ready;
    Apikey::Process::wait_for(sub { !$seen{ renewed_by() }++ }, 5,
                              'the new daemon to renew');
    unlike $first->log, qr/cause=name/, "$end, the same table: takes the name over";
}

# killed again and again before it could renew once
for (1 .. 5) {
    $first->kill9;
    $first = daemon(table => $table);
    $first->wait_log(qr/msg=started/);
}

$first->kill9;
$first = daemon(table => $table)->wait_ready;
unlike $first->log, qr/cause=name/, 'killed at each start: takes the name over';

# ---- another table, the same name ----------------------------------------------

my $second = daemon();

$second->wait_log(qr/the lease is not renewed" .*cause=name/);
like $second->log, qr/cause=name .*edge=e1 holder=/, 'a second one: says so';
cmp_ok $second->control->{cause_name}, '>', 0, 'a second one: counted';

my $until = time + 2 * $LEASE / 1000;

Apikey::Process::wait_for(sub { time > $until }, 20, 'two leases to pass');
ok $first->live,   'the first goes on';
ok !$second->live, 'the second gets no lease';
is $second->control->{snapshots}, 1, 'and does not read all keys again';
unlike $first->log, qr/cause=name/, 'the first has no trouble';

my $change = $r->set_status($key->{id}, 'disabled');

Apikey::Process::wait_for(sub { acked() >= $change->{version} }, 5,
                          'the acknowledgement');
is $first->status($key->{digest}), 'disabled',
    'what is acknowledged is what the first has applied';

# ---- the first is gone ---------------------------------------------------------

$first->kill9;
$second->wait_ready(15);
pass 'the first is gone: the second has the name once its lease is over';

# ---- and comes back ------------------------------------------------------------

$first = daemon(table => $table);
$first->wait_log(qr/cause=name/);
Apikey::Process::wait_for(sub { !$first->live }, 10, 'the old lease to end');
ok $second->live, 'the first comes back: too late, it gets no lease';

is $_->stop, 0, 'exit 0' for $first, $second;

done_testing;
