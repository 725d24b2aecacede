#!/usr/bin/perl

# What each function of the store answers, and what it leaves in the store
# (docs/store.md).  Errors: store_errors.t; the log: store_chain.t; pages:
# store_pages.t; renewals: store_renew.t.

use strict;
use warnings;

use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S     = '{apikey}';
my $EPOCH = 'e' x 32;
my $ID    = Apikey::Redis::key_id(1);
my $DIGEST = 'd' x 64;
my $PEPPER = "p1:$Apikey::Redis::FINGERPRINT";

my $r = Apikey::Redis->start->load_library;

sub stored { return { @{ $r->ok('HGETALL', "$S:$_[0]") } } }
# head and chain, which end the answer of each call that changes something
sub head {
    return map { $_->[0] => $r->ok('HGET', "$S:meta", $_->[1]) }
        ['head', 'version'], ['chain', 'chain'];
}

sub between { return $_[0] >= $_[1] && $_[0] <= $_[2] }

sub clock {
    my ($seconds, $micro) = @{ $r->ok('TIME') };
    return $seconds * 1000 + int($micro / 1000);
}

# The last entry of the log, decoded.
sub last_entry {
    my ($entry) = @{ $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 1) };
    my %field = @{ $entry->[1] };

    return { id => $entry->[0], chain => $field{chain},
             %{ JSON::PP->new->utf8->decode($field{entry}) } };
}

# ---- apikey_init, apikey_meta ------------------------------------------------

my $began = clock();

is_deeply($r->fcall_ok('init', pepper => $PEPPER, epoch => $EPOCH,
                       actor => "op\xc3\xa9"),
    [epoch => $EPOCH, version => 1, lease => 5000, prefix => 'mm_', head()],
    'init answers the epoch and the defaults');

my $meta = $r->meta;

is_deeply(
    { map { $_ => $meta->{$_} } grep { !/^(?:chain|time)$/ } keys %$meta },
    {   schema     => 1,
        epoch      => $EPOCH,
        version    => 1,
        lease      => 5000,
        prefix     => 'mm_',
        peppers    => $PEPPER,
        log_length => 1000000,
        enabled    => 0,
        disabled   => 0,
        revoked    => 0,
        members    => 0,
        edges      => 0,
        log_first  => 1,
    }, 'meta tells them, and counts nothing');
like($meta->{chain}, qr/^[0-9a-f]{40}$/, '... and a chain');
ok(between($meta->{time}, $began, clock()), '... and the clock');
my $entry = last_entry();

ok(between($entry->{at}, $began, clock()), 'the entry of init has a time');
is_deeply($entry, {
    id     => '1-0',
    chain  => $meta->{chain},
    op     => 'init',
    at     => $entry->{at},
    actor  => "op\x{e9}",
    reason => '',
    meta   => { schema => '1', epoch => $EPOCH, lease => '5000',
                prefix => 'mm_', peppers => $PEPPER,
                log_length => '1000000' },
}, '... and the rest');

