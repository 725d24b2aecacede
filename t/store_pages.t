#!/usr/bin/perl

# Listing in pages: every filter against what a plain filter over all records
# gives, the bounds of a page, and that nothing is skipped or met twice while
# keys change in between; with 5,000 keys.

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S = '{apikey}';
my $KEYS = 5000;

my $r = Apikey::Redis->start->load_library;

$r->init;

# ---- an empty store ----------------------------------------------------------

is_deeply($r->fcall_ok('list'), ['', []], 'an empty store lists nothing');
is_deeply($r->fcall_ok('members'), ['', []], '... and no members');
is_deeply([@{ $r->fcall_ok('snapshot', 0, 10) }[3, 4]], [0, []],
    '... and its snapshot is at its end');
is_deeply($r->fcall_ok('edges'), [], '... and no edges');

# ---- 5,000 keys --------------------------------------------------------------

my @members = map { sprintf 'mem_%02d', $_ } 0 .. 19;
my (%tenant, @all, %key);

for my $n (0 .. $#members) {
    $tenant{ $members[$n] } = 'ten_' . $n % 3;
    $r->member($members[$n], tenant => $tenant{ $members[$n] });
}

for my $n (1 .. $KEYS) {
    # mem_00 has few; the 2,000 first ones of mem_01 are disabled
    my $member = $n <= 2000 ? 'mem_01'
               : $n % 500 == 0 ? 'mem_00' : $members[2 + $n % 18];
    my $status = $n <= 2000 || $n % 5 == 0 ? 'disabled' : 'enabled';
    my $key    = $r->create(member => $member, status => $status);

    if ($n % 7 == 0 && $n > 2000) {
        $r->set_status($key->{id}, $status = 'revoked');
    }

    $key{ $key->{id} } = { id => $key->{id}, member => $member,
                           tenant => $tenant{$member}, status => $status };
    unshift @all, $key{ $key->{id} };
}

# All pages of a listing: the ids, and the sizes of the pages.
sub pages {
    my ($function, %arg) = @_;
    my (@ids, @sizes);
    my $cursor = '';

    do {
        ($cursor, my $objects) = @{ $r->fcall_ok($function, %arg,
            @sizes ? (cursor => $cursor) : ()) };
        push @ids, map { my %field = @$_; $field{id} } @$objects;
        push @sizes, scalar @$objects;
        die 'endless' if @sizes > 20000;
    } while ($cursor ne '');

    return (\@ids, \@sizes);
}

sub wanted {
    my (%filter) = @_;

    return [map { $_->{id} } grep {
        my $key = $_;
        !grep { $key->{$_} ne $filter{$_} } keys %filter;
    } @all];
}

my @rows = (
    [{}],
    (map { [{ status => $_ }] } qw(enabled disabled revoked)),
    (map { [{ tenant => $_ }] } qw(ten_0 ten_1 ten_2 ten_9)),
    (map { [{ member => $_ }] } qw(mem_00 mem_01 mem_07 mem_99)),
    [{ tenant => 'ten_1', status => 'disabled' }],
    [{ tenant => 'ten_2', status => 'revoked' }],
    [{ member => 'mem_00', status => 'enabled' }],
    [{ member => 'mem_01', status => 'disabled' }],
    [{ member => 'mem_01', status => 'enabled' }],
    [{ member => 'mem_05', status => 'revoked' }],
    [{ member => 'mem_01', tenant => 'ten_1' }],
    [{ member => 'mem_01', tenant => 'ten_2' }],
    [{ member => 'mem_05', tenant => 'ten_2', status => 'revoked' }],
);

for my $row (@rows) {
    my ($filter) = @$row;
    my $wanted = wanted(%$filter);
    my $what   = join(' ', map { "$_=$filter->{$_}" } sort keys %$filter)
                 || 'no filter';

    for my $count (1000, 20, 7) {
        next if $count < 1000 && @$wanted > 100 * $count;

        my ($ids, $sizes) = pages('list', %$filter, count => $count);

        is_deeply($ids, $wanted,
            "list $what, $count a page: " . @$wanted . ' in order');
        ok(!(grep { $_ > $count } @$sizes), '... no page is longer');
    }
}

{
    my ($ids, $sizes) = pages('list');

    is_deeply($ids, wanted(), 'all of them in 50 pages');
    is_deeply([@$sizes[0, 1], scalar @$sizes], [100, 100, $KEYS / 100],
        'a page has 100 unless asked for another number');

    my $first = wanted(status => 'enabled');

    for my $n (@$first - 1, scalar @$first, @$first + 1) {
        next if $n > 1000;
        my ($cursor) = @{ $r->fcall_ok('list', status => 'enabled',
                                       count => $n) };
        is($cursor eq '' ? 1 : 0, $n >= @$first ? 1 : 0, "cursor at $n");
    }

    my $few = @{ wanted(member => 'mem_00') };

    for my $n ($few - 1, $few, $few + 1) {
        my ($cursor, $page) = @{ $r->fcall_ok('list', member => 'mem_00',
                                              count => $n) };
        is_deeply([$cursor eq '' ? 1 : 0, scalar @$page],
            [$n >= $few ? 1 : 0, $n < $few ? $n : $few],
            "$n of $few: a cursor only if there are more");
    }
}

