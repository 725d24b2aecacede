# apikey-sync when links break and answers come late at the worst moments: a
# proxy before Redis arranges them.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Proxy;
use Apikey::Redis;

my $STORE = '{apikey}';
my $dir   = Apikey::Process::tempdir();
my @proxies;

sub touch {
    my ($name) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    close $fh;

    return;
}

# Before a Redis, with a hook that sees and holds what passes.
sub proxy {
    my ($redis, $hook) = @_;

    push @proxies, Apikey::Proxy->start(redis => $redis, hook => $hook);

    return $proxies[-1]->url;
}

# ---- a store that is large enough for blocks to be allocated in steps ----------

my $KEYS  = 20_000;
my $LEASE = 2000;

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
$r->member('mem_1');

{
    my $client = $r->connect;

    for my $thousand (1 .. $KEYS / 1000) {
        $client->send('FCALL', 'apikey_create', 1, $STORE,
                      Apikey::Redis::key_id(1000 * $thousand + $_), 'digest',
                      sha256_hex(1000 * $thousand + $_), 'pepper',
                      "p1:$Apikey::Redis::FINGERPRINT", 'name', 'k', 'member',
                      'mem_1', 'actor', 't')
            for 1 .. 1000;
        $client->read_reply(30) for 1 .. 1000;
    }
}

my $digest = sha256_hex(1001);

# ---- the commands' link ends while blocks are allocated ------------------------

my $url = proxy($r, sub {
    my ($from, $bytes, $conn) = @_;

    if ($from eq 'c') {
        $conn->{meta} ||= $bytes =~ /apikey_meta/;

    } elsif ($conn->{meta} && !-e "$dir/closed") {
        touch('closed');
        $conn->{close} = 1;
    }
});

my $d = Apikey::Daemon->start(url => $url, edge => 'e1');

$d->wait_ready;
ok -e "$dir/closed", 'the link ended behind the answer of apikey_meta';
is $d->status($digest), 'enabled', 'lost in PREPARE: heals';
like $d->log, qr/a full resync is needed" cause=link/,
    'lost in PREPARE: told';
is $d->stop, 0, 'exit 0';

# ---- a revoke that is pushed late, while the snapshot is being read ------------

# page 1 waits for the revoke, the push of the revoke for page 1, and the
# records for the push to have taken effect
$url = proxy($r, sub {
    my ($from, $bytes, $conn) = @_;

    return if !-e "$dir/forked";

    if ($from eq 'c') {
        $conn->{hold} = sub { -e "$dir/revoked" }
            if $bytes =~ /apikey_snapshot/ && !-e "$dir/revoked";
        touch('paged') if $bytes =~ /HMGET/;

    } elsif ($bytes =~ /\$7\r\nmessage\r\n.*"revoked"/s) {
        $conn->{hold} = sub { -e "$dir/paged" };

    } elsif (-e "$dir/paged") {
        $conn->{hold} = sub { -e "$dir/seen" };
    }
});

$d = Apikey::Daemon->start(url => $url, edge => 'e1');
$d->wait_ready;
touch('forked');
$r->ok('PUBLISH', "$STORE:events",
       $r->meta->{version} + 1 . ' ' . 'e' x 40 . ' ' . 'f' x 40 . ' {}');
$d->wait_log(qr/snapshot begins" cause=fork/);
$r->set_status(Apikey::Redis::key_id(1001), 'revoked');
touch('revoked');
$d->wait_for_status($digest, 'revoked', 1);
ok -e "$dir/paged", 'the revoke was heard of behind the first page';
is $d->control->{snapshots}, 1,
    'and took effect before a snapshot was published';
touch('seen');
$d->wait_control('snapshots', sub { $_ == 2 });
Apikey::Process::wait_for(sub { $d->live }, 10, 'the lease');
is $d->status($digest), 'revoked', 'and stays';
is $d->stop, 0, 'exit 0';

# ---- the log is asked before the subscription stands, and answers after it -----

$r = Apikey::Redis->start;
$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 3;

$url = proxy($r, sub {
    my ($from, $bytes, $conn) = @_;

    if (-e "$dir/cut" && $from eq 'c') {
        $conn->{since} = $bytes =~ /apikey_since/;
        $conn->{hold} = sub { -e "$dir/changed" }
            if $bytes =~ /SUBSCRIBE/ && !-e "$dir/changed";

    } elsif ($conn->{since} && !-e "$dir/subscribed") {
        touch('answered');
        $conn->{hold} = sub { -e "$dir/subscribed" };
    }

    if (-e "$dir/ahead" && $from eq 'c' && $bytes =~ /apikey_since/
        && !-e "$dir/back")
    {
        touch('asked');
        $conn->{hold} = sub { -e "$dir/back" };
    }
});

$d = Apikey::Daemon->start(url => $url, edge => 'e1');
$d->wait_ready;

my $catchups = $d->control->{catchups};

touch('cut');
$r->ok('CLIENT', 'KILL', 'TYPE', 'pubsub');
$r->ok('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
Apikey::Process::wait_for(sub { -e "$dir/answered" }, 10, 'the log');
$r->set_status($keys[0]{id}, 'revoked');
touch('changed');
$d->wait_log(qr/msg=connected link=events.*msg=connected link=events/s);
touch('subscribed');
$d->wait_for_status($keys[0]{digest}, 'revoked');
is $d->control->{catchups}, $catchups,
    'changed between the log and the subscription: the log is asked again';
Apikey::Process::wait_for(sub { $d->live }, 10, 'the lease');

# ---- the head that a granted lease waits for is taken back ---------------------

my $meta = $r->meta;

touch('ahead');
$r->ok('HSET', "$STORE:meta", 'version', $meta->{version} + 3, 'chain',
       'a' x 40);
Apikey::Process::wait_for(sub { -e "$dir/asked" }, 10, 'the log to be asked');
$r->ok('HSET', "$STORE:meta", 'version', $meta->{version}, 'chain',
       $meta->{chain});

my $renewed = $d->control->{renewed};

touch('back');
$d->wait_control('renewed', sub { $_ != $renewed }, 5);
pass 'a head that is taken back: renewals go on';
is $d->control->{snapshots}, 1, 'and no snapshot was needed';
is $d->stop, 0, 'exit 0';

# ---- TERM while the store's name is being looked up ----------------------------

my $slow = "$dir/slow.so";

open my $source, '|-', $ENV{CC} // 'cc', '-x', 'c', '-shared', '-fPIC', '-o',
    $slow, '-' or die "cc: $!";
print {$source} <<'END';
#include <netdb.h>
#include <unistd.h>
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **list)
{
    (void) node, (void) service, (void) hints, (void) list;
    write(2, "looking it up\n", 14);
    sleep(60);
    return EAI_AGAIN;
}
END
close $source or die "cc: $?";

$d = Apikey::Daemon->start(
    url => 'redis://store.example', edge => 'e1',
    env => { LD_PRELOAD => $slow, ASAN_OPTIONS =>
             ($ENV{ASAN_OPTIONS} // '') . ':verify_asan_link_order=0' });
$d->wait_log(qr/looking it up/);
$d->process->signal('TERM');
ok $d->process->wait(5), 'TERM ends it while a look-up lasts';
is $d->process->exit_code, 0, 'exit 0';
like $d->log, qr/stopped without waiting for a look-up/, 'and tells why';

done_testing;
