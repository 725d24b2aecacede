#!/usr/bin/perl

# apikeyctl list and long answers: pages, filters, columns of wide letters, and
# texts that would steer a terminal.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Redis;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init');

# 2,300 keys: more than two pages of the store
my $pepper = $redis->meta->{peppers};

$redis->member("mem_$_", tenant => $_ % 2 ? 'odd' : 'even') for 1 .. 4;

my @ids;

for my $i (1 .. 2300) {
    push @ids, Apikey::Redis::key_id($i);
    $redis->create(id => $ids[-1], pepper => $pepper, name => "Key $i", member => 'mem_' . ($i % 4 + 1));
}

$redis->set_status($_, 'disabled') for @ids[0 .. 9];
$redis->set_status($_, 'revoked')  for @ids[10 .. 14];

sub listed { return [ split /\n/, $ctl->ok('list', '--quiet', @_) ] }

is_deeply(listed(), [ reverse @ids ], 'all keys, newest first');
is_deeply(listed('--limit=1000'), [ (reverse @ids)[0 .. 999] ], 'a page');
is_deeply(listed('--limit=1001'), [ (reverse @ids)[0 .. 1000] ], 'a page and one');
is_deeply(listed('--limit=99999'), [ reverse @ids ], 'more than there are');
is_deeply(listed('--status=disabled'), [ reverse @ids[0 .. 9] ], 'disabled ones');
is_deeply(listed('--status=revoked', '--limit=2'), [ reverse @ids[13, 14] ], 'two that are revoked');
is(scalar @{ listed('--status=enabled') }, 2285, 'enabled ones');
is(scalar @{ listed('--member=mem_1') }, 575, 'of a member');
is(scalar @{ listed('--member=mem_1', '--status=disabled') }, 2, 'of a member, disabled');
is(scalar @{ listed('--tenant=odd') }, 1150, 'of a tenant');
is(scalar @{ listed('--tenant=odd', '--member=mem_2') }, 0, 'of a tenant and another\'s member');
is(scalar @{ $ctl->json('list') }, 2300, 'as JSON');

my $table = $ctl->ok('list');

is($table =~ tr/\n//, 2301, 'as a table');
is(() = $table =~ /^ID /mg, 1, 'with one head');

$redis->member(sprintf('%04d', $_), name => 'm', tenant => 'many') for 1 .. 1200;
is(scalar @{ $ctl->json('member', 'list') }, 1204, 'members, page after page');
is(scalar @{ $ctl->json('member', 'list', '--tenant=many', '--limit=1100') }, 1100, 'members of a tenant, so many');

# ---- columns ----------------------------------------------------------------

my @names = ('plain', "\xe6\x9d\xb1\xe4\xba\xac", "L\xc3\xb6we", "e\xcc\x81", "\xf0\x9f\x94\x91 key");

$redis->member('wide', tenant => 'wide');
$redis->create(pepper => $pepper, name => $_, member => 'wide') for @names;

my @columns = map { index_of_member($_) } split /\n/, $ctl->ok('list', '--member=wide');

is("@columns", "@{[ ($columns[0]) x 6 ]}", 'columns are straight, whatever stands in them');

# What a line takes on the terminal before the second column of blanks.
sub index_of_member {
    my ($line) = @_;

    utf8::decode($line);
    $line =~ s/(?:MEMBER|wide).*//;

    my $width = 0;

    for my $char (split //, $line) {
        $width += $char =~ /\p{Mn}/ ? 0 : $char =~ /[\p{East_Asian_Width=W}]/ ? 2 : 1;
    }

    return $width;
}

# ---- what would steer a terminal --------------------------------------------

# the store refuses C0 and DEL; these it takes
my %evil = (
    'CSI of 8 bits'   => [ "a\xc2\x9b31mb",        '\\u{009b}', '\\u009b' ],
    'right to left'   => [ "a\xe2\x80\xaeb",       '\\u{202e}', '\\u202e' ],
    'isolate'         => [ "a\xe2\x81\xa6b",       '\\u{2066}', '\\u2066' ],
    'line separator'  => [ "a\xe2\x80\xa8b",       '\\u{2028}', '\\u2028' ],
    'Arabic mark'     => [ "a\xd8\x9cb",           '\\u{061c}', '\\u061c' ],
);

for my $what (sort keys %evil) {
    my ($name, $shown, $json) = @{ $evil{$what} };
    my ($char) = $name =~ /a([\x80-\xff]+)/;
    my $key    = $redis->create(pepper => $pepper, name => $name, member => 'wide');

    for my $words ([ 'list', '--limit=1' ], [ 'show', $key->{id} ]) {
        my $text = $ctl->ok(@$words);

        like($text, qr/a\Q$shown\E/, "$what: $words->[0] shows its number");
        unlike($text, qr/$char/, 'and not itself');

        $text = $ctl->ok(@$words, '--json');
        like($text, qr/a\Q$json\E/, 'JSON too');
        unlike($text, qr/$char/, 'nothing raw there either');

        my $data = JSON::PP->new->utf8->decode($text);
        my $back = (ref $data eq 'ARRAY' ? $data->[0] : $data)->{name};

        utf8::encode($back);
        is($back, $name, 'and it reads back as it was');
    }
}

# what only an edit by hand can have put there
$redis->ok('HSET', "{apikey}:key:$ids[0]", 'name', "\e[2J");

my ($exit, $out, $err) = $ctl->run('list', '--status=disabled');

unlike($out . $err, qr/\e/, 'no escape sequence gets out');
isnt($exit, 0, 'a damaged record is an error');

done_testing;
