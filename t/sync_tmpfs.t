# The table's file system is full: at the start, when the table has to grow,
# and at a resync.  The last good table serves on until its lease ends,
# revocations wait for nothing, the daemon says what it lacks, and everything
# heals when there is room.
#
# The file system is a small tmpfs in a mount namespace of the test's own.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

BEGIN {
    plan skip_all => 'mounting a file system takes root' if $> != 0;

    if (!$^C && !$ENV{APIKEY_UNSHARED}) {
        $ENV{APIKEY_UNSHARED} = 1;
        exec 'unshare', '--mount', '--propagation', 'private', $^X, $0, @ARGV
            or die "unshare: $!";
    }
}

use Digest::SHA qw(sha256_hex);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

my $STORE = '{apikey}';
my $LEASE = 1000;    # milliseconds
my $MB    = 1 << 20;

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

# ---- a file system of its own -----------------------------------------------------

my $dir = Apikey::Process::tempdir();

# before the directory is removed
END {
    local $?;

    system "umount --lazy '$dir' 2>/dev/null" if defined $dir;
}

sub resize { return mounted('remount,', @_) }

sub mounted {
    my ($how, $bytes) = @_;

    system('mount', '-t', 'tmpfs', '-o', "${how}mode=0755,size=$bytes", 'tmpfs',
           $dir) == 0 or die "mount: $?\n";

    return;
}

# So many bytes are left.
sub left {
    my ($bytes) = @_;

    my ($used) = `df --block-size=1 --output=used '$dir'` =~ /(\d+)/;

    return resize($used + $bytes);
}

mounted('', 8192);
mkdir "$dir/table", 0755 or die $!;

# ---- the store ----------------------------------------------------------------------

my $serial = 0;

sub create {
    my ($n) = @_;

    my $client = $r->connect;

    $r->member('mem_1') if !$serial;

    for (1 .. $n) {
        $serial++;
        $client->send('FCALL', 'apikey_create', 1, $STORE, id($serial),
                      'digest', digest($serial), 'pepper',
                      "p1:$Apikey::Redis::FINGERPRINT", 'name', 'k' x 100,
                      'member', 'mem_1', 'actor', 't');
    }

    $client->read_reply(30) for 1 .. $n;

    return;
}

sub id     { return Apikey::Redis::key_id($_[0]) }
sub digest { return sha256_hex("key $_[0]") }

sub revoke { return $r->set_status(id($_[0]), 'revoked') }

sub acked {
    return $r->acked('edge');
}

sub wait_acked {
    Apikey::Process::wait_for(sub { acked() >= $r->meta->{version} }, 15,
                              'the acknowledgement');

    return;
}

sub daemon {
    return Apikey::Daemon->start(redis => $r, edge => 'edge',
                                 table => "$dir/table");
}

# Everything is in the table as it is in the store.
sub equal {
    my ($d, $what, @revoked) = @_;

    my %revoked = map { $_ => 1 } @revoked;
    my @lines   = $d->table_get(map { digest($_) } 1 .. $serial);
    my @bad     = grep {
        $lines[ $_ - 1 ] !~ ($revoked{$_} ? qr/^revoked/ : qr/^enabled/)
    } 1 .. $serial;

    is "@bad", '', "$what: the table is as the store";

    return;
}

create(500);

# ---- at the start ---------------------------------------------------------------------

# not even a control page: one block for the lock, and that is all
{
    open my $file, '>', "$dir/other" or die $!;
    print {$file} 'x' x 4096;
    close $file or die $!;

    my $d = daemon();

    $d->process->wait(5);
    is $d->process->exit_code, 1, 'no room for a control page: exit 1';
    like $d->log, qr/control: cannot create it: No space left/,
        'no room for a control page: told';
}

# a control page, but no generation
unlink "$dir/other" or die $!;
resize(128 * 1024);

my $d = daemon();

