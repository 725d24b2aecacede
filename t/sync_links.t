# How connections end, each way provoked by a proxy or on the host: apikey-sync
# tells which it was, lets go of what hangs well within the lease, and is back
# by itself.

use strict;
use warnings;

use lib 't/lib';

use Test::More;
use Time::HiRes qw(time);

use Apikey::Fault;
use Apikey::Process;
use Apikey::Proxy;
use Apikey::Redis;

my $dir = Apikey::Process::tempdir();
my $r   = Apikey::Redis->start(conf => [ qw(--appendonly yes --appendfsync always) ]);

$r->load_library->init(lease => 4000);

# ---- through a proxy ---------------------------------------------------------

my $proxy = Apikey::Proxy->start(redis => $r);
my $f     = Apikey::Fault->start(redis => $r, url => $proxy->url);

$f->healthy('at first');

$f->row('reset', provoke => sub { $proxy->reset });

# what is answered so slowly that it is never whole
$f->row('silent', name => 'a byte a second, commands', log => qr/link=commands/,
    provoke => sub { $proxy->set(rate_commands => 1) });

$f->row('silent', name => 'a byte a second, events', log => qr/link=events/,
    provoke => sub { $proxy->set(rate_events => 1); $f->toggle });

# messages that are whole, but come ever later: the one behind all of them, a
# ping's answer, does not come
$f->row('silent', name => 'messages that trickle', log => qr/link=events/,
    provoke => sub { $proxy->set(rate_events => 600); $f->toggle for 1 .. 100 });

$f->row('silent', name => 'a byte a second, from everywhere', over => 1,
    provoke => sub { $proxy->set(slow => 1) },
    heal    => sub { $proxy->set(slow => undef) });

$f->row('silent', name => 'a hole', over => 1, log => qr/error="no (?:answer|connection)/,
    provoke => sub { $proxy->set(hole => 1) },
    heal    => sub {
        $proxy->set(hole => 0);

        my $began = time;

        Apikey::Process::wait_for(sub { $f->daemon->live }, 20, 'the lease');
        note sprintf 'live again %.2f s after the hole was closed', time - $began;
    });

$f->row('silent', name => 'a server that is stopped', over => 1,
    provoke => sub { $r->process->signal('STOP') },
    heal    => sub { $r->process->signal('CONT') });

$f->row('silent', name => 'a server that sleeps', over => 1,
    provoke => sub { $r->connect->send('DEBUG', 'SLEEP', 6) });

$f->row('protocol', over => 1, log => qr/error="Protocol error/,
    provoke => sub { $proxy->set(garble => 1) },
    heal    => sub { $proxy->set(garble => 0) });

is $f->daemon->control->{snapshots}, 1, 'through a proxy: no snapshot was needed';
is $f->daemon->stop, 0, 'exit 0';

# ---- without one -------------------------------------------------------------

$f = Apikey::Fault->start(redis => $r);
$f->row('unreachable', over => 1,
    provoke => sub { $r->kill9 },
    heal    => sub { $r->start_again });
$f->row('server', log => qr/restarted or is another one/,
    provoke => sub { $r->kill9->start_again });

# no descriptor is left for a connection
sub descriptors {
    my ($n) = @_;

    system('prlimit', '--pid', $f->daemon->pid, "--nofile=$n:1024") == 0 or die 'prlimit';

    return;
}

$f->row('system', over => 1, log => qr/error=".*Too many open files/,
    provoke => sub { descriptors(3); $r->ok('CLIENT', 'KILL', 'TYPE', $_, 'SKIPME', 'yes') for qw(normal pubsub) },
    heal    => sub { descriptors(1024) });

is $f->daemon->stop, 0, 'exit 0';

# ---- names -------------------------------------------------------------------

# A resolver that fails, or hangs, while there is a file of that name.
my $resolver = "$dir/resolver.so";

open my $source, '|-', $ENV{CC} // 'cc', '-x', 'c', '-shared', '-fPIC', '-o', $resolver, '-', '-ldl'
    or die "cc: $!";
print {$source} <<"END";
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>
#include <unistd.h>
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **list)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **) = dlsym((void *) -1L, "getaddrinfo");
    if (node[0] >= '0' && node[0] <= '9') {
        return real(node, service, hints, list);
    }
    while (access("$dir/hangs", F_OK) == 0) {
        usleep(20000);
    }
    if (access("$dir/fails", F_OK) == 0) {
        return EAI_AGAIN;
    }
    return real("127.0.0.1", service, hints, list);
}
END
close $source or die "cc: $?";

sub touch {
    my ($name) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    close $fh;

    return;
}

$f = Apikey::Fault->start(
    redis => $r, url => 'redis://store.example:' . $proxy->port,
    env   => { LD_PRELOAD => $resolver, ASAN_OPTIONS =>
               ($ENV{ASAN_OPTIONS} // '') . ':verify_asan_link_order=0' });

$f->row('unresolved', over => 1, log => qr/error="cannot resolve/,
    provoke => sub { touch('fails'); $proxy->reset },
    heal    => sub { unlink "$dir/fails" or die $! });

# the address of before will do
touch('hangs');
$f->row('reset', name => 'look-ups that hang', provoke => sub { $proxy->reset });
unlink "$dir/hangs" or die $!;

is $f->daemon->stop, 0, 'exit 0';

done_testing;
