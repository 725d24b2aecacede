#!/usr/bin/perl

# The life of a key by apikeyctl, and what each command prints: for people,
# for programs, and for scripts that take one line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Redis;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

my $KEY  = qr/mm_[0-9A-Za-z]{38}/;
my $ID   = qr/key_[0-9A-Za-z]{20}/;
my $TIME = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my ($exit, $out, $err);

# ---- a store and a member ---------------------------------------------------

$ctl->ok('init');

like($ctl->ok('member', 'add', 'ada', "--name=Ada L\xc3\xb6ve", '--tenant=ten_1'),
     qr/^ada  created  version 2\n\z/, 'member add');
like($ctl->ok('member', 'put', 'ada', '--email=ada@example.org'),
     qr/^ada  changed  version 3\n\z/, 'member put changes what is named');
like($ctl->ok('member', 'add', 'ada', '--email=ada@example.org'),
     qr/^ada  as it was  version 3\n\z/, 'and nothing if nothing differs');
is($ctl->ok('member', 'add', 'bob', '--name=Bob', '--tenant=ten_2', '--quiet'), '',
   'member add --quiet');

is_deeply($ctl->json('member', 'put', 'ada'),
          { id => 'ada', changed => JSON::PP::false, created => JSON::PP::false, version => 4 },
          'member put --json');

is($ctl->ok('member', 'list'), <<"TABLE", 'member list');
ID   NAME      EMAIL            TENANT
ada  Ada L\xc3\xb6ve  ada\@example.org  ten_1
bob  Bob                        ten_2
TABLE
is($ctl->ok('member', 'list', '--quiet'), "ada\nbob\n", 'member list --quiet');
is($ctl->ok('member', 'list', '--tenant', 'ten_2', '--quiet'), "bob\n", 'member list --tenant');
is($ctl->ok('member', 'list', '--limit', '1', '--quiet'), "ada\n", 'member list --limit');

my $members = $ctl->json('member', 'list');

is(scalar @$members, 2, 'member list --json');
is_deeply([ sort keys %{ $members->[0] } ], [qw(created email id name tenant updated)],
          'a member');
is($members->[0]{name}, "Ada L\x{f6}ve", 'its name is UTF-8');
like($ctl->ok('member', 'show', 'ada'),
     qr/^Id +ada\nName +Ada L\xc3\xb6ve\nE-mail +ada\@example.org\nTenant +ten_1\nKeys +0\nCreated +$TIME\nChanged +$TIME\n\z/,
     'member show');
is($ctl->json('member', 'show', 'bob')->{keys}, 0, 'member show --json');

# ---- create -----------------------------------------------------------------

$out = $ctl->ok('create', '--member=ada', "--name=CI \xe6\x9d\xb1\xe4\xba\xac", '--scope=read',
                '--scopes=write  admin:x', '--expires=2099-12-31T23:59:59+01:00',
                '--reason=first one');

like($out, qr/^Key +$KEY\n +shown once: .*\nId +$ID\nName +CI .*\nMember +ada\nStatus +enabled\n/, 'create');
like($out, qr/^Scopes +read write admin:x\n/m, 'with scopes of both kinds');
like($out, qr/^Expires +2099-12-31T22:59:59Z\n/m, 'that expires, in UTC');
like($out, qr/^Version +5\n\z/m, 'and its version');

my ($first) = $out =~ /($ID)/;

($exit, $out, $err) = $ctl->run('create', '--member=bob', '--name=quiet', '--quiet');

is($exit, 0, 'create --quiet');
like($out, qr/\A$KEY\n\z/, 'prints the key and a newline');
is($err, '', 'and nothing else');

my $created = $ctl->json('create', '--member=ada', '--name=json', '--disabled', '--expires', '30d');

is_deeply([ sort keys %$created ],
          [qw(created epoch expires hint id key member name scopes status version)],
          'create --json');
like($created->{key}, qr/\A$KEY\z/, 'its key');
like($created->{id}, qr/\A$ID\z/, 'its id');
is($created->{status}, 'disabled', 'its status');
is($created->{hint}, "mm_\x{2026}" . substr($created->{key}, -4), 'its hint');
is_deeply($created->{scopes}, [], 'no scopes');
is($created->{version}, 7, 'its version, a number');
like($created->{created}, qr/\A$TIME\z/, 'when');
like($created->{epoch}, qr/\A[0-9a-f]{32}\z/, 'the epoch');

my $id = $created->{id};