$d->wait_log(qr/the table cannot be extended.*No space left on device; give the file system of the table more room/);
resize(512 * 1024);
$d->wait_log(qr/the snapshot failed.*No space left on device; give the file system of the table more room/);
ok $d->process->alive, 'no room at the start: the daemon stays';
ok !$d->live, 'no room at the start: no lease';
resize(16 * $MB);
$d->wait_ready;
wait_acked();
equal($d, 'room at the start');

# ---- when it has to grow -----------------------------------------------------------

left(64 * 1024);

my $watch = Apikey::Watch->start(
    "$dir/table", map { ($_ => digest($_)) } 1 .. 5);

create(800);    # 1000 have room
$d->wait_log(qr/table grows.*the table cannot be extended.*No space left/s);

my $began = Apikey::Watch::now();

revoke(1);
Apikey::Process::wait_for(sub { $d->status(digest(1)) eq 'revoked' }, 5,
                          'the revocation');
pass 'no room to grow: a revocation is applied at once';

Apikey::Process::wait_for(sub { !$d->live }, 10, 'the lease to end');
cmp_ok acked(), '<', $r->meta->{version},
    'no room for new keys: nothing is acknowledged that is not there';
ok $d->process->alive, 'no room to grow: the daemon stays';

resize(16 * $MB);
Apikey::Process::wait_for(sub { $d->live }, 15, 'the lease');
wait_acked();
equal($d, 'room to grow', 1);
like $d->log, qr/table grows" cause=full/, 'room to grow: it was full';
$watch->stop;

my $over = $began + $LEASE * 1.02e6 + 100e6;

is join(' ', grep { $_ eq 'enabled' } $watch->after(1, $over)), '',
    'no room to grow: the revoked key was not allowed';
is join(' ', sort keys %{ $watch->seen(5) }), 'enabled stale',
    'no room to grow: the others were good until the lease ended';

# ---- at a resync ----------------------------------------------------------------------

left(64 * 1024);
$watch = Apikey::Watch->start("$dir/table", map { ($_ => digest($_)) } 1 .. 5);

# another history: all keys have to be read
$r->ok('HSET', "$STORE:meta", 'epoch', 'e' x 32);
$d->wait_log(qr/cause=epoch.*the table cannot be extended.*No space left/s);
$began = Apikey::Watch::now();
revoke(2);
Apikey::Process::wait_for(sub { $d->status(digest(2)) eq 'revoked' }, 5,
                          'the revocation');
pass 'no room for a resync: a revocation is applied at once';
Apikey::Process::wait_for(sub { !$d->live }, 10, 'the lease to end');
is $d->status(digest(5)), 'enabled', 'no room for a resync: the table stays';

# and over a restart
$d->kill9;
$d = daemon();
$d->wait_log(qr/the table cannot be extended.*No space left/);
is $d->status(digest(1)), 'revoked', 'no room after a restart: the table stays';
ok !$d->live, 'no room after a restart: no lease';
revoke(3);
Apikey::Process::wait_for(sub { $d->status(digest(3)) eq 'revoked' }, 5,
                          'the revocation');
pass 'no room after a restart: a revocation is applied at once';

resize(16 * $MB);
$d->wait_ready;
wait_acked();
equal($d, 'room for a resync', 1, 2, 3);
$watch->stop;
$over = $began + $LEASE * 1.02e6 + 100e6;
is join(' ', grep { $_ eq 'enabled' } $watch->after(2, $over)), '',
    'no room for a resync: the revoked key was not allowed';
is join(' ', grep { !/^(?:enabled|stale)$/ } sort keys %{ $watch->seen(5) }),
    '', 'no room for a resync: the others were good or stale';

# a generation that was replaced goes in slices
ok Apikey::Process::poll(sub {
    join(' ', map { s{.*/}{}r =~ s/\d+/N/r } sort glob "$dir/table/*")
        eq 'control keys.N lock'
}, 5), 'nothing is left behind';

cmp_ok scalar(grep { /cannot be extended|snapshot begins/ } split /\n/, $d->log),
    '<=', 4, 'a trouble that lasts does not fill the log';
is $d->stop, 0, 'exit 0';

done_testing;
