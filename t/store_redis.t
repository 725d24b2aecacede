#!/usr/bin/perl

# The store in the states that a Redis can be in: full, a replica, a cluster,
# restarted, without enough replicas, unable to save.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Process ();
use Apikey::Redis ();

my $S     = '{apikey}';
my $HEX32 = 'b' x 32;

# The store's functions, as calls that would work: what writes, what reads.
sub writes {
    my ($r) = @_;

    return (
        [member_put => 'mem_2', name => 'n', tenant => 't', actor => 'a'],
        [create => Apikey::Redis::key_id(777),
            digest => Apikey::Redis::hex_text(64, 777),
            pepper => "p1:$Apikey::Redis::FINGERPRINT", name => 'n',
            member => 'mem_1', actor => 'a'],
    );
}

sub renewal {
    my ($meta) = @_;

    return (renew => 'e1', boot => $HEX32,
            map { $_ => $meta->{$_} } qw(epoch version chain));
}

# What a full Redis lets through.
sub bounded {
    my ($r, $id) = @_;

    return (
        [set_status => $id, 'revoked', actor => 'a'],
        [settle => $id, as => 'revoked', actor => 'a'],
        [conflicts_put => 'e1', boot => $HEX32, total => 1],
        [edge_forget => 'e1', actor => 'a'],
        [renewal($r->meta)],
    );
}

sub is_error {
    my ($r, $reply, $name, $before, $what) = @_;

    ok(ref $reply eq 'Apikey::Redis::Error' && $reply->name eq $name
        && $r->fingerprint eq $before, "$what: $name")
        or diag(ref $reply eq 'ARRAY' ? "answered @$reply" : $reply);
}

# ---- full: revoking and renewing still work ----------------------------------

{
    my $r = Apikey::Redis->start->load_library;

    $r->init;

    my @keys = map { $r->create } 1 .. 3;

    $r->ok('CONFIG', 'SET', 'maxmemory', '1');

    my $before = $r->fingerprint;

    is_error($r, $r->fcall(@$_), 'OOM', $before, "full, $_->[0]")
        for writes($r);

    is($r->set_status($keys[0]{id}, 'revoked', reason => 'r' x 256)
            ->{changed}, 1, 'full: a key can be revoked');
    is($r->set_status($keys[1]{id}, 'disabled')->{changed}, 1,
        '... disabled');
    is($r->set_status($keys[1]{id}, 'enabled')->{changed}, 1, '... enabled');
    is({ @{ $r->fcall_ok(renewal($r->meta)) } }->{verdict}, 'ok',
        '... and an edge renews');

    my @call   = (set_status => $keys[1]{id}, 'revoked', actor => 'a',
                  reason => 'r' x 256, token => 't' x 64);
    my $answer = $r->fcall_ok(@call);

    is({ @$answer }->{changed}, 1, 'full: a key can be revoked with a token');
    is_deeply($r->fcall_ok(@call), [@$answer, replayed => 1],
        '... which is kept');

    my $seen = join ' ', map { "$keys[2]{id}:$_:1" } 1 .. 100;

    is($r->fcall_hash('conflicts_put', 'e9', boot => $HEX32, total => 100,
            keys => $seen)->{total}, 100, '... an edge reports conflicts');
    is($r->fcall_hash('settle', $keys[2]{id}, as => 'accepted', actor => 'a',
            token => 's' x 64)->{changed}, 1, '... one is accepted');
    is($r->fcall_hash('settle', $keys[2]{id}, as => 'revoked', actor => 'a')
            ->{status}, 'revoked', '... or revoked');
    is($r->fcall_hash('edge_forget', 'e9', actor => 'a')->{edge}, 'e9',
        '... and an edge is forgotten');
    is_deeply([map { $_->[0] } @{ $r->fcall_ok('since', 5, 10)->[3] }],
        [6 .. 12], '... and catches up');
    is(scalar @{ $r->fcall_ok('list')->[1] }, 3, '... and keys are listed');
}

# ---- not enough replicas -----------------------------------------------------

{
    my $r = Apikey::Redis->start->load_library;

    $r->init;

    my $key = $r->create;

    $r->ok('CONFIG', 'SET', 'min-replicas-to-write', 1);

    my $before = $r->fingerprint;

    is_error($r, $r->fcall(@$_), 'NOREPLICAS', $before,
        "no replica, $_->[0]")
        for writes($r), bounded($r, $key->{id});
}

# ---- a replica ---------------------------------------------------------------

