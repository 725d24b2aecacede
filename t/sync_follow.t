# apikey-sync in fair weather: the snapshot, following, the acknowledgement and
# the lease.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 3000;

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
$r->member('mem_1', tenant => 'ten_1');

# more than a page of the snapshot, in all three statuses
my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 2500;

$r->set_status($keys[$_]{id}, 'disabled') for grep { $_ % 10 == 1 } 0 .. 2499;
$r->set_status($keys[$_]{id}, 'revoked')  for grep { $_ % 10 == 2 } 0 .. 2499;

my $full = $r->create(
    digest  => sha256_hex('full'),
    name    => "Zo\xc3\xab's key",
    scopes  => 'a:read b:write',
    expires => 4102444800,
);

my $d = Apikey::Daemon->start(redis => $r, edge => 'e1');

$d->wait_ready;

# ---- the snapshot --------------------------------------------------------------

my @lines = $d->table_get(map { $_->{digest} } @keys);
my @want  = ('enabled') x 10;

@want[1, 2] = qw(disabled revoked);

is_deeply [ map { (split)[0] } @lines ], [ map { $want[ $_ % 10 ] } 0 .. 2499 ],
    'all keys of the snapshot have their statuses';
like $d->table_get($full->{digest}),
    qr/^enabled version=$full->{version} late_ms=-\d+ expires=4102444800 id=$full->{id} member=mem_1 tenant=ten_1 name=Zo\xc3\xab's key scopes=a:read b:write$/,
    'a record has all its texts';
is $d->status(sha256_hex('nobody')), 'unknown', 'another digest is unknown';
is $d->control->{pepper0}, $Apikey::Redis::FINGERPRINT,
    'readers learn the peppers';
is $d->control->{snapshots}, 1, 'one snapshot';
is $d->control->{pid}, $d->pid, 'the control page names the daemon';

# ---- following -----------------------------------------------------------------

sub acked {
    return $r->acked('e1');
}

sub wait_acked {
    my ($version) = @_;

    return Apikey::Process::wait_for(sub { acked() >= $version }, 10,
                                     "the acknowledgement of $version");
}

my $k = $r->create(digest => sha256_hex('life'));

wait_acked($k->{version});
is $d->status($k->{digest}), 'enabled', 'create: acknowledged, and there';

for my $status (qw(disabled enabled disabled revoked)) {
    my $change = $r->set_status($k->{id}, $status);

    wait_acked($change->{version});
    like $d->table_get($k->{digest}), qr/^$status version=$change->{version} /,
        "$status: acknowledged, and there";
}

my $m = $r->member('mem_2', tenant => 'ten_2');

wait_acked($m->{version});
pass 'a member: nothing for the table, acknowledged all the same';
is $d->control->{version}, $m->{version}, 'the control page has the version';

# the acknowledgement does not wait for the next renewal that is due
my @took;

for (1 .. 50) {
    my $began  = time;
    my $change = $r->set_status($keys[0]{id}, $_ % 2 ? 'disabled' : 'enabled');

    1 while acked() < $change->{version} && time < $began + 5;
    push @took, (time - $began) * 1000;
}

@took = sort { $a <=> $b } @took;
note sprintf 'change to acknowledgement, ms: p50 %.2f max %.2f', @took[25, 49];
ok $took[25] < 50, 'acknowledgements come at once';

cmp_ok $d->control->{catchups}, '<', 5, 'the log is hardly ever read';
is $d->control->{snapshots}, 1, 'no other snapshot was taken';

# ---- many changes at once ------------------------------------------------------

my $client = $r->connect;
my $before = $d->control->{version};

$client->send('FCALL', 'apikey_set_status', 1, '{apikey}', $keys[$_ % 10]{id},
              ($_ / 10) % 2 ? 'enabled' : 'disabled', 'actor', 't')
    for 0 .. 1999;
$client->read_reply(10) for 1 .. 2000;

my $head = $r->meta->{version};

wait_acked($head);
is $d->control->{version}, $head, 'a flood of changes: all applied';

# ---- the lease -----------------------------------------------------------------

my ($low, $high) = (1e9, 0);
my $end = time + $LEASE / 1000;

while (time < $end) {
    my $left = $d->control->{deadline_ms};

    $low  = $left if $left < $low;
    $high = $left if $left > $high;
    Time::HiRes::sleep(0.02);
}

ok $high <= $LEASE, 'the lease is never longer than the store says'
    or diag $high;
ok $low > $LEASE / 2, 'and is renewed well before it ends' or diag $low;
is $d->control->{lease}, $LEASE, 'the control page has its length';

# ---- stopping ------------------------------------------------------------------

is $d->stop, 0, 'TERM: exit 0';
is $d->control->{pid}, 0, 'no process on the control page';
is $d->status($k->{digest}), 'revoked', 'the table stays';
unlike $d->log, qr/level=(?:error|warning)/, 'no trouble in the log';
unlike $d->log, qr/$k->{digest}/, 'no digest in the log';

# ---- a second start on the same table ------------------------------------------

my $again = Apikey::Daemon->start(redis => $r, edge => 'e1',
                                  table => $d->table);

$again->wait_ready;
unlike $again->log, qr/control page is new/,
    'a table that stayed needs no waiting';
is $again->status($k->{digest}), 'revoked', 'restart: the table is right';

# a control page that was lost: its readers may hold the lease still
$again->kill9;
unlink glob $again->table . '/*';

my $began = time;
my $third = Apikey::Daemon->start(redis => $r, edge => 'e1',
                                  table => $d->table);

$third->wait_ready;
like $third->log, qr/control page is new/, 'a lost control page: waits';
ok time - $began > $LEASE / 1000 * 0.5,
    'until the lease of the lost one is over';

# removed while it runs: made anew, without an acknowledgement meanwhile
unlink $third->table . '/control';
$third->wait_log(qr/the table was lost/);
Apikey::Process::wait_for(sub { $third->live }, 10, 'the table to be live');
is $third->status($k->{digest}), 'revoked',
    'a control page that was removed is made anew';

$third->stop;

done_testing;
