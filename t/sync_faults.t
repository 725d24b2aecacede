# apikey-sync while Redis, its connections or its rights fail: the lease ends
# in time, and everything heals by itself.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 1000;
my $STORE = '{apikey}';

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no free port: $@";

    return $s->sockport;
}

my $secrets = Apikey::Process::tempdir();
my $port = free_port();
my $r = Apikey::Redis->start(conf => [
    '--port', $port, '--bind', '127.0.0.1', '--appendonly', 'yes',
    '--appendfsync', 'always',
]);

$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 5;

# one by way of a unix socket, the other of TCP and a name
my $unix = Apikey::Daemon->start(redis => $r, edge => 'unix');
my $tcp  = Apikey::Daemon->start(url => "redis://localhost:$port",
                                 edge => 'tcp');
my %daemon = (unix => $unix, tcp => $tcp);

$_->wait_ready for values %daemon;

sub acked {
    my ($edge) = @_;

    return $r->acked($edge);
}

sub wait_healthy {
    for my $edge (sort keys %daemon) {
        Apikey::Process::wait_for(
            sub {
                $daemon{$edge}->live && acked($edge) == $r->meta->{version};
            },
            10, "the edge $edge to be healthy");
    }

    return;
}

my $toggle = 0;

# A change gets through, and without a snapshot being taken.
sub follows {
    my ($what) = @_;

    my $status = ++$toggle % 2 ? 'disabled' : 'enabled';

    $r->set_status($keys[0]{id}, $status);
    wait_healthy();

    for my $edge (sort keys %daemon) {
        is $daemon{$edge}->status($keys[0]{digest}), $status,
            "$what, $edge: follows again";
        is $daemon{$edge}->control->{snapshots}, 1,
            "$what, $edge: no snapshot was needed";
    }

    return;
}

# The lease of each ends, not before it should and not after.
sub wait_over {
    my ($what, $began) = @_;

    for my $edge (sort keys %daemon) {
        Apikey::Process::wait_for(sub { !$daemon{$edge}->live }, 10,
                                  "the lease of $edge to end");

        my $took = (time - $began) * 1000;

        cmp_ok $took, '<', $LEASE + 500, "$what, $edge: the lease ends in time";
        is $daemon{$edge}->status($keys[1]{digest}), 'enabled',
            "$what, $edge: the table stays";
        ok $daemon{$edge}->process->alive, "$what, $edge: the daemon stays";
    }

    return;
}

follows('at first');

# ---- Redis does not answer -----------------------------------------------------

my $began = time;

$r->process->signal('STOP');
wait_over('Redis stopped', $began);
$_->wait_log(qr/no answer for \d+ ms/) for values %daemon;
$_->wait_log(qr/the lease has run out/) for values %daemon;
$r->process->signal('CONT');
wait_healthy();
follows('Redis stopped');

# shorter than a lease: nobody sees it
$r->process->signal('STOP');
Time::HiRes::sleep($LEASE / 1000 * 0.3);
ok $_->live, 'a short stop: the lease lasts' for values %daemon;
$r->process->signal('CONT');
follows('Redis stopped for a moment');

# ---- Redis dies ----------------------------------------------------------------