# ---- import -----------------------------------------------------------------

my $text = 'md29dn239fn349u8fnu239fniuo2';

($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=import', '--stdin', { stdin => "$text\n" });

is($exit, 0, 'create --stdin');
unlike($out . $err, qr/$text/, 'does not show the text again');
like($out, qr/^Hint +\xe2\x80\xa6iuo2\n/m, 'but a hint');

($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=again', '--stdin', { stdin => $text });

is($exit, 1, 'the same text again');
like($err, qr/\(DUPDIGEST\)\n  this key is in the store already: apikeyctl show, /, 'is refused');

for my $row (
    [ 'a newline',      "0123456789abcdef\n",       0 ],
    [ 'CR LF',          "0123456789abcdeg\r\n",     0 ],
    [ 'no newline',     '0123456789abcdeh',         0 ],
    [ '256 bytes',      'x' x 256 . "\n",           0 ],
    [ 'token68',        'A-._~+/0123456789==',      0 ],
    [ '15 bytes',       "0123456789abcde\n",        2, qr/the key: / ],
    [ 'nothing',        '',                         2, qr/the key: / ],
    [ '257 bytes',      'y' x 257,                  2, qr/the key: / ],
    [ '300 bytes',      'y' x 300,                  2, qr/the key: / ],
    [ 'two newlines',   "0123456789abcdefg\n\n",    2, qr/the key: / ],
    [ 'a blank',        "0123456789 abcdefg\n",     2, qr/the key: / ],
    [ 'NUL',            "0123456789\0abcdefg\n",    2, qr/the key: / ],
    [ 'not ASCII',      "0123456789abcdef\xc3\xb6", 2, qr/the key: / ],
    [ 'a bad checksum', 'mm_' . '0' x 38,           2, qr/the key: / ],
) {
    my ($what, $stdin, $want, $says) = @$row;

    ($exit, $out, $err) = $ctl->run('create', '--member=bob', "--name=$what", '--stdin', '--quiet', { stdin => $stdin });

    is($exit, $want, "import of $what: exit $want");
    like($want ? $err : $out, $want ? $says : qr/\A$ID\n\z/, $want ? 'is refused' : 'prints the id');
    unlike($err, qr/123456789|yyyy|000000/, 'and never the text');
}

# a key that we made, lost by the store: its checksum fits
is(($ctl->run('create', '--member=bob', '--name=ours', '--stdin', { stdin => $created->{key} }))[0],
   1, 'our own key with a good checksum is read (and known)');

# ---- one key's life ---------------------------------------------------------

for my $row (
    [ 'enable',  'enabled',  1, 'disabled -> enabled' ],
    [ 'enable',  'enabled',  0, 'again' ],
    [ 'disable', 'disabled', 1, 'enabled -> disabled' ],
    [ 'disable', 'disabled', 0, 'again' ],
    [ 'enable',  'enabled',  1, 'disabled -> enabled' ],
    [ 'revoke',  'revoked',  1, 'enabled -> revoked' ],
    [ 'revoke',  'revoked',  0, 'again' ],
) {
    my ($verb, $status, $changed, $what) = @$row;
    my $before = $ctl->json('show', $id)->{version};
    my $answer = $ctl->json($verb, $id, "--reason=$what");

    is(scalar @$answer, 1, "$what: one answer");
    is_deeply([ sort keys %{ $answer->[0] } ], [qw(at changed epoch id ms status version)], 'its members');
    is($answer->[0]{status}, $status, 'the status');
    is(!!$answer->[0]{changed}, !!$changed, $changed ? 'is a change' : 'is no change');
    cmp_ok($answer->[0]{version}, $changed ? '>' : '==', $before, 'the version');
    cmp_ok($answer->[0]{ms}, '>', 0, 'the milliseconds');
    is($ctl->ok('show', $id, '--quiet'), "$status\n", 'show --quiet');
}

for my $verb (qw(enable disable)) {
    ($exit, $out, $err) = $ctl->run($verb, $id);

    is($exit, 1, "revoked -> $verb");
    like($err, qr/^apikeyctl $verb: the key $id is revoked, for ever.*\(REVOKED\)$/m, 'is refused');
    is($out, '', 'and nothing printed');
}

my $shown = $ctl->json('show', $id);

is_deeply([ sort keys %$shown ],
          [qw(created created_by created_version expired expires hint id member name pepper reason
              scopes status tenant updated updated_by version)], 'show --json');
is($shown->{status}, 'revoked', 'status');
is($shown->{reason}, 'enabled -> revoked', 'reason');
is($shown->{tenant}, 'ten_1', 'tenant');
like($shown->{created_by}, qr/^[^@]+@./, 'the actor is you at this host');
is($shown->{expired}, JSON::PP::false, 'not expired');

like($ctl->ok('show', $first),
     qr/^Id +$first\nName +.*\nMember +ada\nTenant +ten_1\nStatus +enabled\nScopes +read write admin:x\nHint +mm_.*\nPepper +p1\nExpires +2099.*\nCreated +$TIME by .*\nChanged +$TIME by .*\nReason +first one\nVersion +5\n\z/,
     'show');

# ---- several at once --------------------------------------------------------

my @ids     = map { $ctl->key(name => "bulk $_")->{id} } 1 .. 3;
my $unknown = 'key_' . 'Z' x 20;

like($ctl->ok('disable', @ids),
     qr/^(?:$ID  disabled  version \d+  \d+\.\d\d ms\n){3}\z/, 'disable of three');
like($ctl->ok('disable', @ids), qr/^(?:$ID  already disabled  version \d+  \d+\.\d\d ms\n){3}\z/, 'again');
is($ctl->ok('enable', @ids, '--quiet'), '', 'enable --quiet');

($exit, $out, $err) = $ctl->run('revoke', $ids[0], $unknown, $ids[1]);

is($exit, 1, 'revoke of one that is not there: the worst exit code');
is(($out =~ s/  revoked  //gr =~ tr/\n//), 2, 'the others are revoked');
like($err, qr/no key has the id $unknown \(NOKEY\)\n  the ids of all keys: apikeyctl list\n/, 'and it is named');

($exit, $out, $err) = $ctl->run('disable', '--json', $ids[2], $unknown, $ids[0]);

is($exit, 1, 'with --json');
is_deeply([ map { $_->{error} ? $_->{error}{name} : $_->{status} } @{ JSON::PP->new->utf8->decode($out) } ],
          [qw(disabled NOKEY REVOKED)], 'an answer for each');

# ---- list -------------------------------------------------------------------

is_deeply([ map { $_->{status} } @{ $ctl->json('list', '--status', 'revoked') } ], [ ('revoked') x 3 ],
          'list --status');
is($ctl->ok('list', '--quiet', '--limit=1'), "$ids[2]\n", 'list --quiet --limit: the newest');
like($ctl->ok('list', '--member=nobody'), qr/\AID +NAME +MEMBER +STATUS +HINT +CREATED +EXPIRES\n\z/, 'no key: the head alone');
is_deeply($ctl->json('list', '--member=nobody'), [], 'and an empty array');
is($ctl->ok('list', '--member=nobody', '--quiet'), '', 'and nothing');
is_deeply([ grep { $_->{tenant} ne 'ten_2' } @{ $ctl->json('list', '--tenant=ten_2') } ], [], 'list --tenant');
is_deeply([ sort keys %{ $ctl->json('list')->[0] } ], [ sort keys %$shown ], 'a key is the same object as in show');

# the actor and the store's name
is($ctl->ok('disable', $first, '--actor=night shift', '--quiet'), '', '--actor');
is($ctl->json('show', $first)->{updated_by}, 'night shift', 'is written down');
$ctl->run('enable', $first, { env => { APIKEY_ACTOR => 'cron' } });
is($ctl->json('show', $first)->{updated_by}, 'cron', 'APIKEY_ACTOR too');
$ctl->run('disable', $first, { env => { SUDO_USER => 'eve' } });
like($ctl->json('show', $first)->{updated_by}, $> == 0 ? qr/^eve@/ : qr/@/, 'behind sudo, who called it');

($exit, $out, $err) = $ctl->run('list', '--store-name={other}');
is($exit, 1, 'another store');
like($err, qr/no store \{other\} here.*\(NOINIT\)/, 'is not initialised');
($exit) = $ctl->run('list', { env => { APIKEY_STORE_NAME => '{other}' } });
is($exit, 1, 'by APIKEY_STORE_NAME too');
($exit) = $ctl->run('list', '--store', $redis->url, { env => { APIKEY_REDIS => 'unix:///nowhere' } });
is($exit, 0, '--store wins over APIKEY_REDIS');
($exit) = $ctl->run('--store', $redis->url, 'list', { env => { APIKEY_REDIS => '' } });
is($exit, 0, 'and may stand before the command');

done_testing;
