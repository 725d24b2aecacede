#!/usr/bin/perl

# apikeyctl log: which entries it shows; and --verify, which finds the first
# that is not what was written.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha1_hex);
use POSIX qw(strftime);

use Apikey::Ctl;
use Apikey::Process;
use Apikey::Redis;
use JSON::PP ();
use Test::More;

my $TIME  = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $LOG   = '{apikey}:log';
my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);
my ($exit, $out, $err);

$ctl->ok('init', '--actor=ops');
$ctl->ok('member', 'add', 'ada', '--name=Ada', '--tenant=t', '--actor=ops');

my ($key, $other) = map { $ctl->json('create', '--member=ada', "--name=$_", '--actor=ops')->{id} } qw(one two);

$ctl->ok('disable', $key, '--actor=night', '--reason=leaked');
$ctl->ok('revoke', $other, '--actor=night');
$ctl->ok('enable', $key, '--actor=ops');

# ---- which entries -----------------------------------------------------------

like($ctl->ok('log'), qr/\AVERSION +TIME +OP +OF +STATUS +ACTOR +REASON
1 +$TIME  init +ops *
2 +$TIME  member +ada +ops *
3 +$TIME  create +$key  enabled +ops *
4 +$TIME  create +$other  enabled +ops *
5 +$TIME  set_status  $key  disabled +night +leaked
6 +$TIME  set_status  $other  revoked +night *
7 +$TIME  set_status  $key  enabled +ops *
\z/, 'all of it, oldest first');

sub versions {
    my (@words) = @_;

    ($exit, $out, $err) = $ctl->run('log', '--quiet', @words);
    is($exit, 0, "log @words");

    return join ' ', split /\n/, $out;
}

my $never = 'key_' . 'Z' x 20;

is(versions(), '1 2 3 4 5 6 7', 'versions alone');
is(versions('--since=5'), '5 6 7', 'from a version on');
is(versions('--since=0'), '1 2 3 4 5 6 7', 'from before the first');
is(versions('--since=8'), '', 'from beyond the last');
is(versions('--since=1h'), '1 2 3 4 5 6 7', 'of the last hour');
is(versions('--since=2020-01-01T00:00:00Z'), '1 2 3 4 5 6 7', 'from a time on');
is(versions('--since=' . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + 3600))), '', 'from a time to come');
is(versions("--key=$key"), '3 5 7', 'of a key');
is(versions("--key=$never"), '', 'of one that there is not');
is(versions('--actor=night'), '5 6', 'by an actor');
is(versions('--actor=night', "--key=$key"), '5', 'of both');
is(versions('--limit=2'), '6 7', 'the last two');
is(versions('--limit=2', "--key=$key"), '5 7', 'the last two of those');
is(versions('--limit=2', "--key=$key", '--since=6'), '7', 'the last two since');
is(versions('--limit=99'), '1 2 3 4 5 6 7', 'more than there are');

my $entries = $ctl->json('log');

is(scalar @$entries, 7, 'with --json');
is_deeply([ sort keys %{ $entries->[4] } ], [qw(actor at chain key op reason version)], 'an entry');
is($entries->[4]{key}{id}, $key, 'its key');
is($entries->[4]{key}{status}, 'disabled', 'as it was then');
ok(!exists $entries->[4]{key}{digest}, 'without the digest');
is($entries->[4]{reason}, 'leaked', 'its reason');
is($entries->[1]{member}{id}, 'ada', 'a member');
is($entries->[0]{meta}{prefix}, 'mm_', 'the store');
is_deeply($ctl->json('log', "--key=$never"), [], 'none: an empty array');

