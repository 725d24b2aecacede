#!/usr/bin/perl

# apikeyctl at a terminal: it asks before it revokes, does not echo a key that
# is typed, and shows colours; and none of this where there is no terminal.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Terminal;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init');

my ($exit, $out);

# ---- revoke -----------------------------------------------------------------

for my $row (
    [ "n\n",    1, 'enabled', 'no' ],
    [ "\n",     1, 'enabled', 'nothing' ],
    [ "\004",   1, 'enabled', 'the end of input' ],
    [ "key\n",  1, 'enabled', 'something else' ],
    [ "y\n",    0, 'revoked', 'y' ],
    [ "Yes\n",  0, 'revoked', 'Yes' ],
) {
    my ($answer, $want, $status, $what) = @$row;
    my $key = $ctl->key(name => "ask $what");

    ($exit, $out) = typed([ 'revoke', $key->{id} ], qr/\[y\/N\] /, $answer);

    is($exit, $want, "revoke, answered with $what: exit $want");
    like($out, qr/$key->{id}  ask $what  of ada  enabled  mm_\S+\r\nRevoke this key for ever\? \[y\/N\] /, 'it showed the key');
    is($ctl->ok('show', $key->{id}, '--quiet'), "$status\n", "and it is $status");
}

my @two = map { $ctl->key->{id} } 1, 2;

($exit, $out) = typed([ 'revoke', @two, 'key_' . '0' x 20 ], qr/\[y\/N\] /, "n\n");
like($out, qr/no key has the id key_0{20}\r\nRevoke these keys for ever\?/, 'several, one of them unknown');
like($out, qr/nothing was revoked/, 'no is no');

($exit, $out) = typed([ 'revoke', $two[0], '--yes' ]);
is($exit, 0, 'revoke --yes does not ask');
unlike($out, qr/\[y\/N\]/, 'at all');

is(($ctl->run('revoke', $two[1]))[0], 0, 'nor does it where there is no terminal');

($exit, $out) = typed([ 'disable', $ctl->key->{id} ]);
is($exit, 0, 'disable never asks');

# ---- a key that is typed ----------------------------------------------------

($exit, $out) = typed([ 'create', '--member=ada', '--name=typed', '--stdin' ], qr/Key: /, "md29dn239fn349u8fnu239fniuo2\n");
is($exit, 0, 'create --stdin at a terminal');
unlike($out, qr/md29/, 'does not echo the key');
like($out, qr/Hint +\S*iuo2/, 'and has read it');

# ---- colours ----------------------------------------------------------------

($exit, $out) = typed([ 'list' ]);
like($out, qr/\e\[31mrevoked\e\[0m/, 'colours at a terminal');
($exit, $out) = typed([ 'list' ], undef, undef, { NO_COLOR => '1' });
unlike($out, qr/\e/, 'none with NO_COLOR');
($exit, $out) = typed([ 'list' ], undef, undef, { TERM => 'dumb' });
unlike($out, qr/\e/, 'none at a dumb one');
unlike($ctl->ok('list'), qr/\e/, 'none in a pipe');

done_testing;

sub typed { return Apikey::Terminal::typed($ctl, @_) }