$began = time;
$r->kill9;
wait_over('Redis killed', $began);
$r->start_again;
wait_healthy();
$_->wait_log(qr/the store's server was restarted or is another one/)
    for values %daemon;
follows('Redis killed');
cmp_ok $_->control->{reconnects}, '>=', 2, 'lost connections are counted'
    for values %daemon;

# ---- connections are cut -------------------------------------------------------

for my $type (qw(pubsub normal)) {
    for (1 .. 5) {
        $r->ok('CLIENT', 'KILL', 'TYPE', $type, 'SKIPME', 'yes');
        follows("$type connections cut");
    }
}

# ---- the server is a replica now -----------------------------------------------

$began = time;
$r->ok('REPLICAOF', '127.0.0.1', 1);
wait_over('a replica', $began);
like $unix->log, qr/READONLY.*this server is a replica/, 'a replica: told';
$r->ok('REPLICAOF', 'NO', 'ONE');
wait_healthy();
follows('a replica no more');

# ---- the server takes no writes: renewals are writes ---------------------------

$began = time;
$r->ok('CONFIG', 'SET', 'min-replicas-to-write', 1);
wait_over('no writes', $began);
like $unix->log, qr/error="NOREPLICAS .*takes no writes, which renewals are/,
    'no writes: told';
$r->ok('CONFIG', 'SET', 'min-replicas-to-write', 0);
wait_healthy();
follows('writes again');

# ---- the function library is gone ----------------------------------------------

$began = time;
$r->ok('FUNCTION', 'FLUSH');
wait_over('no functions', $began);
like $unix->log, qr/Function not found.*the function library is not loaded/,
    'no functions: told';
$r->load_library;
wait_healthy();
follows('functions loaded again');

# ---- rights --------------------------------------------------------------------

$r->ok('ACL', 'SETUSER', 'mute', 'on', '>pa:ss', '~*', 'resetchannels', '+@all');

my $mute = Apikey::Daemon->start(
    url => 'unix://mute:pa%3Ass@' . $r->socket, edge => 'mute');

$mute->wait_ready;
like $mute->log, qr/link=events .*NOPERM/, 'no right to the channel: told';
like $mute->log, qr/stands in the command line/,
    'a password in the command line: told';

my $change = $r->set_status($keys[2]{id}, 'disabled');

$began = time;
$mute->wait_for_status($keys[2]{digest}, 'disabled');
cmp_ok time - $began, '<', $LEASE / 1000 * 0.8,
    'no right to the channel: caught up at the next renewal';
Apikey::Process::wait_for(sub { acked('mute') >= $change->{version} }, 5,
                          'the acknowledgement');
is $mute->control->{snapshots}, 1, 'no right to the channel: by the log';
$r->ok('ACL', 'SETUSER', 'mute', '&*');
$mute->wait_log(qr/msg=connected link=events/);
pass 'the right to the channel was given: subscribed';

$r->ok('ACL', 'SETUSER', 'mute', '>other', '<pa:ss');
$r->ok('CLIENT', 'KILL', 'USER', 'mute');
$mute->wait_log(qr/WRONGPASS/);
Apikey::Process::wait_for(sub { !$mute->live }, 10, 'the lease to end');
ok $mute->process->alive, 'a wrong password: the daemon goes on trying';

my $lines = () = $mute->log =~ /\n/g;

Time::HiRes::sleep(1);
cmp_ok +(() = $mute->log =~ /\n/g) - $lines, '<', 4,
    'a lasting trouble does not fill the log';
is $mute->stop, 0, 'exit 0';

# ---- the user that docs/store.md gives it, and no more --------------------------

open my $doc, '<', 'docs/store.md' or die "docs/store.md: $!";

my ($acl) = grep { s/^ACL SETUSER apikey-sync // } readline $doc;

close $doc;
$r->ok('ACL', 'SETUSER', 'apikey-sync', split ' ', $acl);

my $password = "$secrets/password";

open my $fh, '>', $password or die "$password: $!";
print {$fh} "SECRET\n";
close $fh;
chmod 0600, $password;

my $least = Apikey::Daemon->start(
    redis => $r, edge => 'least',
    args => ['--user', 'apikey-sync', '--password-file', $password]);

$least->wait_ready;
$change = $r->set_status($keys[3]{id}, 'disabled');
Apikey::Process::wait_for(sub { acked('least') >= $change->{version} }, 5,
                          'the acknowledgement');
is $least->status($keys[3]{digest}), 'disabled', 'the documented user: follows';
unlike $least->log, qr/NOPERM|level=error/, 'the documented user: may do all';
is $least->stop, 0, 'exit 0';

# ---- a daemon that starts before Redis -----------------------------------------

$r->stop;

my $early = Apikey::Daemon->start(redis => $r, edge => 'early');

$early->wait_log(qr/cannot connect to the store/);
ok $early->process->alive, 'no Redis at the start: waits for it';
$r->start_again;
$early->wait_ready;
is $early->status($keys[1]{digest}), 'enabled', 'no Redis at the start: heals';

wait_healthy();
is $_->stop, 0, 'exit 0' for values %daemon, $early;

my @warnings = grep { /level=error/ && !/lease has run out|store refuses/ }
    split /\n/, $unix->log . $tcp->log;

is "@warnings", '', 'no other errors in the logs';

done_testing;
