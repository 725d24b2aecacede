#!/usr/bin/perl

# The log: dense versions, and a hash chain that is computed here again from
# what docs/store.md says; what is published is what is stored; and whoever
# edits, drops or forges an entry is seen.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use FindBin ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S = '{apikey}';
my $r = Apikey::Redis->start->load_library;

my $listener = $r->connect;
$listener->ok('SUBSCRIBE', "$S:events");

my $epoch = $r->init->{epoch};
my %status;

$r->member("mem_$_", name => "n\x{e9}\x{20ac}\x{1f600} \"$_\" \\ / ",
    tenant => 'ten_' . $_ % 3) for 1 .. 10;

for my $n (1 .. 60) {
    my $key = $r->create(member => 'mem_' . (1 + $n % 10),
        name => "K\xc3\xa9y/$n", reason => $n % 2 ? "because \"$n\"" : '');

    $status{ $key->{id} } = 'enabled';

    for my $next (('disabled', 'enabled', 'revoked')[0 .. $n % 4 - 1]) {
        $r->set_status($key->{id}, $next, actor => "act\xc3\xb8r");
        $status{ $key->{id} } = $next;
    }
}

# The log as { version, chain, entry }, read as anyone can.
sub log_entries {
    return map {
        my %field = @{ $_->[1] };
        { id => $_->[0], %field };
    } @{ $r->ok('XRANGE', "$S:log", '-', '+') };
}

# The version up to which the log fits the chain.
sub verified {
    my ($chain, $version) = ($epoch, 0);

    for my $entry (log_entries()) {
        last if $entry->{id} ne $version + 1 . '-0';
        last if $entry->{chain} ne sha1_hex("$chain\n$entry->{entry}");
        ($chain, $version) = ($entry->{chain}, $version + 1);
    }

    return $version;
}

my $meta = $r->meta;
my @log  = log_entries();

is($meta->{version}, 1 + 10 + 60 + 15 * (0 + 1 + 2 + 3),
    'one version for each change');
is(scalar @log, $meta->{version}, 'one entry for each version');
is(verified(), $meta->{version}, 'the whole chain fits');
is($log[-1]{chain}, $meta->{chain}, '... and ends in meta');

# ---- the same, published and read --------------------------------------------

my $head     = $epoch;
my $mismatch = 0;

for my $n (1 .. $meta->{version}) {
    my $entry = $log[$n - 1];
    my $event = $listener->read_reply(5)->[2];

    $mismatch++ if $event ne "$n $head $entry->{chain} $entry->{entry}";
    $head = $entry->{chain};
}

is($mismatch, 0, 'each event is its entry, in order');

my $since = $r->fcall_ok('since', 0, 10000);

is_deeply([@$since[0 .. 2]], [$epoch, @$meta{qw(version chain)}],
    'since: the epoch, the head');

$head     = $epoch;
$mismatch = 0;

for my $n (1 .. $meta->{version}) {
    my $entry = $log[$n - 1];

    $mismatch++ if "@{ $since->[3][$n - 1] }"
                   ne "$n $head $entry->{chain} $entry->{entry}";
    $head = $entry->{chain};
}

is($mismatch, 0, '... and the same entries');

# ---- a follower ends with what is stored -------------------------------------

my (%key, %member);

for my $entry (@log) {
    my $change = JSON::PP->new->utf8->decode($entry->{entry});

    $key{ $change->{key}{id} } = $change->{key}          if $change->{key};
    $member{ $change->{member}{id} } = $change->{member} if $change->{member};
}

sub as_text {
    my %hash = @{ $r->ok('HGETALL', $_[0]) };

    utf8::decode($_) for values %hash;
    return \%hash;
}

is_deeply({ map { $_ => as_text("$S:key:$_") } keys %key }, \%key,
    'the last entry of each key is its record');
is_deeply({ map { $_ => as_text("$S:member:$_") } keys %member }, \%member,
    'the last entry of each member is the member');
is_deeply({ map { $_ => $key{$_}{status} } keys %key }, \%status,
    'with the statuses that were set');

# ---- tampering is seen -------------------------------------------------------

sub tampered {
    my ($what, $at, $do) = @_;

    $r->ok('COPY', "$S:log", 'copy');
    $do->();
    is(verified(), $at, "$what: seen");
    $r->ok('RENAME', 'copy', "$S:log");
}

# Writes the log anew, with one entry changed.
sub rewrite {
    my ($change) = @_;
    my @entries = log_entries();

    $change->(\@entries);
    $r->ok('DEL', "$S:log");
    $r->ok('XADD', "$S:log", $_->{id}, 'chain', $_->{chain}, 'entry',
           $_->{entry}) for @entries;
}

tampered('an entry dropped', 49, sub { $r->ok('XDEL', "$S:log", '50-0') });
tampered('an entry edited', 49, sub {
    rewrite(sub { $_[0][49]{entry} =~ s/"actor":"/"actor":"x/ });
});
tampered('an entry edited, its chain too', 50, sub {
    rewrite(sub {
        my $entry = $_[0][49];

        $entry->{entry} =~ s/"actor":"/"actor":"x/;
        $entry->{chain} = sha1_hex("$_[0][48]{chain}\n$entry->{entry}");
    });
});
tampered('two entries swapped', 49, sub {
    rewrite(sub {
        @{ $_[0] }[49, 50] = @{ $_[0] }[50, 49];
        @{ $_[0] }[49, 50] = ({ %{ $_[0][49] }, id => '50-0' },
                              { %{ $_[0][50] }, id => '51-0' });
    });
});

is(verified(), $meta->{version}, 'untouched, it fits');

# ---- trimming ----------------------------------------------------------------

my $small = Apikey::Redis->start->load_library;

$small->init(log_length => 1000);
$small->member('mem_1');

my $key = $small->create;

$small->set_status($key->{id}, $_ % 2 ? 'disabled' : 'enabled')
    for 1 .. 1500;

my $length = $small->ok('XLEN', "$S:log");
my $first  = $small->meta->{log_first};

ok($length >= 1000 && $length < 1300, 'the log is trimmed to about its length')
    or diag($length);
is($first, 1504 - $length, 'meta tells the first version that is left');
is($small->fcall_ok('since', 0, 1)->[3][0][0], $first,
    'since begins there for who asks for more');
is($small->fcall_ok('since', 0, 1)->[3][0][1], '',
    '... and does not know the chain before it');

done_testing();
