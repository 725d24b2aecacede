# The wall clock jumps by an hour, forward and back, under the daemon, nginx
# and Redis in turn: no lease cares, no acknowledgement is late; a key's expiry
# follows the clock of the edge's nginx.

use strict;
use warnings;

use lib 't/lib';

use Test::More;
use Time::HiRes qw(sleep);

use Apikey::Ctl;
use Apikey::Edge;
use Apikey::Process;

my $LEASE = 500;     # milliseconds
my $HOUR  = 3600;
my $dir   = Apikey::Process::tempdir();

# ---- a clock that can be set -------------------------------------------------------

# Shifts what a process is told of the wall clock by the seconds in a file,
# at any time; other clocks are as they are.
my $shim = "$dir/clock.so";

open my $source, '|-', $ENV{CC} // 'cc', '-x', 'c', '-shared', '-fPIC', '-O1',
    '-D_GNU_SOURCE', '-o', $shim, '-' or die "cc: $!";
print {$source} <<'END';
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int *shift;

__attribute__((constructor)) static void
shift_map(void)
{
    int fd = open(getenv("CLOCK_SHIFT"), O_RDONLY);

    shift = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    int rc = (int) syscall(SYS_clock_gettime, clock, ts);

    if (rc == 0 && shift
        && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    {
        ts->tv_sec += *shift;
    }

    return rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec ts;

    (void) tz;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}

time_t
time(time_t *t)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
END
close $source or die "cc: $?";

sub clock {
    my ($whose, $seconds) = @_;

    my $file = "$dir/$whose";
    my $new  = !-e $file;

    open my $fh, $new ? '>:raw' : '+<:raw', $file or die "$file: $!";
    syswrite $fh, pack 'l', $seconds;
    truncate $fh, 4096 if $new;
    close $fh;

    return {
        LD_PRELOAD   => $shim,
        CLOCK_SHIFT  => $file,
        ASAN_OPTIONS => ($ENV{ASAN_OPTIONS} // '') . ':verify_asan_link_order=0',
    };
}

# ---- an edge of three clocks -----------------------------------------------------

my $e = do {
    my $redis = clock('redis', 0);
    my $nginx = clock('nginx', 0);

    Apikey::Edge->start(workers => 2, lease => $LEASE, daemon => 0,
                        redis_env => $redis, nginx_env => $nginx);
};

my $daemon = clock('daemon', 0);

sub start_daemon { return $e->start_daemon(env => $daemon) }

start_daemon();

my $good    = $e->key(name => 'good');
my $toggled = $e->key(name => 'toggled');
my $revoked = $e->key(name => 'revoked');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->wait_status($revoked, 401, 'revoked');

sub acked {
    return $e->redis->acked('edge-1');
}

# Changes arrive and are acknowledged, and not one answer is stale or wrong, for
# longer than a lease: it is renewed.
sub as_ever {
    my ($what) = @_;

    my $end = Time::HiRes::time() + 1.2 * $LEASE / 1000;
    my $n   = 0;
    my %seen;

    while (Time::HiRes::time() < $end) {
        for my $row ([ disable => 401, 'disabled' ], [ enable => 200, '' ]) {
            my ($verb, $status, $code) = @$row;

            $e->ctl->ok($verb, $toggled->{id});
            $e->wait_status($toggled, $status, $code);
        }

        $seen{ $e->get($good)->status }++;
        $seen{ $e->get($revoked)->code }++;
        $n++;
    }

    is_deeply \%seen, { 200 => $n, revoked => $n },
        "$what: nothing is stale, nothing wrong";
    ok eval {
        Apikey::Process::wait_for(
            sub { acked() >= $e->redis->meta->{version} }, 5, 'ack')
    }, "$what: acknowledged";

    return;
}

as_ever('true clocks');

for my $whose (qw(daemon nginx redis)) {
    for my $shift ($HOUR, -$HOUR) {
        my $what = sprintf "%s's clock %+d h", $whose, $shift / $HOUR;

        clock($whose, $shift);
        as_ever($what);

        # another daemon asks the store when this edge renewed last
        $e->daemon->kill9;
        clock($whose, 0);
        ok eval { start_daemon() }, "$what, and back between two daemons"
            or diag $@;
        as_ever("$what, and back");
    }
}

# ---- a control page that is lost after a jump: when did readers see the last? ------

for my $shift ($HOUR, -$HOUR) {
    my $what = sprintf "redis's clock %+d h, the table lost", $shift / $HOUR;

    clock('redis', $shift);
    unlink $e->table . '/control' or die $!;
    ok eval { $e->wait_status($good, 503, undef, 10) }, "$what: 503";
    ok eval { $e->wait_status($good, 200, undef, 10) }, "$what: healed" or diag $@;
    as_ever($what);
    clock('redis', 0);
}

# ---- expiry: by the clock of this edge's nginx -----------------------------------

my $soon = $e->key(name => 'in half an hour', expires => '30m');

is $e->get($soon)->status, 200, 'expires in half an hour';
clock('nginx', $HOUR);
$e->wait_status($soon, 401, 'expired');
pass 'nginx an hour ahead: expired';
clock('nginx', 0);
$e->wait_status($soon, 200);
pass 'nginx right again: it was not changed, and is good';
clock($_, $HOUR) for qw(redis daemon);
sleep 0.5;
is $e->get($soon)->status, 200, 'Redis and daemon an hour ahead: good';
clock($_, 0) for qw(redis daemon);

my $short = $e->key(name => 'short', expires => '2s');

clock('nginx', -$HOUR);
sleep 3;
is $e->get($short)->status, 200,
    'nginx an hour behind: it is good for so much longer';
clock('nginx', 0);
$e->wait_status($short, 401, 'expired');
pass 'nginx right again: expired';

$e->stop;

done_testing;
