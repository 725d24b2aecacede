#!/usr/bin/perl

# The three Redis users, made by the very lines of docs/store.md: what each may
# do, and that what one may not do is refused before anything has changed.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S      = '{apikey}';
my $HEX32  = '0123456789abcdef' x 2;
my $PEPPER = "p1:$Apikey::Redis::FINGERPRINT";
my $ID     = Apikey::Redis::key_id(1);
my $OTHER  = Apikey::Redis::key_id(2);

my $r = Apikey::Redis->start->load_library;

$r->init;
$r->create(id => $_) for $ID, $OTHER;
$r->ok('SET', 'other', 'mine');

my %line = do {
    open my $fh, '<', "$FindBin::Bin/../docs/store.md" or die "store.md: $!";
    map { /^ACL SETUSER (\S+) (.*)/ ? ($1 => $2) : () } <$fh>;
};

is_deeply([sort keys %line],
    ['apikey-admin', 'apikey-canary', 'apikey-sync'],
    'three users are documented');

sub user {
    my ($name, $rules) = @_;

    $rules =~ s/>SECRET/>secret/;
    $r->ok('ACL', 'SETUSER', $name, 'reset', split ' ', $rules);

    my $client = $r->connect;

    $client->ok('AUTH', $name, 'secret');

    return $client;
}

sub error_name {
    my ($reply) = @_;

    return ref $reply eq 'Apikey::Redis::Error' ? $reply->name : 'no error';
}

# NOPERM, and nothing has changed.  Of a command within a function, later
# versions of Redis say it in the text alone.
sub denied {
    my ($client, $what, @command) = @_;
    my $before = $r->fingerprint;
    my $reply  = $client->call(@command);
    my $name   = $reply =~ /\bACL failure in script\b/ ? 'NOPERM' : error_name($reply);

    ok($name eq 'NOPERM' && $r->fingerprint eq $before, "denied: $what")
        or diag("$name: " . join ' ', @command);
}

my $serial = 100;

sub other_status {
    my $status = $r->fcall_hash('get', $ID)->{status};

    return $status eq 'enabled' ? 'disabled' : 'enabled';
}

# Calls that would change something, each with a token but for init.  The edge
# e0 is long gone, and holds a key revoked.
sub writes {
    my $new = Apikey::Redis::key_id(++$serial);
    my $n   = 0;

    $r->ok('HSET', "$S:edges", 'e0', '{"at":1}');
    $r->fcall_ok('conflicts_put', 'e0', boot => $HEX32, total => 1,
        keys => "$ID:2:$serial");

    return (
        [init => epoch => $HEX32, pepper => $PEPPER, actor => 'a'],
        map { [@$_, actor => 'a',
               token => sprintf 'token-%d-%08d', ++$n, $serial] }
        [member_put => "mem_$serial", name => 'n', tenant => 't'],
        [create => $new, digest => Apikey::Redis::hex_text(64, $serial),
            pepper => $PEPPER, name => 'n', member => 'mem_1'],
        [set_status => $ID, other_status()],
        [settle => $ID, as => 'accepted'],
        [edge_forget => 'e0'],
    );
}

my @reads = (
    ['meta'], ['members'], ['member_get', 'mem_1'], ['get', $ID], ['list'],
    ['list', member => 'mem_1'], ['edges'], ['since', 0, 10],
    ['snapshot', 0, 10], ['acks', $HEX32, 1, 'a' x 40], ['conflicts'],
);

sub fcall {
    my ($client, $command, $function, @args) = @_;

    return $client->call($command, "apikey_$function", 1, $S, @args);
}

# ---- apikey-sync -------------------------------------------------------------

my $sync = user('apikey-sync', $line{'apikey-sync'});

for my $read (@reads) {
    for my $command (qw(FCALL FCALL_RO)) {
        is(error_name(fcall($sync, $command, @$read)), 'no error',
            "sync: $command @$read");
    }
}

my $meta   = $r->meta;
my @applied = (boot => $HEX32, epoch => $meta->{epoch},
               version => $meta->{version}, chain => $meta->{chain});

