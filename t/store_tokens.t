#!/usr/bin/perl

# Tokens: a call that is sent again with its token gets the answer that it
# missed, once for all, and changes nothing; whatever has happened since.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S      = '{apikey}';
my $BOOT   = 'b' x 32;
my $PEPPER = "p1:$Apikey::Redis::FINGERPRINT";

my $r        = Apikey::Redis->start->load_library;
my $listener = $r->connect;
my $serial   = 0;
my $marks    = 0;

$listener->ok('PSUBSCRIBE', '*');
$r->init;

# A token that was not used before.
sub token { return sprintf 'token_%010d', ++$serial }

sub published {
    my $mark = 'mark ' . ++$marks;
    my $n    = 0;

    $r->ok('PUBLISH', 'mark', $mark);
    $n++ while $listener->read_reply(5)->[3] ne $mark;

    return $n;
}

# The call again: it must give this answer, replayed, and change nothing.
sub replays {
    my ($what, $answer, @call) = @_;

    published();

    my $before = $r->fingerprint;

    is_deeply($r->fcall(@call), [@$answer, replayed => 1], $what);
    ok($r->fingerprint eq $before && published() == 0,
        '... which changes nothing');
}

sub refused {
    my ($what, $error, @call) = @_;
    my $before = $r->fingerprint;
    my $reply  = $r->fcall(@call);

    ok(ref $reply eq 'Apikey::Redis::Error' && $reply->name eq $error
        && $r->fingerprint eq $before, "$error: $what")
        or diag(ref $reply eq 'ARRAY' ? "answered @$reply" : $reply);
}

# ---- each function that takes one --------------------------------------------

my $key  = $r->create;
my $id   = $key->{id};
my $lost = $r->create->{id};

sub edge_gone {
    my ($edge) = @_;

    $r->ok('HSET', "$S:edges", $edge, '{"at":1}');
    $r->fcall_ok('conflicts_put', $edge, boot => $BOOT, total => 2,
        keys => "$id:2:3 $lost:2:3");
}

edge_gone('e1');

my %calls = (
    member_put => ['mem_2', name => 'n', tenant => 't', actor => 'a'],
    create     => [Apikey::Redis::key_id(99), digest => 'd' x 64,
                   pepper => $PEPPER, name => 'n', member => 'mem_1',
                   actor => 'a'],
    set_status => [$id, 'disabled', actor => 'a'],
    settle     => [$lost, as => 'revoked', actor => 'a'],
    edge_forget => ['e1', actor => 'a'],
);
my %answered;

for my $function (qw(member_put create set_status settle edge_forget)) {
    my @call   = ($function, @{ $calls{$function} }, token => token());
    my $answer = $r->fcall_ok(@call);
    my $ttl    = $r->ok('PTTL', "$S:token:$call[-1]");
    my %is     = @$answer;

    published();
    ok($is{version} == $is{head} && $is{head} == $r->meta->{version}
        && $is{chain} eq $r->meta->{chain}, "$function: head is the version")
        or diag(explain(\%is));
    ok($ttl > 3500000 && $ttl <= 3600000, '... kept for an hour') or diag($ttl);
    replays("$function, again", $answer, @call);
    replays('... and again', $answer, @call);

    $answered{$function} = [$answer, @call];
}

# ---- after other changes -----------------------------------------------------

$r->set_status($id, 'enabled');
$r->member('mem_2', name => 'another');
edge_gone('e1');

for my $function (sort keys %answered) {
    my ($answer, @call) = @{ $answered{$function} };

    replays("$function, after other changes", $answer, @call);
}

is($r->fcall_hash('get', $id)->{status}, 'enabled', 'the key stays enabled');
is($r->fcall_hash('member_get', 'mem_2')->{name}, 'another',
    '... the member renamed');
is(scalar @{ $r->fcall_ok('edges') }, 1, '... the edge registered');

$r->set_status($id, 'revoked');

{
    my ($answer, @call) = @{ $answered{set_status} };

    replays('set_status, after a revoke', $answer, @call);
}

# ---- what is the same call ---------------------------------------------------

{
    my ($answer, $function, @args) = @{ $answered{create} };
    my ($new, %named) = @args;

    replays('in another order', $answer, $function, $new,
        map { $_ => $named{$_} } reverse sort keys %named);
    replays('with the defaults given', $answer, $function, @args,
        reason => '', scopes => '', hint => '', status => 'enabled');

    for my $row (
        ['another id',     [Apikey::Redis::key_id(98), %named]],
        ['another digest', [$new, %{ { %named, digest => 'e' x 64 } }]],
        ['another name',   [$new, %{ { %named, name => 'm' } }]],
        ['another actor',  [$new, %{ { %named, actor => 'b' } }]],
        ['a reason',       [$new, %{ { %named, reason => 'r' } }]],
        ['an expiry',      [$new, %{ { %named, expires => 1 } }]],
    ) {
        my ($what, $changed) = @$row;

        refused($what, 'TOKEN', $function, @$changed);
    }
}