{
    my @pairs = (epoch => $EPOCH, pepper => $PEPPER, actor => 'ops');
    my @rows  = (
        ['{B.b_b-9}', prefix => '',                 'no prefix'],
        ['{c}',       prefix => '0123456789azAZ_-', 'the longest prefix'],
        ['{d}',       lease  => 200,                'the shortest lease'],
        ['{e}',       lease  => 3600000,            'the longest lease'],
        ['{f}',       log_length => 1000,           'the shortest log'],
        ['{g}',       log_length => 100000000,      'the longest log'],
        ['{' . 'n' x 64 . '}', reason => 'r' x 256, 'the longest name, reason'],
    );

    for my $row (@rows) {
        my ($store, $name, $value, $what) = @$row;
        my %is = @{ $r->ok('FCALL', 'apikey_init', 1, $store, @pairs,
                           $name => $value) };
        my %meta = @{ $r->ok('FCALL', 'apikey_meta', 1, $store) };

        is($meta{$name} // $value, $value, "init: $what");
        is($is{version}, 1, '... another store, a version of its own');
    }

    is($r->meta->{version}, 1, 'stores do not touch each other');
}

# ---- members -----------------------------------------------------------------

my $put = $r->fcall_hash('member_put', 'ann@example', name => "Ann \xe2\x82\xac",
    email => 'ann@example.org', tenant => 'ten_1', actor => 'ops',
    reason => 'new');

is_deeply($put, { id => 'ann@example', version => 2, epoch => $EPOCH,
                  at => $put->{at}, changed => 1, head() },
    'member_put creates');

my $ann = {
    id => 'ann@example', name => "Ann \xe2\x82\xac",
    email => 'ann@example.org', tenant => 'ten_1',
    created => $put->{at}, updated => $put->{at},
};

is_deeply(stored('member:ann@example'), $ann, '... the member');
is_deeply($r->fcall_hash('member_get', 'ann@example'), { %$ann, keys => 0 },
    'member_get');
is_deeply($r->ok('ZRANGE', "$S:members", 0, -1, 'WITHSCORES'),
    ['ann@example', 0], '... is in the index');

$entry = last_entry();
is_deeply([@$entry{qw(id op at actor reason)}],
    ['2-0', 'member', $put->{at} + 0, 'ops', 'new'], '... and in the log');
is_deeply($entry->{member}, { %$ann, name => "Ann \x{20ac}" },
    '... with all its fields');

my $again = $r->fcall_hash('member_put', 'ann@example',
    name => "Ann \xe2\x82\xac", email => 'ann@example.org', tenant => 'ten_1',
    actor => 'another', reason => 'whatever');

is_deeply($again, { %$put, changed => 0 }, 'the same again changes nothing');

my $moved = $r->fcall_hash('member_put', 'ann@example', name => 'Ann',
    tenant => 'ten_2', actor => 'ops');

is($moved->{version}, 3, 'member_put replaces');
is_deeply(stored('member:ann@example'),
    { %$ann, name => 'Ann', email => '', tenant => 'ten_2',
      updated => $moved->{at} },
    '... name, e-mail, tenant; what is not given is empty');

# ---- apikey_create, apikey_get -----------------------------------------------

my $created = $r->fcall_hash('create', $ID, digest => $DIGEST,
    pepper => $PEPPER, hint => "mm_\xe2\x80\xa6abcd", name => 'CI "main" \\ /',
    member => 'ann@example', scopes => 'checks:write signals', expires => 9999999999,
    actor => 'ops', reason => 'asked for');

is_deeply($created, { id => $ID, version => 4, epoch => $EPOCH,
                      at => $created->{at}, status => 'enabled', head() },
    'create answers');

my $record = {
    id => $ID, status => 'enabled', digest => $DIGEST, pepper => 'p1',
    hint => "mm_\xe2\x80\xa6abcd", name => 'CI "main" \\ /',
    member => 'ann@example', tenant => 'ten_2',
    scopes => 'checks:write signals', expires => 9999999999,
    created => $created->{at}, created_by => 'ops',
    updated => $created->{at}, updated_by => 'ops', reason => 'asked for',
    created_version => 4, version => 4,
};

is_deeply($r->fcall_hash('get', $ID), $record, 'get');
is_deeply(stored("key:$ID"), $record, '... which is what is stored');
is($r->ok('HGET', "$S:digests", $DIGEST), $ID, '... found by its digest');
is_deeply($r->fcall_ok('list')->[1], [$r->fcall_ok('get', $ID)],
    '... and listed as got');

$entry = last_entry();
is_deeply([@$entry{qw(id op at actor reason)}],
    ['4-0', 'create', $created->{at} + 0, 'ops', 'asked for'],
    '... and in the log');
is_deeply($entry->{key}, { %$record, hint => "mm_\x{2026}abcd" },
    '... with the whole record');
unlike($r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 1)->[0][1][3],
    qr/"(?:version|expires|created)":\d/, '... whose values are strings');

my $least = $r->create(member => 'ann@example', id => Apikey::Redis::key_id(2),
    name => 'n', status => 'disabled');

is($least->{status}, 'disabled', 'a key may be created disabled');
is_deeply([sort keys %{ $r->fcall_hash('get', $least->{id}) }],
    [sort qw(id status digest pepper name member tenant created created_by
             updated updated_by created_version version)],
    'what is not given is absent');

# ---- apikey_set_status -------------------------------------------------------

sub places {
    my ($id, $tenant) = @_;

    return join ' ', grep { defined $r->ok('ZSCORE', "$S:$_", $id) }
        map { ("status:$_", "tenant:$tenant:$_") }
        qw(enabled disabled revoked);
}

is(places($ID, 'ten_2'), 'status:enabled tenant:ten_2:enabled',
    'a key is in the indexes of its status');
is($r->ok('ZSCORE', "$S:of:ann\@example", $ID), 4, '... and of its member');

my $version = 5;

for my $row (
    ['disabled', 1, 'leak?'], ['disabled', 0], ['enabled', 1, ''],
    ['enabled',  0],          ['revoked',  1], ['revoked', 0],
) {
    my ($status, $changed, $reason) = @$row;
    my $before = $r->fcall_hash('get', $ID);
    my $answer = $r->set_status($ID, $status, actor => "by $status",
        defined $reason ? (reason => $reason) : ());

    $version += $changed;

    is_deeply($answer,
        { id => $ID, version => $version, epoch => $EPOCH,
          at => $answer->{at}, status => $status, changed => $changed,
          head() },
        "set_status $status" . ($changed ? '' : ' again'));

    my $after = $r->fcall_hash('get', $ID);

    if ($changed) {
        my %wanted = (%$before, status => $status, version => $version,
            updated => $answer->{at}, updated_by => "by $status",
            reason => $reason);

        delete $wanted{reason} if !$reason;
        is_deeply($after, \%wanted, '... changes the status, and who and why');
        is_deeply(last_entry()->{key},
            { %wanted, hint => "mm_\x{2026}abcd" }, '... and is logged so');
        is(places($ID, 'ten_2'), "status:$status tenant:ten_2:$status",
            '... and moves in the indexes');
        is($r->ok('ZSCORE', "$S:status:$status", $ID), 4,
            '... with the version that created it');

    } else {
        is_deeply($after, $before, '... changes nothing');
        is($r->meta->{version}, $version, '... and has no version');
    }
}

