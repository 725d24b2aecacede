# The state directory: what an edge has seen revoked outlives the table, as
# after a reboot, and is not acknowledged before the disk has it.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 800;
my $STORE = '{apikey}';
my $HEAD  = 80;
my $SIZE  = 80;    # of a record

my $r     = Apikey::Redis->start;
my $state = Apikey::Process::tempdir();
my $file  = "$state/revoked";

chmod 0700, $state;
$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 20;
my $d;
my $mounted;

sub start {
    my (%opt) = @_;

    $d = Apikey::Daemon->start(redis => $r, edge => 'e1',
                               args => [ '--state', $state ], %opt);

    return $d;
}

# A new table, as after a reboot.
sub rebooted {
    $d->stop if $d && $d->process->alive;
    $r->ok('DEL', "$STORE:edges");    # so that nobody waits for the lease before
    start()->wait_ready;

    return;
}

sub acked {
    return $r->acked('e1');
}

sub wait_acked {
    my $head = $r->meta->{version};

    return Apikey::Process::wait_for(sub { acked() == $head }, 10,
                                     "version $head to be acknowledged");
}

sub records { return ((-s $file) - $HEAD) / $SIZE }

# The store forgets that the keys were revoked: a restore of an older backup.
sub forget {
    my (@keys) = @_;

    for my $key (@keys) {
        $r->ok('HSET', "$STORE:key:$key->{id}", 'status', 'enabled', 'version',
               $key->{version});
        $r->ok('ZREM', "$STORE:status:revoked", $key->{id});
        $r->ok('ZADD', "$STORE:status:enabled", $key->{version}, $key->{id});
    }

    $r->ok('HSET', "$STORE:meta", 'chain', 'c' x 40);

    return;
}

sub read_file {
    open my $fh, '<:raw', $file or die "$file: $!";
    local $/;

    return readline $fh;
}

sub write_file {
    my ($bytes) = @_;

    open my $fh, '>:raw', $file or die "$file: $!";
    print {$fh} $bytes;
    close $fh or die $!;

    return;
}

# ---- what is followed ----------------------------------------------------------

start()->wait_ready;
wait_acked();
is records(), 0, 'nothing was revoked: an empty file';
is sprintf('%04o', (stat $file)[2] & 07777), '0600', 'for nobody else to read';

$r->set_status($keys[0]{id}, 'disabled');
wait_acked();
is records(), 0, 'what can be undone is not kept';

$r->set_status($keys[$_]{id}, 'revoked') for 0 .. 4;
wait_acked();
is records(), 5, 'what was acknowledged is in the file';
is $d->control->{kept}, 5, 'and counted';

$d->kill9;
forget(@keys[0 .. 4]);
rebooted();
is $d->status($keys[$_]{digest}), 'revoked',
    "key $_: another table, a store that forgot: refused" for 0 .. 4;
is $d->status($keys[5]{digest}), 'enabled', 'key 5: was never revoked';
is $d->control->{conflicts}, 5, 'they are conflicts';
like $d->log, qr/a forgotten revocation" key=$keys[0]{id}/, 'and named';
wait_acked();
is records(), 5, 'the file is as it was';

# ---- what a snapshot brings ----------------------------------------------------

$d->stop;
$r->set_status($keys[$_]{id}, 'revoked') for 5 .. 9;
rebooted();
wait_acked();
is records(), 10, 'revoked while the edge was away: in the file';
$d->stop;
forget(@keys[5 .. 9]);
rebooted();
is $d->status($keys[9]{digest}), 'revoked', 'and held to afterwards';

# ---- settled -------------------------------------------------------------------

Apikey::Process::wait_for(
    sub { @{ $r->fcall_ok('conflicts') } }, 5, 'the report');
$r->fcall_ok('settle', $keys[9]{id}, as => 'accepted', actor => 'op',
             reason => 'a test');
wait_acked();
is $d->status($keys[9]{digest}), 'enabled', 'accepted: lives again';
rebooted();
wait_acked();
is $d->status($keys[9]{digest}), 'enabled', 'accepted: also after a reboot';
is $d->status($keys[8]{digest}), 'revoked', 'the others are still refused';
is records(), 9, 'and the file forgets it';

# ---- a file that was cut, or damaged -------------------------------------------

$d->stop;

my $whole = read_file();

write_file(substr($whole, 0, $HEAD + 5 * $SIZE + 17));
rebooted();
wait_acked();
is records(), 5, 'a record that was cut is written over';
like $d->log, qr/snapshot published/, 'a record that was cut stops nothing';

$d->stop;

my $damaged = $whole;

substr($damaged, $HEAD + 3 * $SIZE + 40, 1) ^= "\x01";
write_file($damaged);
rebooted();
wait_acked();
like $d->log, qr/were damaged and are lost.* keys=1/, 'a damaged record is told';
is records(), 8, 'and left out';
is scalar(grep { $d->status($_->{digest}) eq 'revoked' } @keys[0 .. 8]), 8,
    'the other records count';
$d->stop;

# ---- what is not used ----------------------------------------------------------

