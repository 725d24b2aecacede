#!/usr/bin/perl

# apikeyctl and a store that is in trouble: not there, silent, locked, full,
# read-only, or gone in the middle of a change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use Apikey::Ctl;
use Apikey::Cut;
use Apikey::Process;
use Apikey::Redis;
use Test::More;

my $dir   = Apikey::Process::tempdir();
my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init');

my $id = $ctl->key->{id};
my ($exit, $out, $err);

# ---- not there --------------------------------------------------------------

my $free = do {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
    $socket->sockport;
};

Apikey::Ctl::write_file("$dir/file", '');
Apikey::Ctl::write_file("$dir/empty", "\n");
Apikey::Ctl::write_file("$dir/open", "secret\n");
Apikey::Ctl::write_file("$dir/long", 'x' x 600);
chmod 0600, "$dir/empty", "$dir/long";
chmod 0644, "$dir/open";

my @verbs = ([ 'list' ], [ 'status' ], [ 'show', $id ], [ 'disable', $id ], [ 'member', 'list' ],
             [ 'create', '--member=ada', '--name=x' ], [ 'init' ], [ 'library' ]);

for my $verb (@verbs) {
    ($exit, $out, $err) = $ctl->run(@$verb, { env => { APIKEY_REDIS => "unix://$dir/none.sock" } });

    is($exit, 3, "$verb->[0]: no socket");
    like($err, qr{^apikeyctl .*: cannot reach the store at unix:$dir/none\.sock: No such file or directory\n  nothing was changed; is the server running},
         'says so, and where');
    is($out, '', 'and prints nothing');
}