is({ @{ fcall($sync, 'FCALL', 'renew', 'e1', @applied) } }->{verdict}, 'ok',
    'sync: renews');

is(error_name(fcall($sync, 'FCALL', 'conflicts_put', 'e1', boot => $HEX32,
                    @$_)), 'no error', "sync: reports conflicts: @$_")
    for [total => 1, keys => "$ID:2:3"], [total => 0];

is(error_name($sync->call(@$_)), 'no error', "sync: @$_") for (
    ['HGETALL', "$S:key:$ID"], ['PING'], ['INFO', 'server'], ['SELECT', 0],
);

for my $write (writes()) {
    denied($sync, "sync: apikey_$write->[0]", 'FCALL',
        "apikey_$write->[0]", 1, $S, @$write[1 .. $#$write]);
}

# with every command, the keys alone hold it back
{
    my $all = user('sync-all', "$line{'apikey-sync'} +\@all");

    for my $write (writes()) {
        my $name = $write->[0];
        my $before = $r->fingerprint;
        my $is     = error_name(fcall($all, 'FCALL', @$write));

        ok($is eq ($name eq 'init' ? 'INITED' : 'NOPERM')
            && $r->fingerprint eq $before,
            "denied: sync with every command: apikey_$name") or diag($is);
    }
}

# ---- apikey-admin ------------------------------------------------------------

my $admin = user('apikey-admin', $line{'apikey-admin'});

for my $read (@reads) {
    for my $command (qw(FCALL FCALL_RO)) {
        is(error_name(fcall($admin, $command, @$read)), 'no error',
            "admin: $command @$read");
    }
}

for my $write (writes()) {
    is(error_name(fcall($admin, 'FCALL', @$write)),
        $write->[0] eq 'init' ? 'INITED' : 'no error',
        "admin: apikey_$write->[0]");

    next if $write->[0] eq 'init';

    is({ @{ fcall($admin, 'FCALL', @$write) } }->{replayed}, 1,
        '... and again with its token');
}

is(error_name($admin->call(@$_)), 'no error', "admin: @$_") for (
    ['FUNCTION', 'LIST'], ['WAIT', 0, 1],
);

# ---- apikey-canary -----------------------------------------------------------

my $canary = user('apikey-canary', $line{'apikey-canary'} =~ s/KEY_ID/$ID/r);

for (1 .. 2) {
    my $status = other_status();

    is({ @{ fcall($canary, 'FCALL', 'set_status', $ID, $status,
                  actor => 'canary') } }->{status}, $status,
        "canary: $status its key");
}

denied($canary, "canary: apikey_$_->[0] @$_[1, 2]", 'FCALL', "apikey_$_->[0]",
       1, $S, @$_[1 .. $#$_])
    for (map { [@$_[0 .. $#$_ - 2]] }    # without its token
             grep { $_->[0] !~ /^(?:init|set_status)$/ } writes()),
        [set_status => $ID, 'revoked', actor => 'a'],
        [set_status => $OTHER, 'disabled', actor => 'a'],
        [renew => 'e1', @applied],
        [conflicts_put => 'e1', boot => $HEX32, total => 1],
        [conflicts_put => 'e1', boot => $HEX32, total => 0];

denied($canary, "canary: @$_", @$_) for (
    ['HSET', "$S:key:$OTHER", 'status', 'enabled'],
    ['HSET', "$S:edges", 'e1', 'x'], ['HSET', "$S:conflicts", 'e1', 'x'],
    ['HSET', "$S:digests", 'x', 'y'], ['ZADD', "$S:status:revoked", 1, $ID],
    ['HGETALL', "$S:key:$OTHER"],
);

# ---- none of them ------------------------------------------------------------

for my $row ([sync => $sync], [admin => $admin], [canary => $canary]) {
    my ($name, $client) = @$row;

    denied($client, "$name: @$_", @$_) for (
        ['EVAL', 'return 1', 0], ['EVAL', 'return 1', 1, $S],
        ['EVAL_RO', 'return 1', 0], ['EVALSHA', '0' x 40, 0],
        ['SCRIPT', 'LOAD', 'return 1'],
        ['FUNCTION', 'LOAD', "#!lua name=x\n"], ['FUNCTION', 'FLUSH'],
        ['FUNCTION', 'DELETE', 'apikey'], ['FUNCTION', 'RESTORE', 'x'],
        ['FLUSHALL'], ['FLUSHDB'], ['SWAPDB', 0, 1],
        ['GET', 'other'], ['SET', 'other', 'x'], ['HGETALL', 'other'],
        ['HSET', 'other', 'x', 'y'], ['DEL', 'other'],
        ['HGETALL', '{apikey}other'], ['HGETALL', '{other}:meta'],
        ['DEL', "$S:key:$ID"], ['DEL', "$S:meta"], ['UNLINK', "$S:meta"],
        ['RENAME', "$S:meta", "$S:x"], ['EXPIRE', "$S:meta", 1],
        ['RESTORE', "$S:x", 0, 'x'], ['XTRIM', "$S:log", 'MAXLEN', 0],
        ['XDEL', "$S:log", '1-0'],
        ['KEYS', '*'], ['SCAN', 0], ['RANDOMKEY'],
        ['CONFIG', 'GET', '*'], ['CONFIG', 'SET', 'maxmemory', 1],
        ['ACL', 'LIST'], ['ACL', 'SETUSER', 'x'], ['DEBUG', 'DIGEST'],
        ['SHUTDOWN'], ['REPLICAOF', 'NO', 'ONE'], ['MONITOR'], ['SAVE'],
        ['CLIENT', 'KILL', 'TYPE', 'normal'], ['MODULE', 'LIST'],
        ['PSUBSCRIBE', '*'], ['SUBSCRIBE', 'another'],
        ['PUBLISH', 'another', 'x'],
        ['FCALL', 'apikey_meta', 1, '{other}'],
        ['FCALL_RO', 'apikey_meta', 1, '{other}'],
    );
}

denied($sync, "sync: @$_", @$_) for (
    ['PUBLISH', "$S:events", 'x'], ['HSET', "$S:meta", 'version', 1],
    ['HSET', "$S:key:$ID", 'status', 'enabled'],
    ['HDEL', "$S:edges", 'e1'], ['HDEL', "$S:key:$ID", 'reason'],
    ['SET', "$S:token:" . 't' x 16, 'x'], ['XADD', "$S:log", '*', 'x', 'y'],
    ['ZADD', "$S:members", 0, 'x'],
);

# ---- a user that lacks one permission of admin's -----------------------------

my %writes_by = (
    '+hdel' => qr/^(?:set_status|settle|edge_forget)$/,
    '+zadd' => qr/^(?:member_put|create|set_status)$/,
    '+zrem' => qr/^set_status$/,
);

for my $lacks (qw(+get +set +hset +hdel +zadd +zrem +xadd +publish
                  &{apikey}:events
                  %RW~{apikey}:*)) {
    my $rules = $line{'apikey-admin'};

    $rules =~ s/ \Q$lacks\E(?= )// or die "$lacks is not in the line";
    $rules .= " %R~$S:* %RW~$S:log" if $lacks =~ /^%/;

    my $client = user('lacking', $rules);

    for my $write (writes()) {
        my ($name, @args) = @$write;

        next if $name eq 'init';
        next if $name !~ ($writes_by{$lacks} // qr/./);

        denied($client, "lacking $lacks: apikey_$name", 'FCALL',
            "apikey_$name", 1, $S, @args);
    }
}

# ---- subscribing, last: the connection is then no other's --------------------

is_deeply($sync->call('SUBSCRIBE', "$S:events"),
    ['subscribe', "$S:events", 1], 'sync: subscribes');
is($r->set_status($ID, 'revoked')->{changed}, 1, '... a key is revoked');
like($sync->read_reply(5)->[2], qr/"status":"revoked"/, '... and it hears');

done_testing();