sub refused {
    my ($what, $pattern, $sub, $undo) = @_;

    $sub->();
    start();
    ok $d->process->wait(10), "$what: the daemon ends";
    is $d->process->exit_code, 1, "$what: exit 1";
    like $d->log, $pattern, "$what: says why";
    $undo->();

    return;
}

refused('another file', qr/no file of revocations/,
        sub { write_file("hello\n" x 100) }, sub { write_file($whole) });
refused('a head that was changed', qr/no file of revocations/,
        sub { write_file('x' . substr $whole, 1) },
        sub { write_file($whole) });
refused('an empty file', qr/no file of revocations/, sub { write_file('') },
        sub { write_file($whole) });
refused('a directory that others may write', qr/others may write it; make it/,
        sub { chmod 0777, $state }, sub { chmod 0700, $state });
refused('a file that others may write', qr/writable by nobody else/,
        sub { chmod 0666, $file }, sub { chmod 0600, $file });
refused('no directory', qr/No such file.*create it/,
        sub { rename $state, "$state.away" },
        sub { rename "$state.away", $state });

rebooted();
{
    my $second = Apikey::Daemon->start(redis => $r, edge => 'e2',
                                       args => [ '--state', $state ]);

    ok $second->process->wait(10), 'in use: the second daemon ends';
    is $second->process->exit_code, 1, 'in use: exit 1';
    like $second->log, qr/another apikey-sync uses it/, 'in use: says why';
}

# ---- a disk that does not answer -----------------------------------------------

$d->stop;

my $shim = Apikey::Process::tempdir();

open my $source, '|-', $ENV{CC} // 'cc', '-x', 'c', '-shared', '-fPIC', '-o',
    "$shim/hang.so", '-' or die "cc: $!";
print {$source} <<"END";
#include <unistd.h>
int
fdatasync(int fd)
{
    (void) fd;

    while (access("$shim/hang", F_OK) == 0) {
        usleep(1000);
    }

    return 0;
}
END
close $source or die "cc: $?";

start(env => { LD_PRELOAD => "$shim/hang.so", ASAN_OPTIONS =>
               ($ENV{ASAN_OPTIONS} // '') . ':verify_asan_link_order=0' });
Apikey::Process::wait_for(sub { $d->live }, 20, 'a lease');
wait_acked();

{
    open my $fh, '>', "$shim/hang" or die $!;
}

my $before = records();

$r->set_status($keys[13]{id}, 'revoked');
$d->wait_for_status($keys[13]{digest}, 'revoked');
pass 'the disk hangs: a revocation takes effect';
wait_acked();
$d->wait_log(qr/the state directory takes too long/);
pass 'the disk hangs: acknowledged in the end, and told';
$r->set_status($keys[14]{id}, 'revoked');
wait_acked();
is $d->status($keys[14]{digest}), 'revoked', 'the disk hangs: and so is the next';
ok $d->live, 'the disk hangs: the gate goes on';

# a resync, which has to read the file that is being written
my $snapshots = $d->control->{snapshots};

$r->ok('HSET', "$STORE:meta", 'chain', 'b' x 40);
$d->wait_log(qr/snapshot begins" .*cause=fork/);
unlink "$shim/hang" or die $!;
$d->wait_control('snapshots', sub { $_ > $snapshots });
wait_acked();
is records(), $before + 2, 'the disk is back: all of it is written';
is $d->stop, 0, 'exit 0';

# ---- a disk that is full -------------------------------------------------------

$d->stop;

my $disk = Apikey::Process::tempdir();

END { system 'umount', '-l', $disk if $disk && $mounted }

SKIP: {
    skip 'only root may mount a small file system', 9 if $> != 0;

    system('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'apikey-test',
           $disk) == 0
        or die 'cannot mount a tmpfs';
    $mounted = 1;

    $state = $disk;
    $file  = "$disk/revoked";
    rebooted();
    wait_acked();

    my $kept = records();

    open my $fill, '>', "$disk/fill" or die "$disk/fill: $!";
    syswrite $fill, 'x' x 4096 or last for 1 .. 64;

    # more than what is left of the file's last block
    my @more = map { $r->create } 1 .. 60;

    $r->set_status($_->{id}, 'revoked') for @more;
    wait_acked();
    is $d->status($more[59]{digest}), 'revoked', 'no room: takes effect';
    $d->wait_log(qr/cannot be written to the state directory.*No space left/);
    cmp_ok $d->control->{keep_errors}, '>=', 1, 'no room: told, and counted';
    ok $d->live, 'no room: the gate goes on';

    $r->set_status($keys[11]{id}, 'revoked');
    wait_acked();
    is $d->status($keys[11]{digest}), 'revoked', 'no room: so do revocations';

    truncate $fill, 0;
    $d->wait_log(qr/written to the state directory again/, 20);
    wait_acked();
    is records(), $kept + 61, 'room again: all of it is written';

    $r->set_status($keys[12]{id}, 'revoked');
    wait_acked();
    is records(), $kept + 62, 'and what comes then, too';
    is $d->stop, 0, 'exit 0';

    forget($keys[11], $more[59]);
    rebooted();
    is $d->status($more[59]{digest}), 'revoked', 'and holds after a reboot';
    is $d->stop, 0, 'exit 0';
}

done_testing;
