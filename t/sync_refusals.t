# What Redis refuses, each refusal provoked: apikey-sync counts it as what it
# is, names it, renews nothing while it lasts, and goes on when it is over.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Apikey::Daemon;
use Apikey::Fault;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 1500;
my $STORE = $Apikey::Redis::STORE;

my $r = Apikey::Redis->start(conf => [
    '--dbfilename', 'dump.rdb', '--enable-protected-configs', 'local',
    '--busy-reply-threshold', '50', '--loading-process-events-interval-bytes', '1024',
]);

# ---- a store that is not there yet -------------------------------------------

$r->load_library;

my $early = Apikey::Daemon->start(redis => $r, edge => 'early');

$early->wait_control('cause_noinit', sub { $_ > 0 });
pass 'noinit: is counted';
like $early->log, qr/"the store refuses" cause=noinit .*error="NOINIT/, 'noinit: is told';
ok !$early->live, 'noinit: there is no lease';
$r->init(lease => $LEASE);
$early->wait_ready;
pass 'noinit: heals';
is $early->control->{cause_emptied}, 0, 'noinit: is not taken for an emptied store';
is $early->stop, 0, 'exit 0';

# ---- one after the other -----------------------------------------------------

$r->ok('ACL', 'SETUSER', 'sync', 'on', '>secret', '~*', '&*', '+@all');

my $f = Apikey::Fault->start(redis => $r, url => 'unix://sync:secret@' . $r->socket);

$f->healthy('at first');

sub config { return $r->ok('CONFIG', 'SET', @_) }

$f->row('readonly', over => 1,
    provoke => sub { $r->ok('REPLICAOF', '127.0.0.1', 1) },
    heal    => sub { $r->ok('REPLICAOF', 'NO', 'ONE') });

$f->row('noreplicas', over => 1,
    provoke => sub { config('min-replicas-to-write', 1) },
    heal    => sub { config('min-replicas-to-write', 0) });

# a directory takes the place of the file, so that it can't be written
$f->row('misconf', over => 1,
    provoke => sub {
        mkdir $r->dir . '/blocked.rdb' or die "mkdir: $!";
        config('dbfilename', 'blocked.rdb');
        config('save', '3600 1');
        $r->ok('BGSAVE');
    },
    heal => sub {
        config('save', '');
        config('dbfilename', 'dump.rdb');
    });

$f->row('noperm', over => 1,
    provoke => sub { $r->ok('ACL', 'SETUSER', 'sync', '-fcall') },
    heal    => sub { $r->ok('ACL', 'SETUSER', 'sync', '+fcall') });

$f->row('noperm', name => 'noperm within a function', over => 1,
    provoke => sub { $r->ok('ACL', 'SETUSER', 'sync', '-hset') },
    heal    => sub { $r->ok('ACL', 'SETUSER', 'sync', '+hset') });

$f->row('nolibrary', over => 1,
    provoke => sub { $r->ok('FUNCTION', 'FLUSH') },
    heal    => sub { $r->load_library });

$f->row('refused', over => 1, log => qr/error="BADSTORE|WRONGTYPE/,
    provoke => sub { $r->ok('DEL', "$STORE:edges"); $r->ok('SET', "$STORE:edges", 'mine') },
    heal    => sub { $r->ok('DEL', "$STORE:edges") });

$f->row('auth', over => 1,
    provoke => sub {
        $r->ok('ACL', 'SETUSER', 'sync', '<secret', '>other');
        $r->ok('CLIENT', 'KILL', 'USER', 'sync');
    },
    heal => sub { $r->ok('ACL', 'SETUSER', 'sync', '>secret') });

my $busy = $r->connect;

$f->row('busy', over => 1,
    provoke => sub { $busy->send('EVAL', 'while true do end', 0) },
    heal    => sub {
        $r->ok('SCRIPT', 'KILL');

        # it is not over at once
        Apikey::Process::wait_for(sub { $r->call('PING') eq 'PONG' }, 10, 'the script to end');
    });

# ---- a server that is full ---------------------------------------------------

my $ended   = $f->leases_over;
my $renewed = $f->daemon->control->{renewed};

config('maxmemory', 1);
$f->daemon->wait_control('renewed', sub { $_ > $renewed + 2 * $LEASE * 1000 }, 20);
$r->set_status(($f->ids)[1], 'revoked');
config('maxmemory', 0);
$f->healthy('a full server');
is $f->count('oom'), 0, 'a full server: is no trouble';
is $f->leases_over, $ended, 'a full server: the lease lasts';

sub other_library {
    open my $fh, '<:raw', Apikey::Redis::library() or die "library: $!";
    my $code = do { local $/; readline $fh };

    $code =~ s/^(register\('apikey_renew', renew), 'allow-oom'\)/$1)/m or die 'no such line';

    return $code;
}

$f->row('oom', over => 1,
    provoke => sub {
        $r->ok('FUNCTION', 'LOAD', 'REPLACE', other_library());
        config('maxmemory', 1);
    },
    heal => sub { config('maxmemory', 0); $r->load_library });

# ---- files that take long to be read -----------------------------------------

$r->ok('DEBUG', 'POPULATE', 500, 'filler');
$r->ok('SAVE');
push @{ $r->{conf} }, '--key-load-delay', '6000', '--aclfile', acl_file();
$f->row('loading', over => 1, provoke => sub { $r->kill9->start_again });

sub acl_file {
    my $file = $r->dir . '/users.acl';

    open my $fh, '>', $file or die "$file: $!";
    print {$fh} map { "$_\n" } @{ $r->ok('ACL', 'LIST') };
    close $fh or die "$file: $!";

    return $file;
}

# ---- a store that was there --------------------------------------------------

config('key-load-delay', 0);
$r->ok('SAVE');
$f->row('emptied', over => 1, log => qr/advice="restore the store/,
    provoke => sub { $r->ok('FLUSHALL') },
    heal    => sub { $r->ok('DEBUG', 'RELOAD', 'NOSAVE') });

is $f->count('noinit'), 0, 'emptied: is not taken for a store that never was';
is $f->daemon->control->{snapshots}, 1, 'for all of it no snapshot was needed';
is $f->daemon->stop, 0, 'exit 0';

done_testing;