# one call looks at no more than some 1,000 records, whatever it skips
{
    my ($cursor, $page) = @{ $r->fcall_ok('list', member => 'mem_01',
                                          status => 'enabled') };

    is_deeply([$cursor ne '' ? 1 : 0, $page], [1, []],
        'a page may be empty and still have a cursor');
}

# ---- members -----------------------------------------------------------------

for my $count (1000, 20, 19, 3, 1) {
    is_deeply([pages('members', count => $count)]->[0], \@members,
        "members, $count a page");
    is_deeply([pages('members', count => $count, tenant => 'ten_1')]->[0],
        [grep { $tenant{$_} eq 'ten_1' } @members], '... of one tenant');
}

is_deeply([pages('members', tenant => 'ten_9')]->[0], [],
    'members of no tenant');

# ---- the counts --------------------------------------------------------------

my $meta = $r->meta;

is($meta->{$_}, scalar @{ wanted(status => $_) }, "meta counts $_")
    for qw(enabled disabled revoked);
is($meta->{members}, 20, 'meta counts members');

# ---- snapshot ----------------------------------------------------------------

sub snapshot {
    my ($count, $between) = @_;
    my ($cursor, @ids, @heads) = 0;

    do {
        my $page = $r->fcall_ok('snapshot', $cursor, $count);

        push @heads, join ' ', @$page[0 .. 2];
        $cursor = $page->[3];
        push @ids, @{ $page->[4] };
        $between->() if $between;
    } while ($cursor ne '0');

    return (\@ids, \@heads);
}

for my $count (10000, $KEYS + 1, $KEYS, $KEYS - 1, 777, 100) {
    my ($ids, $heads) = snapshot($count);

    is_deeply([sort @$ids], [sort keys %key], "snapshot, $count a page: all");
    is(scalar @$heads, int(($KEYS + $count - 1) / $count),
        '... in as few pages as can be');
    is($heads->[0], "$meta->{epoch} $meta->{version} $meta->{chain}",
        '... with the head of the store');
}

# keys that are there from the first page to the last are met exactly once,
# however often they change their status meanwhile, and wherever they stand
{
    my @ids  = map { $_->{id} } reverse @all;
    my $turn = 0;
    my %now;
    my ($seen) = snapshot(100, sub {
        for my $id (@ids[map { ($_ * 41 + $turn * 13) % $KEYS } 1 .. 60]) {
            my $status = $now{$id} || $key{$id}{status};

            next if $status eq 'revoked';
            $now{$id} = ('disabled', 'enabled', 'revoked')[$turn % 3];
            $r->set_status($id, $now{$id});
        }

        $r->create(member => 'mem_00');
        $turn++;
    });
    my %times;

    $times{$_}++ for @$seen;
    is(scalar(grep { ($times{$_} || 0) != 1 } @ids), 0,
        'a snapshot beside changes has each key once');
    is(scalar(grep { $_ > 1 } values %times), 0, '... new ones at most once');
    cmp_ok(scalar keys %now, '>', 1000, '... while very many changed');
}

# the same for a list, newest first: what is created meanwhile is not met
{
    my ($cursor, %times) = '';
    my $turn = 0;
    my $newest = $r->create(member => 'mem_00')->{id};
    my @before = @{ [pages('list', count => 1000)]->[0] };

    do {
        ($cursor, my $page) = @{ $r->fcall_ok('list', cursor => $cursor,
                                              count => 250) };
        for my $object (@$page) {
            my %key = @$object;

            $times{ $key{id} }++;
            $r->set_status($key{id}, 'disabled')
                if $turn % 2 && $key{status} eq 'enabled';
        }

        $r->create(member => 'mem_00');
        $turn++;
    } while ($cursor ne '');

    is_deeply([sort keys %times], [sort @before],
        'a list beside changes has what was there when it began');
    is(scalar(grep { $_ > 1 } values %times), 0, '... once');
}

# ---- an index entry without its key ------------------------------------------

$r->ok('DEL', "$S:key:" . Apikey::Redis::key_id(2500));
is(scalar(grep { $_ eq Apikey::Redis::key_id(2500) }
        @{ [pages('list', count => 1000)]->[0] }), 0,
    'a key whose record somebody deleted is left out');

done_testing();