for my $row (
    [ 'a file that is no socket', "unix://$dir/file",             qr/Connection refused/ ],
    [ 'nobody on the port',       "redis://127.0.0.1:$free",      qr/cannot reach the store at 127\.0\.0\.1:$free.*Connection refused/ ],
    [ 'TLS',                      "rediss://127.0.0.1:$free",     qr/--store: rediss:\/\/ \(TLS\) is not built into this program\n  use redis:\/\/ or unix:\/\//, 2 ],
    [ 'another scheme',           "http://127.0.0.1:$free",       qr/must begin with redis:\/\/ or unix:\/\/$/m, 2 ],
    [ 'a wrong database',         $redis->url . '?db=1',          qr/\(NOINIT\)/, 1 ],
    [ 'no such database',         $redis->url . '?db=99',         qr/does not let us in: DB index is out of range \(ERR\)/ ],
) {
    my ($what, $url, $says, $want) = @$row;

    ($exit, $out, $err) = $ctl->run('list', '--store', $url);
    is($exit, $want // 3, $what);
    like($err, $says, 'says so');
}

# ---- silent -----------------------------------------------------------------

# accepts, reads, and never answers
my $deaf = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/deaf.sock", Listen => 16) or die $!;

for my $verb (@verbs) {
    my $begin = clock_gettime(CLOCK_MONOTONIC);

    ($exit, $out, $err) = $ctl->run(@$verb, '--timeout=200ms', { env => { APIKEY_REDIS => "unix://$dir/deaf.sock" } });

    my $took = clock_gettime(CLOCK_MONOTONIC) - $begin;

    is($exit, 3, "$verb->[0]: a server that never answers");
    like($err, qr/cannot reach the store at unix:\S+: the server did not answer in time\n  nothing was changed/, 'says so');
    cmp_ok($took, '>=', 0.2, 'after the time');
    cmp_ok($took, '<', 2, 'and not much later');
}

my $http = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/http.sock", Listen => 1) or die $!;
my $pid  = fork // die;

if ($pid == 0) {
    my $client = $http->accept;
    sysread $client, my $bytes, 100;
    syswrite $client, "HTTP/1.1 400 Bad Request\r\n\r\n";
    sysread $client, $bytes, 100;
    POSIX::_exit(0);
}

($exit, $out, $err) = $ctl->run('list', '--store', "unix://$dir/http.sock");
is($exit, 3, 'a server of another protocol');
like($err, qr/this is no Redis server/, 'says so');
waitpid $pid, 0;

# ---- locked -----------------------------------------------------------------

my $key = 'apikey-admin-secret';

Apikey::Ctl::write_file("$dir/password", "$key\nanother line\n");
Apikey::Ctl::write_file("$dir/wrong", "wrong\n");
chmod 0600, "$dir/password", "$dir/wrong";

# the user of docs/store.md, as it stands there, and one who may do nothing
my ($admin) = Apikey::Ctl::read_file(Apikey::Process::root_dir() . '/docs/store.md')
    =~ /^(ACL SETUSER apikey-admin .*)$/m or die 'docs/store.md has no apikey-admin';

$redis->ok(split ' ', $admin =~ s/>SECRET/>$key/r);
$redis->ok('ACL', 'SETUSER', 'nobody', 'on', ">$key", '-@all');

for my $row (
    [ 'the admin user',     [ '--user=apikey-admin', "--password-file=$dir/password" ], 0 ],
    [ 'by the environment', [ '--user=apikey-admin' ], 0, undef, { APIKEY_PASSWORD_FILE => "$dir/password" } ],
    [ 'in the URL',         [ '--store', "unix://apikey-admin:$key\@" . $redis->socket ], 0 ],
    [ 'a wrong password',   [ '--user=apikey-admin', "--password-file=$dir/wrong" ], 3, qr/does not let us in: .*\(WRONGPASS\)\n  check --user and --password-file/ ],
    [ 'no password',        [ '--user=apikey-admin' ], 3, qr/\(WRONGPASS\)/ ],
    [ 'no such user',       [ '--user=eve', "--password-file=$dir/password" ], 3, qr/\(WRONGPASS\)/ ],
    [ 'a password alone',   [ "--password-file=$dir/password" ], 0 ],
    [ 'no right',           [ '--user=nobody', "--password-file=$dir/password" ], 1, qr/\(NOPERM\)\n  give this Redis user the rights in docs\/store\.md/ ],
    [ 'an empty file',      [ "--password-file=$dir/empty" ], 6, qr/the first line of the password file \S+ is empty/ ],
    [ 'a file for all',     [ "--password-file=$dir/open" ], 6, qr/open to all users: chmod o= it/ ],
    [ 'a line too long',    [ "--password-file=$dir/long" ], 6, qr/is longer than 511 bytes/ ],
    [ 'a directory',        [ "--password-file=$dir" ], 6, qr/cannot read the password file \S+: Is a directory/ ],
) {
    my ($what, $options, $want, $says, $env) = @$row;

    for my $verb ([ 'list' ], [ 'disable', $id ]) {
        ($exit, $out, $err) = $ctl->run(@$verb, @$options, { env => $env });
        is($exit, $want, "$what: $verb->[0]: exit $want");
        like($err, $says, 'says so') if $says;
        unlike($err, qr/$key|\bwrong\n/, 'and never the password');
    }
}

my @admin = ('--user=apikey-admin', "--password-file=$dir/password");

is(($ctl->run(@$_, @admin))[0], 0, "the admin user may: $_->[0]")
    for [ 'create', '--member=ada', '--name=x' ], [ 'enable', $id ], [ 'show', $id ], [ 'status' ], [ 'library', '--check' ],
        [ 'member', 'add', 'bob', '--name=b', '--tenant=t' ], [ 'member', 'show', 'bob' ];
is(($ctl->run('library', @admin))[0], 0, 'and look at a library that is current');

$redis->ok('ACL', 'SETUSER', 'default', 'resetpass', ">$key");
($exit, $out, $err) = $ctl->run('list');
is($exit, 3, 'a server that asks for a password');
like($err, qr/\(NOAUTH\)\n  give a password with --password-file, and a user with --user unless it is the default one/, 'says so');
$redis->ok('ACL', 'SETUSER', 'default', 'nopass');

# ---- full, read-only --------------------------------------------------------

$redis->ok('CONFIG', 'SET', 'maxmemory', 1);
($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=x');
is($exit, 1, 'create on a full server');
like($err, qr/\(OOM\)\n  Redis has no memory left for this; disable, enable and revoke still work/, 'says so');
is(($ctl->run('disable', $id))[0], 0, 'disable still works');
is(($ctl->run('revoke', $ctl->json('list', '--limit=1')->[0]{id}))[0], 0, 'revoke too');
$redis->ok('CONFIG', 'SET', 'maxmemory', 0);

my $replica = Apikey::Redis->start;

$redis->ok('CONFIG', 'SET', 'repl-diskless-sync-delay', 0);
$redis->ok('CONFIG', 'SET', 'bind', '127.0.0.1');
$redis->ok('CONFIG', 'SET', 'port', $free);
$replica->ok('REPLICAOF', '127.0.0.1', $free);
Apikey::Process::wait_for(sub { ($replica->ok('INFO', 'replication') =~ /master_link_status:up/) }, 10, 'the replica');

($exit, $out, $err) = $ctl->run('disable', $id, '--store', $replica->url);
is($exit, 1, 'a change on a replica');
like($err, qr/\(READONLY\)\n  this is a replica: name the master with --store/, 'is refused');
is(($ctl->run('show', $id, '--store', $replica->url))[0], 0, 'a look at one');
($exit, $out) = $ctl->run('status', '--store', $replica->url);
is($exit, 7, 'status of a replica');
like($out, qr/^Problem +this server is a replica/m, 'says so');
is(($ctl->run('list', "--store=redis://127.0.0.1:$free/0"))[0], 0, 'the master over TCP');
$replica->stop;

# ---- gone in the middle of a change -----------------------------------------

for my $how (qw(close hang garble)) {
    my $cut = Apikey::Cut->start(redis => $redis, at => 'apikey_set_status', how => $how);

    $ctl->ok('enable', $id);

    my $other = $ctl->key->{id};

    ($exit, $out, $err) = $ctl->run('disable', $id, $other, '--store', $cut->url, '--timeout=300ms');
    is($exit, 4, "disable, and then $how: the outcome is unknown");
    like($err, qr/^apikeyctl disable: $id: .*; whether the change was made is not known\n  look: apikeyctl show $id\n/, 'says so, and where to look');
    like($err, qr/^apikeyctl disable: $other: not tried\n/m, 'the next one is not tried');
    is($out, '', 'and nothing is claimed');
    is($ctl->ok('show', $id, '--quiet'), "disabled\n", 'here it was made');
    is($ctl->ok('show', $other, '--quiet'), "enabled\n", 'and this was not');
    $cut->stop;

    $cut = Apikey::Cut->start(redis => $redis, at => 'apikey_create', how => $how);
    ($exit, $out, $err) = $ctl->run('create', '--member=ada', "--name=lost by $how", '--store', $cut->url, '--timeout=300ms');
    is($exit, 4, "create, and then $how");
    is($out, '', 'prints no key');

    my ($lost) = $err =~ /nobody has its text: if apikeyctl show (key_\w{20}) finds it, revoke it$/m;

    ok($lost, 'but names the id');
    is($ctl->json('show', $lost)->{name}, "lost by $how", 'by which it is found');
    $cut->stop;

    $cut = Apikey::Cut->start(redis => $redis, at => 'apikey_list', how => $how);
    ($exit, $out, $err) = $ctl->run('list', '--store', $cut->url, '--timeout=300ms');
    is($exit, 3, "list, and then $how: nothing was changed");
    is($out, '', 'and nothing is shown');
    $cut->stop;
}

my $cut = Apikey::Cut->start(redis => $redis, at => 'apikey_set_status', how => 'close');
($exit, $out, $err) = $ctl->run('revoke', $id, '--json', '--store', $cut->url);
is($exit, 4, 'with --json');
is(JSON::PP->new->decode($out)->[0]{error}{exit}, 4, 'the answer holds the exit code');
is(JSON::PP->new->decode($err)->{error}{exit}, 4, 'and the error too');

# a store that somebody has edited by hand
$redis->ok('HSET', "{apikey}:key:$id", 'version', 'x');
($exit, $out, $err) = $ctl->run('show', $id);
is($exit, 1, 'a damaged record');
like($err, qr/\(BADSTORE\)/, 'is named');

done_testing;
