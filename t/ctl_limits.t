#!/usr/bin/perl

# Limits of what apikeyctl is given, each at its boundary and one beyond: what
# it lets through the store takes too, and comes back unchanged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Redis;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init', '--prefix=' . 'p' x 16, '--lease=1h', '--log-length=1000');
$ctl->ok('member', 'add', 'ada', '--name=Ada', '--tenant=ten_1');

my $word = join '', 'a' .. 'z', 'A' .. 'L', 0 .. 9, '_.:@-', 'x' x 11;
my $umlaut = "\xc3\xb6";
my $scopes = join ' ', map { sprintf '%02d', $_ } 1 .. 16;

is(length $word, 64, 'a word of 64 bytes');

# command, what is checked by `show`, exit, what stderr says
my @member = ('member', 'add');
my @create = ('create', '--member=ada');

for my $row (
    [ 'member id of 64',        [ @member, $word, '--name=x', '--tenant=t' ] ],
    [ 'member id of 65',        [ @member, "${word}x", '--name=x', '--tenant=t' ],              qr/the member's id must be 1 to 64 of/ ],
    [ 'empty member id',        [ @member, '', '--name=x', '--tenant=t' ],                      qr/the member's id must be/ ],
    [ 'member id with a blank', [ @member, 'a b', '--name=x', '--tenant=t' ],                   qr/the member's id must be/ ],
    [ 'member id: UTF-8',       [ @member, $umlaut, '--name=x', '--tenant=t' ],                 qr/the member's id must be/ ],
    [ 'tenant of 64',           [ @member, 'm64', '--name=x', "--tenant=$word" ] ],
    [ 'tenant of 65',           [ @member, 'm65', '--name=x', "--tenant=${word}x" ],            qr/the tenant must be/ ],
    [ 'name of 128',            [ @member, 'm', '--name=' . $umlaut x 64, '--tenant=t' ] ],
    [ 'name of 129',            [ @member, 'm', '--name=x' . $umlaut x 64, '--tenant=t' ],      qr/the name has 129 bytes; at most 128/ ],
    [ 'empty name',             [ @member, 'm', '--name=', '--tenant=t' ],                      qr/the name is empty/ ],
    [ 'email of 254',           [ @member, 'm', '--email=' . 'e' x 254 ] ],
    [ 'email of 255',           [ @member, 'm', '--email=' . 'e' x 255 ],                       qr/the e-mail address has 255 bytes/ ],
    [ 'no email',               [ @member, 'm', '--email=' ] ],
    [ 'new, without a name',    [ @member, 'new', '--tenant=t' ],                               qr/new one, and needs a name and a tenant/ ],
    [ 'new, without a tenant',  [ @member, 'new', '--name=x' ],                                 qr/new one, and needs a name and a tenant/ ],

    [ 'key name of 128',        [ @create, '--name=' . 'n' x 128 ] ],
    [ 'key name of 129',        [ @create, '--name=' . 'n' x 129 ],                             qr/the name has 129 bytes/ ],
    [ 'empty key name',         [ @create, '--name=' ],                                         qr/the name is empty/ ],
    [ 'key name with a tab',    [ @create, "--name=a\tb" ],                                     qr/the name has a control character/ ],
    [ 'key name with DEL',      [ @create, "--name=a\x7fb" ],                                   qr/the name has a control character/ ],
    [ 'overlong UTF-8',         [ @create, "--name=\xc0\xaf" ],                                 qr/the name is not valid UTF-8/ ],
    [ 'a surrogate',            [ @create, "--name=\xed\xa0\x80" ],                             qr/the name is not valid UTF-8/ ],
    [ 'beyond U+10FFFF',        [ @create, "--name=\xf4\x90\x80\x80" ],                         qr/the name is not valid UTF-8/ ],
    [ 'cut UTF-8',              [ @create, "--name=a\xe6\x9d" ],                                qr/the name is not valid UTF-8/ ],
    [ 'U+10FFFF',               [ @create, "--name=\xf4\x8f\xbf\xbf" ] ],
    [ 'U+E000',                 [ @create, "--name=\xee\x80\x80" ] ],
    [ 'no member of this id',   [ 'create', '--member=eve', '--name=x' ],                       qr/no member has the id eve \(NOMEMBER\)\n  create it first/, 1 ],
    [ 'a bad member id',        [ 'create', '--member=a/b', '--name=x' ],                       qr/the member must be/ ],
    [ '16 scopes',              [ @create, '--name=x', "--scopes=$scopes" ] ],
    [ '17 scopes',              [ @create, '--name=x', "--scopes=$scopes 17" ],                 qr/at most 16 scopes/ ],
    [ '17 scopes, one by one',  [ @create, '--name=x', map { "--scope=$_" } 1 .. 17 ],          qr/at most 16 scopes/ ],
    [ '16 scopes of 64',        [ @create, '--name=x', map { '--scope=' . $_ x 64 } 'a' .. 'p' ] ],
    [ 'a scope of 65',          [ @create, '--name=x', '--scope=' . 's' x 65 ],                 qr/a scope must be 1 to 64 printable/ ],
    [ 'a scope with a quote',   [ @create, '--name=x', '--scope=a"b' ],                         qr/a scope must be/ ],
    [ 'a scope with \\',        [ @create, '--name=x', '--scope=a\\b' ],                        qr/a scope must be/ ],
    [ 'a scope with a tab',     [ @create, '--name=x', "--scope=a\tb" ],                        qr/a scope must be/ ],
    [ 'a scope: UTF-8',         [ @create, '--name=x', "--scope=$umlaut" ],                     qr/a scope must be/ ],
    [ 'scopes: all characters', [ @create, '--name=x', '--scope=!#$%&\'()*+,-./:;<=>?@[]^_`{|}~' ] ],
    [ 'empty scopes',           [ @create, '--name=x', '--scopes=', '--scopes=  ' ] ],
    [ 'actor of 128',           [ @create, '--name=x', '--actor=' . 'a' x 128 ] ],
    [ 'reason of 256',          [ @create, '--name=x', '--reason=' . 'r' x 256 ] ],
    [ 'the last expiry',        [ @create, '--name=x', '--expires=9999999999' ] ],
    [ 'one beyond',             [ @create, '--name=x', '--expires=2286-11-20T17:46:40Z' ],      qr/too far away/ ],
    [ 'never',                  [ @create, '--name=x', '--expires=never' ] ],
    [ 'a leap day',             [ @create, '--name=x', '--expires=2096-02-29t23:59:60.999-23:59' ] ],
    [ '520 weeks',              [ @create, '--name=x', '--expires=520w' ] ],
) {
    my ($what, $words, $says, $exit) = @$row;
    my $before = $redis->meta->{version};
    my ($got, $out, $err) = $ctl->run(@$words);
    my $raised = $redis->meta->{version} - $before;

    if ($says) {
        is($got, $exit // 2, "$what: exit " . ($exit // 2));
        like($err, $says, 'and why');
        is($raised, 0, 'nothing was changed');
        next;
    }

    is($got . $err, '0', "$what is taken");
    cmp_ok($raised, '<=', 1, 'by at most one change');
}

# all of it came back as it went in
my $key = $ctl->json('create', "--member=$word", '--name=' . 'n' x 128, "--scopes=$scopes",
                     '--expires=9999999999');
my $shown = $ctl->json('show', $key->{id});

is($shown->{member}, $word, 'member');
is($shown->{name}, 'n' x 128, 'name');
is("@{ $shown->{scopes} }", $scopes, 'scopes');
is($shown->{expires}, '2286-11-20T17:46:39Z', 'expiry');
like($key->{key}, qr/\Ap{16}[0-9A-Za-z]{38}\z/, 'the longest prefix');
is($redis->meta->{lease}, 3600000, 'the longest lease');

# a member with keys keeps its tenant
my ($exit, $out, $err) = $ctl->run('member', 'put', $word, '--tenant=other');
is($exit, 1, 'a member with keys');
like($err, qr/\(CONFLICT\)$/, 'keeps its tenant');

# expired: an edge says so, and so does a list
my $soon = $ctl->json('create', '--member=ada', '--name=soon', '--expires=1s');
Apikey::Process::wait_for(sub { $ctl->json('show', $soon->{id})->{expired} }, 5, 'the key to expire');
like($ctl->ok('list', '--limit=1'), qr/  expired  /, 'an expired key in a list');
like($ctl->ok('show', $soon->{id}), qr/^Status +enabled, but expired\n/m, 'and shown');

# an empty prefix
my $bare = Apikey::Redis->start;
my $plain = Apikey::Ctl->new(url => $bare->url);
$plain->ok('init', '--prefix=');
is(length $plain->key->{text}, 38, 'no prefix: a key of 38 characters');

done_testing;
