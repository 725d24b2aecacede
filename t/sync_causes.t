# Why apikey-sync reads all keys again, each cause provoked: it is counted as
# what it is, named, and the table is the store's afterwards.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Fault;
use Apikey::Process;
use Apikey::Proxy;
use Apikey::Redis;

my $LEASE = 3000;
my $STORE = $Apikey::Redis::STORE;

my $dir = Apikey::Process::tempdir();
my $r   = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

# With $dir/cut, the connection ends as the first page of keys is asked for.
my $proxy = Apikey::Proxy->start(redis => $r, hook => sub {
    my ($from, $bytes, $conn) = @_;

    if ($from eq 'c' && $bytes =~ /apikey_snapshot/ && unlink "$dir/cut") {
        $conn->{close} = 1;
    }
});

# what becomes too large for the table's file system is an error, no signal
local $SIG{XFSZ} = 'IGNORE';

my $f   = Apikey::Fault->start(redis => $r, url => $proxy->url);
my $d   = $f->daemon;
my @ids = $f->ids;

is $f->count('start'), 1, 'start: is counted, once';
like +($f->lines('start'))[0], qr/"a full resync is needed" cause=start/, 'start: is told';
$f->healthy('start');

# Runs the sub while the daemon hears nothing: stopped, its connections cut.
sub deaf {
    my ($sub) = @_;

    $d->process->signal('STOP');
    $proxy->reset;
    $sub->();
    $d->process->signal('CONT');

    return;
}

$f->row('trimmed', count => 1, provoke => sub { deaf(sub {
    $r->set_status($ids[1], 'disabled') && $r->set_status($ids[1], 'enabled') for 1 .. 5;
    $r->ok('XTRIM', "$STORE:log", 'MAXLEN', 1);
}) });

$f->row('fork', count => 1,
    provoke => sub { $r->ok('HSET', "$STORE:meta", 'chain', 'f' x 40) });

# as after a restore, or a failover that lost the last write
$r->ok('SAVE');
$f->row('ahead', count => 1, provoke => sub {
    my $lost = $r->set_status($ids[2], 'disabled');

    Apikey::Process::wait_for(sub { $f->acked == $lost->{version} }, 10, 'the acknowledgement');
    $r->ok('DEBUG', 'RELOAD', 'NOSAVE');
});

$f->row('unreadable',
    provoke => sub {
        $r->ok('PUBLISH', "$STORE:events", join ' ', $r->meta->{version} + 1, $r->meta->{chain}, 'e' x 40, '{}');
    });

$f->row('link', count => 1, provoke => sub {
    open my $fh, '>', "$dir/cut" or die "$dir/cut: $!";
    close $fh;
    $r->ok('HSET', "$STORE:meta", 'chain', 'd' x 40);
});

# files may not become as large as a generation, but the log may go on
$f->row('room', log => qr/cause=room/, over => 1,
    provoke => sub {
        limit_size(64 * 1024);
        $r->ok('HSET', "$STORE:meta", 'chain', 'c' x 40);
    },
    heal => sub { limit_size('unlimited') });

sub limit_size {
    my ($bytes) = @_;

    system('prlimit', '--pid', $d->pid, "--fsize=$bytes:unlimited") == 0 or die 'prlimit';

    return;
}

$f->row('table', count => 1, provoke => sub { unlink $d->table . '/control' or die "control: $!" },
    over => 1, log => qr/the table was lost/);

# another epoch: the store is made anew, with the keys it had
$f->row('epoch', provoke => sub {
    deaf(sub {
        $r->ok('FLUSHALL');
        $r->init(epoch => 'abcdef0123456789abcdef0123456789', lease => $LEASE);
        $r->member('mem_1');
        $r->create(id => $_, digest => sha256_hex($_)) for @ids;
    });
});

is $d->stop, 0, 'exit 0';

done_testing;