is($r->set_status($least->{id}, 'revoked')->{changed}, 1,
    'a disabled key can be revoked');

$meta = $r->meta;
is_deeply([@$meta{qw(enabled disabled revoked members)}], [0, 0, 2, 1],
    'meta counts');
is_deeply($r->fcall_hash('member_get', 'ann@example')->{keys}, 2,
    'member_get counts keys of every status');
is($r->fcall_hash('member_put', 'ann@example', name => 'Ann Again',
        tenant => 'ten_2', actor => 'ops')->{changed}, 1,
    'a member with keys can be renamed');

# ---- what is published -------------------------------------------------------

my $listener = $r->connect;
$listener->ok('SUBSCRIBE', "$S:events");

my $key    = $r->create(member => 'ann@example', id => Apikey::Redis::key_id(3));
my $chain  = $r->meta->{chain};
my ($last) = @{ $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 2) };
my $previous = $r->ok('XREVRANGE', "$S:log", '+', '-', 'COUNT', 2)->[1][1][1];

is($listener->read_reply(5)->[2],
    "$key->{version} $previous $chain $last->[1][3]",
    'the event is version, previous chain, chain, and the entry as stored');

# ---- reads change nothing ----------------------------------------------------

my $fingerprint = $r->fingerprint;

$r->ok('FCALL_RO', @$_) for (
    ['apikey_meta', 1, $S],
    ['apikey_member_get', 1, $S, 'ann@example'],
    ['apikey_members', 1, $S],
    ['apikey_get', 1, $S, $ID],
    ['apikey_list', 1, $S],
    ['apikey_edges', 1, $S],
    ['apikey_acks', 1, $S, $EPOCH, 1, 'a' x 40],
    ['apikey_conflicts', 1, $S],
    ['apikey_since', 1, $S, 0, 10],
    ['apikey_snapshot', 1, $S, 0, 10],
);
is($r->fingerprint, $fingerprint, 'all reads work with FCALL_RO');

for my $write (
    [init => pepper => $PEPPER, epoch => $EPOCH, actor => 'ops'],
    [member_put => 'm', name => 'm', tenant => 't', actor => 'ops'],
    [set_status => $key->{id}, 'disabled', actor => 'ops'],
    [renew => 'e', boot => $EPOCH],
    [settle => $key->{id}, as => 'revoked', actor => 'ops'],
    [edge_forget => 'e', actor => 'ops'],
    [conflicts_put => 'e', boot => $EPOCH, total => 0],
) {
    my ($name, @args) = @$write;

    like($r->call('FCALL_RO', "apikey_$name", 1, $S, @args),
        qr/^ERR Can not execute a script with write flag/,
        "$name is no read");
}

# ---- limits, met exactly -----------------------------------------------------

{
    my %widest = (
        digest => '0123456789abcdef' x 4,
        hint   => 'h' x 32,
        name   => 'n' x 128,
        member => '0123456789azAZ_.:@-' . 'm' x 45,
        scopes => join(' ', map { "$_!#[]~" . 's' x 57 } 'a' .. 'p'),
        expires => 1,
        actor  => 'a' x 128,
        reason => "\xe2\x82\xac" x 85 . 'r',
    );
    my $tenant = '0123456789azAZ_.:@-' . 't' x 45;
    my $id     = 'key_' . '09azAZ' . 'k' x 14;

    $r->member($widest{member}, name => 'n' x 128, email => 'e' x 254,
        tenant => $tenant, actor => 'a' x 128, reason => 'r' x 256);
    $r->create(id => $id, %widest);

    my $got = $r->fcall_hash('get', $id);

    is($got->{$_}, $widest{$_}, "$_ as long as can be")
        for qw(digest hint name member scopes expires reason);
    is($got->{tenant}, $tenant, 'tenant as long as can be');
    is($r->set_status($id, 'disabled', actor => 'b' x 128,
            reason => 'r' x 256)->{changed}, 1, '... and so in set_status');
    is_deeply($r->fcall_ok('list', member => $widest{member},
            tenant => $tenant, status => 'disabled')->[1],
        [$r->fcall_ok('get', $id)], '... and in a list');
}

done_testing();