# values that read the same when they are put one behind the other
for my $row (
    [['mem_3', name => 'ab', tenant => 'c'], ['mem_3', name => 'a', tenant => 'bc']],
    [['mem_4', name => 'a reason=b', tenant => 't'],
     ['mem_4', name => 'a', tenant => 't', reason => 'b reason=']],
) {
    my ($one, $other) = @$row;
    my @rest = (actor => 'a', token => token());

    $r->fcall_ok('member_put', @$one, @rest);
    refused("not the same: @$other", 'TOKEN', 'member_put', @$other, @rest);
}

{
    my $token = $answered{set_status}[-1];

    refused('another function', 'TOKEN', 'member_put', 'mem_5', name => 'n',
        tenant => 't', actor => 'a', token => $token);
    refused('another function for the same key', 'TOKEN', 'settle',
        $id, as => 'revoked', actor => 'a', token => $token);
    refused('another status', 'TOKEN', 'set_status', $id, 'enabled',
        actor => 'a', token => $token);
    refused('a key that is not there', 'TOKEN', 'set_status',
        Apikey::Redis::key_id(77), 'enabled', actor => 'a', token => $token);
    refused('a malformed argument is told first', 'BADARG', 'set_status', $id,
        'no', actor => 'a', token => $token);
}

# ---- errors are not kept, what changed nothing is ----------------------------

{
    my $new  = Apikey::Redis::key_id(50);
    my @call = ('set_status', $new, 'disabled', actor => 'a',
                token => token());

    refused('no such key', 'NOKEY', @call);
    is($r->ok('EXISTS', "$S:token:$call[-1]"), 0, '... the token is unused');
    $r->create(id => $new, digest => 'c' x 64);

    my $answer = $r->fcall_ok(@call);

    is({ @$answer }->{changed}, 1, '... and good for the same call later');
    replays('... once', $answer, @call);

    refused('enabling what is revoked', 'REVOKED', 'set_status', $id,
        'enabled', actor => 'a', token => my $token = token());
    is($r->ok('EXISTS', "$S:token:$token"), 0, '... the token is unused');

    # the copy that comes late
    @call   = ('set_status', $new, 'disabled', actor => 'a', token => token());
    $answer = $r->fcall_ok(@call);
    published();
    is_deeply([@$answer[8 .. $#$answer]],
        [status => 'disabled', changed => 0,
         map { $_ => $r->meta->{ $_ eq 'head' ? 'version' : $_ } }
             qw(head chain)],
        'changed nothing');
    $r->set_status($new, 'enabled');
    replays('... and does nothing when it comes late', $answer, @call);
    is($r->fcall_hash('get', $new)->{status}, 'enabled', '... at all');

    @call   = ('member_put', 'mem_1', name => 'Member mem_1',
               tenant => 'ten_1', actor => 'a', token => token());
    $answer = $r->fcall_ok(@call);
    is({ @$answer }->{changed}, 0, 'a member as it was');
    $r->member('mem_1', name => 'n');
    replays('... stays as it became', $answer, @call);
}

# ---- the longest and the shortest --------------------------------------------

for my $token ('09azAZ_-' x 2, '09azAZ_-' x 8) {
    my @call   = ('member_put', "mem_" . length $token, name => 'n', tenant => 't',
                  actor => 'a', token => $token);
    my $answer = $r->fcall_ok(@call);

    replays(length($token) . ' characters', $answer, @call);
}

# ---- what others did to it ---------------------------------------------------

for my $row (
    ['a list',          sub { $r->ok('RPUSH', $_[0], 'x') }],
    ['empty',           sub { $r->ok('SET', $_[0], '') }],
    ['no JSON',         sub { $r->ok('SET', $_[0], 'x') }],
    ['null',            sub { $r->ok('SET', $_[0], 'null') }],
    ['a number',        sub { $r->ok('SET', $_[0], '1') }],
    ['without answer',  sub { $r->ok('SET', $_[0], '{"fingerprint":"x"}') }],
) {
    my ($what, $do) = @$row;
    my $token = token();

    $do->("$S:token:$token");
    refused("the token is $what", 'BADSTORE', $_,
        @{ $calls{$_} }, token => $token) for sort keys %calls;
}

# ---- another epoch -----------------------------------------------------------

{
    my ($answer, @call) = @{ $answered{member_put} };
    my $kept = $r->ok('DUMP', "$S:token:$call[-1]");

    $r->ok('FLUSHALL');
    $r->init(epoch => 'f' x 32);
    $r->ok('RESTORE', "$S:token:$call[-1]", 0, $kept);
    refused('what was promised in another epoch', 'TOKEN', @call);
}

done_testing();