{
    my $r = Apikey::Redis->start->load_library;
    my $port = free_port();
    my $primary = Apikey::Redis->start(
        conf => ['--port', $port, '--bind', '127.0.0.1',
                 '--repl-diskless-sync-delay', 0])->load_library;

    $primary->init;

    my $key = $primary->create;

    $r->ok('REPLICAOF', '127.0.0.1', $port);
    Apikey::Process::wait_for(sub {
        $r->ok('INFO', 'replication') =~ /master_link_status:up/
            && $r->fingerprint eq $primary->fingerprint;
    }, 20, 'the replica to follow');

    my $before = $r->fingerprint;

    is_error($r, $r->fcall(@$_), 'READONLY', $before, "replica, $_->[0]")
        for writes($r), bounded($r, $key->{id});

    is_deeply($r->ok('FCALL_RO', 'apikey_get', 1, $S, $key->{id}),
        $primary->fcall_ok('get', $key->{id}), 'a replica can be read');

    # what a function did arrives there, pushed too
    my $listener = $r->connect;

    $listener->ok('SUBSCRIBE', "$S:events");

    my @call   = (set_status => $key->{id}, 'revoked', actor => 'a',
                  token => 't' x 16);
    my $answer = $primary->fcall_ok(@call);

    like($listener->read_reply(10)->[2], qr/"status":"revoked"/,
        'a subscriber of the replica hears');

    Apikey::Process::wait_for(sub {
        $r->fingerprint eq $primary->fingerprint;
    }, 10, 'the same data');

    # promoted, it goes on where the primary was
    $r->ok('REPLICAOF', 'NO', 'ONE');
    is_deeply($r->fcall_ok(@call), [@$answer, replayed => 1],
        'promoted, it knows the answer to a call that is sent again');
    is($r->member('mem_9')->{version}, $primary->meta->{version} + 1,
        'promoted, it has the next version');
}

# ---- restarted ---------------------------------------------------------------

{
    my $r = Apikey::Redis->start(
        conf => ['--appendonly', 'yes', '--appendfsync', 'always'])
        ->load_library;

    $r->init;

    my $key = $r->create;

    my @call   = (set_status => $key->{id}, 'revoked', actor => 'a',
                  token => 't' x 16);
    my $answer = $r->fcall_ok(@call);
    my $before = $r->fingerprint;

    $r->kill9->start_again;

    is($r->fingerprint, $before, 'after kill -9, with an append-only file');
    is($r->fcall('set_status', $key->{id}, 'enabled', actor => 'a')->name,
        'REVOKED', '... the function library is there too');
    is_deeply($r->fcall_ok(@call), [@$answer, replayed => 1],
        '... and the answer to a call that is sent again');
    is($r->member('mem_9')->{version}, 5, '... and the versions go on');
}

# ---- restarted from a file that ends within the last change ------------------

{
    my $r = Apikey::Redis->start(
        conf => ['--appendonly', 'yes', '--appendfsync', 'always'])
        ->load_library;

    $r->init;

    my $key    = $r->create;
    my @call   = (set_status => $key->{id}, 'revoked', actor => 'a',
                  token => 't' x 16);
    my ($file) = glob $r->dir . '/appendonlydir/*.incr.aof';
    my $before = $r->fingerprint;
    my $from   = -s $file;

    $r->fcall_ok(@call);

    for my $part (0.05, 0.5, 0.95) {
        $r->kill9;
        truncate $file, $from + int(((-s $file) - $from) * $part)
            or die "truncate: $!";
        $r->start_again;

        is($r->fingerprint, $before, "cut off at $part: neither the change");
        is({ @{ $r->fcall_ok(@call) } }->{replayed}, undef,
            '... nor its token is there: the call is made anew');
    }
}

# ---- unable to save ----------------------------------------------------------

{
    my $r = Apikey::Redis->start->load_library;

    $r->init;

    $r->create;
    $r->ok('CONFIG', 'SET', 'save', '3600 1');

    # a directory in the place of the file it would save
    mkdir $r->dir . '/dump.rdb' or die "mkdir: $!";
    $r->ok('BGSAVE');
    Apikey::Process::wait_for(sub {
        $r->ok('INFO', 'persistence') =~ /rdb_last_bgsave_status:err/;
    }, 20, 'Redis to fail to save');

    my $before = $r->fingerprint;

    is_error($r, $r->fcall(@$_), 'MISCONF', $before,
        "cannot save, $_->[0]") for writes($r);
}

# ---- a cluster: one node that has all the slots ------------------------------

{
    my $port = free_port();
    my $r    = Apikey::Redis->start(
        conf => ['--port', $port, '--bind', '127.0.0.1',
                 '--cluster-port', free_port(), '--cluster-enabled', 'yes'])
        ->load_library;

    $r->ok('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    Apikey::Process::wait_for(sub {
        $r->ok('CLUSTER', 'INFO') =~ /cluster_state:ok/;
    }, 20, 'the cluster');

    $r->init;

    my $key = $r->create;

    $r->set_status($key->{id}, 'revoked');
    is($r->meta->{version}, 4, 'cluster: changes');
    is(scalar @{ $r->fcall_ok('list', tenant => 'ten_1')->[1] }, 1,
        '... lists');
    is_deeply($r->fcall_ok('snapshot', 0, 10)->[4], [$key->{id}],
        '... the snapshot');
    is({ @{ $r->fcall_ok(renewal($r->meta)) } }->{verdict}, 'ok',
        '... renews');

    my %slots = map { $r->ok('CLUSTER', 'KEYSLOT', $_) => 1 }
        ($S, "$S:events", @{ $r->ok('KEYS', '*') });

    is(scalar keys %slots, 1, '... all keys are in one slot');
    is($r->call('FCALL', 'apikey_init', 1, '{another}', epoch => $HEX32,
            pepper => "p1:$Apikey::Redis::FINGERPRINT", actor => 'a')->[3], 1,
        '... and another store in its own');
}

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1,
                                       LocalAddr => '127.0.0.1')
        or die "no free port: $!";

    return $socket->sockport;
}

done_testing();