# by time, where entries are an hour apart
{
    my $store = Apikey::Redis->start;
    my $aged  = Apikey::Ctl->new(url => $store->url);
    my $now   = time;

    $aged->ok('init');
    $store->ok('DEL', $LOG);
    $store->ok('XADD', $LOG, "$_-0", chain => 'f' x 40, entry => sprintf '{"op":"x","at":%d000,"actor":"a","reason":""}', $now - 3600 * (10 - $_))
        for 1 .. 9;
    $store->ok('HSET', '{apikey}:meta', 'version', 9, 'chain', 'f' x 40);

    for my $row ([ '3h30m', undef ], [ '210m', '7 8 9' ], [ '30m', '' ], [ '570m', '1 2 3 4 5 6 7 8 9' ], [ '52w', '1 2 3 4 5 6 7 8 9' ]) {
        my ($since, $want) = @$row;

        ($exit, $out, $err) = $aged->run('log', '--quiet', "--since=$since");
        is($exit, defined $want ? 0 : 2, "the last $since");
        is(join(' ', split /\n/, $out), $want // '', 'begin where they should');
    }

    $store->stop;
}

# more than a page
{
    my $store = Apikey::Redis->start;
    my $long  = Apikey::Ctl->new(url => $store->url);

    $long->ok('init');

    my $id = $long->key->{id};

    $store->set_status($id, $_ % 2 ? 'disabled' : 'enabled') for 1 .. 2300;
    is(scalar(() = $long->ok('log', '--quiet') =~ /\n/g), 2303, 'a log of several pages');
    is(join(' ', split /\n/, $long->ok('log', '--quiet', '--actor=nobody')), '', 'of which none fits');
    like($long->ok('log', '--quiet', '--limit=1100'), qr/\A1204\n1205\n/, 'the last of them');
    is(scalar(() = $long->ok('log', '--quiet', '--limit=1100') =~ /\n/g), 1100, 'so many');
    is_deeply($long->json('log', '--limit=1', '--actor=nobody'), [], 'the last of none');
    like($long->ok('log', '--verify'), qr/\Aintact: .*\nSound +1 to 2303\n/, 'and intact');
    $store->stop;
}

# ---- verify ------------------------------------------------------------------

my $head = $redis->meta->{chain};

is($ctl->ok('log', '--verify'), "intact: every entry is there, as it was written, up to the head\n"
    . "Sound        1 to 7\nChain        $head at version 7\n", 'verify');
is_deeply($ctl->json('log', '--verify'),
          { intact => JSON::PP::true, epoch => $redis->meta->{epoch}, first => 1, last => 7, chain => $head,
            trimmed => JSON::PP::false, broken => undef }, 'with --json');
is($ctl->ok('log', '--verify', '--quiet'), '', 'with --quiet');

my @sound = @{ $redis->ok('XRANGE', $LOG, '-', '+') };
my $meta  = $redis->meta;

# Writes this log in place of the one there is: [id, chain, entry].
sub write_log {
    my (@entries) = @_;

    $redis->ok('DEL', $LOG);
    $redis->ok('XADD', $LOG, $_->[0], 'chain', $_->[1], 'entry', $_->[2]) for @entries;
}

for my $row (
    [ 'an entry is edited', 5, qr/its chain is not that of its text behind the entry before/,
      sub { $_[4][2] =~ s/night/noone/ } ],
    [ 'by one byte, the last', 7, qr/its chain is not that of its text/, sub { $_[6][2] .= ' ' } ],
    [ 'the first is edited', 1, qr/behind the epoch: this entry was changed, or the epoch was/, sub { $_[0][2] =~ s/ops/eve/ } ],
    [ 'a chain is edited', 4, qr/its chain is not that of its text/, sub { $_[3][1] = 'f' x 40 } ],
    [ 'an entry is dropped', 5, qr/it is missing: behind 4 there is 6/, sub { splice @_, 4, 1; @_ } ],
    [ 'two are dropped', 3, qr/it is missing: behind 2 there is 5/, sub { splice @_, 2, 2; @_ } ],
    [ 'the last is dropped', 7, qr/it is missing: the head is 7, and the log ends before it/, sub { pop @_; @_ } ],
    [ 'all are dropped', 7, qr/it is missing: the head is 7/, sub { () } ],
    [ 'one is added at the end', 8, qr/it is beyond the head, which is 7/,
      sub { (@_, [ '8-0', sha1_hex("$_[6][1]\n{}"), '{}' ]) } ],
    [ 'two are swapped', 5, qr/its chain is not that of its text/,
      sub { my @a = @{ $_[4] }; @{ $_[4] }[1, 2] = @{ $_[5] }[1, 2]; @{ $_[5] }[1, 2] = @a[1, 2]; @_ } ],
    [ 'one is edited, and its chain forged', 6, qr/this entry was changed, or the one before it together with its chain/,
      sub { $_[4][2] =~ s/night/noone/; $_[4][1] = sha1_hex("$_[3][1]\n$_[4][2]"); @_ } ],
    [ 'the chain is forged up to the end', 7, qr/its chain is not the one that meta has for the head/,
      sub { $_[4][2] =~ s/night/noone/; $_[$_][1] = sha1_hex("$_[$_ - 1][1]\n$_[$_][2]") for 4 .. 6; @_ } ],
    [ 'an entry is replaced by one of another key', 3, qr/its chain is not that of its text/, sub { $_[2][2] = $_[3][2]; @_ } ],
) {
    my ($what, $version, $says, $do) = @$row;
    my @entries = map { [ $_->[0], @{ $_->[1] }[1, 3] ] } @sound;
    my @changed = $do->(@entries);

    @changed = @entries if @changed && !ref $changed[0];
    write_log(@changed);
    ($exit, $out, $err) = $ctl->run('log', '--verify');
    is($exit, 7, "$what: exit 7");
    like($out, qr/\Abroken at version $version: .*$says/, 'and the first broken entry is named');
    ($exit, $out, $err) = $ctl->run('log', '--verify', '--json');

    my $json = JSON::PP->new->utf8->decode($out);

    is($json->{broken}{version}, $version, 'for programs too');
    is($json->{intact}, JSON::PP::false, 'as not intact');
}

# an id that is no version
write_log((map { [ $_->[0], @{ $_->[1] }[1, 3] ] } @sound), [ '7-1', 'f' x 40, '{}' ]);
($exit, $out, $err) = $ctl->run('log', '--verify');
is($exit, 7, 'an id that is no version: exit 7');
like($err, qr/has an entry 7-1 that is no version \(BADSTORE\)/, 'and it is named');

# another epoch, another head
write_log(map { [ $_->[0], @{ $_->[1] }[1, 3] ] } @sound);
$redis->ok('HSET', '{apikey}:meta', 'epoch', 'e' x 32);
like(($ctl->run('log', '--verify'))[1], qr/\Abroken at version 1: .* or the epoch was/, 'the epoch is replaced');
$redis->ok('HSET', '{apikey}:meta', 'epoch', $meta->{epoch}, 'chain', 'f' x 40);
like(($ctl->run('log', '--verify'))[1], qr/\Abroken at version 7: its chain is not the one that meta has/, "meta's chain is");
$redis->ok('HSET', '{apikey}:meta', 'chain', $meta->{chain});

# trimmed: its first entry is taken as it is
$redis->ok('XTRIM', $LOG, 'MAXLEN', 4);
($exit, $out, $err) = $ctl->run('log', '--verify');
is($exit, 0, 'a log that was trimmed is intact');
like($out, qr/^Sound +4 to 7$/m, 'from there on');
like($out, qr/^Trimmed +what was before version 4 is gone; the text and the place of that entry itself cannot be checked$/m, 'says so');
is($ctl->json('log', '--verify')->{trimmed}, JSON::PP::true, 'with --json');

my @entries = map { [ $_->[0], @{ $_->[1] }[1, 3] ] } @sound[ 3 .. 6 ];

$entries[0][2] =~ s/ops/eve/;
write_log(@entries);
is(($ctl->run('log', '--verify'))[0], 0, 'what cannot be checked: its first entry is edited');
$entries[0][1] = 'f' x 40;
write_log(@entries);
like(($ctl->run('log', '--verify'))[1], qr/\Abroken at version 5: /, 'but not its chain');

# an entry that nobody can read is shown as such
write_log([ '4-0', 'f' x 40, 'no JSON' ], map { [ $_->[0], @{ $_->[1] }[1, 3] ] } @sound[ 4 .. 6 ]);
like($ctl->ok('log'), qr/^4 +- +unreadable/m, 'an entry that is no JSON is shown as such');
is($ctl->json('log')->[0]{op}, undef, 'with --json');

# who may only read the functions may read the log
$redis->ok('ACL', 'SETUSER', 'reader', 'on', '>secret', 'resetkeys', '%R~{apikey}', '%R~{apikey}:*', '-@all', '+fcall_ro',
           '+hgetall', '+zcard', '+hlen', '+xrange', '+time', '+get', '+exists');
is(($ctl->run('log', '--since=1h', '--store', 'unix://reader:secret@' . $redis->socket))[0], 0, 'FCALL_RO is enough');

done_testing;
