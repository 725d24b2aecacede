# Revocations that the store has forgotten: the edge that has seen them holds
# to them, reports them, and lets go when an operator has settled it.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 800;
my $STORE = '{apikey}';

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 6;
my $d = Apikey::Daemon->start(redis => $r, edge => 'e1');

$d->wait_ready;

sub acked {
    return $r->acked('e1');
}

sub wait_healthy {
    my $head = $r->meta->{version};

    return Apikey::Process::wait_for(
        sub { acked() == $head && $d->live && $d->control->{version} == $head },
        10, "the edge to be at $head");
}

# What the store has of this edge's conflicts: the words, or none.
sub reported {
    my %of = map { @$_ } @{ $r->fcall_ok('conflicts') };

    return [] if !$of{e1};

    my $report = JSON::PP::decode_json($of{e1});

    return [ $report->{total}, sort split / /, $report->{keys} ];
}

sub wait_reported {
    my ($want, $what) = @_;

    eval {
        Apikey::Process::wait_for(
            sub { "@{ reported() }" eq "@$want" }, 10, 'the report');
    };

    return is_deeply reported(), $want, $what;
}

# The store is put back to what it was: everything but what the sub changes.
sub rolled_back {
    my ($sub) = @_;

    my %dump = map { $_ => $r->ok('DUMP', $_) } @{ $r->ok('KEYS', "$STORE:*") };

    $sub->();
    wait_healthy();
    $r->ok('MULTI');
    $r->ok('DEL', @{ [ "$STORE:log", keys %dump ] });
    $r->ok('RESTORE', $_, 0, $dump{$_}) for sort keys %dump;
    $r->ok('EXEC');

    return;
}

# "key:version:stamp" of a revoke that has been made.
sub revoke {
    my ($key) = @_;

    my $done = $r->set_status($key->{id}, 'revoked');

    return "$key->{id}:$done->{version}:$done->{at}";
}

sub resynced {
    my ($sub) = @_;

    my $snapshots = $d->control->{snapshots};

    $sub->();
    $d->wait_control('snapshots', sub { $_ > $snapshots });
    wait_healthy();

    return;
}

wait_healthy();
is_deeply reported(), [], 'nothing to report at first';

# ---- a failover, or a restore, that lost two revokes ---------------------------

my @seen;

resynced(sub {
    rolled_back(sub { @seen = map { revoke($_) } @keys[0, 1] });
});

is $d->status($keys[$_]{digest}), 'revoked', "key $_: stays refused" for 0, 1;
is $d->status($keys[2]{digest}), 'enabled', 'key 2: is as the store says';
is $d->control->{conflicts}, 2, 'both are counted';
wait_reported([ 2, sort @seen ], 'both are reported, and which revocation');
like $d->log, qr/a forgotten revocation" key=$keys[0]{id} revoked_version=/,
    'and named in the log';

# ---- what does not end it ------------------------------------------------------

$r->set_status($keys[0]{id}, 'disabled');
$r->set_status($keys[0]{id}, 'enabled');
wait_healthy();
is $d->status($keys[0]{digest}), 'revoked', 'enable does not bring it back';
like $d->log, qr/brings back a revoked key; it stays refused" key=$keys[0]{id}/,
    'and is told';
is $d->control->{conflicts}, 2, 'one key is one conflict';

$d->kill9;
$d = Apikey::Daemon->start(redis => $r, edge => 'e1', table => $d->table);
$d->wait_ready;
wait_healthy();
is $d->status($keys[$_]{digest}), 'revoked', "key $_: also after kill -9" for 0, 1;
is $d->control->{conflicts}, 2, 'the new daemon knows of both';
wait_reported([ 2, sort @seen ], 'and reports them');

$r->ok('DEL', "$STORE:conflicts");
$r->ok('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
wait_reported([ 2, sort @seen ], 'a server that has not heard of them is told');

# ---- settled: revoked ----------------------------------------------------------

$r->fcall_hash('settle', $keys[0]{id}, as => 'revoked', actor => 'op');
wait_healthy();
is $d->status($keys[0]{digest}), 'revoked', 'settled as revoked: refused';
is $d->control->{conflicts}, 1, 'settled as revoked: no conflict any more';
wait_reported([ 1, $seen[1] ], 'settled as revoked: the report says so');

# ---- settled: accepted ---------------------------------------------------------

$r->fcall_hash('settle', $keys[1]{id}, as => 'accepted', actor => 'op',
               reason => 'a test');
wait_healthy();
is $d->status($keys[1]{digest}), 'enabled', 'settled as accepted: lives again';
is $d->control->{conflicts}, 0, 'settled as accepted: no conflict any more';
wait_reported([], 'settled as accepted: nothing is left to report');

$r->set_status($keys[1]{id}, 'disabled');
$r->set_status($keys[1]{id}, 'enabled');
wait_healthy();
is $d->status($keys[1]{digest}), 'enabled', 'and is a key as any other';

resynced(sub { $r->ok('HSET', "$STORE:meta", 'chain', 'f' x 40) });
is $d->status($keys[1]{digest}), 'enabled', 'also after a resync';
is $d->control->{conflicts}, 0, 'which finds no conflict';

# ---- another revocation of it is another matter --------------------------------

my $again;

resynced(sub { rolled_back(sub { $again = revoke($keys[1]) }) });
is $d->status($keys[1]{digest}), 'revoked',
    'what was accepted once does not excuse a later revocation';
wait_reported([ 1, $again ], 'which is reported');

# ---- accepted while the edge was away ------------------------------------------

$d->process->signal('STOP');
$r->fcall_hash('settle', $keys[1]{id}, as => 'accepted', actor => 'op',
               reason => 'a test');
$r->ok('XTRIM', "$STORE:log", 'MAXLEN', 0);
$d->process->signal('CONT');
wait_healthy();
is $d->status($keys[1]{digest}), 'enabled', 'accepted while away: by a snapshot';
is $d->control->{conflicts}, 0, 'accepted while away: no conflict';

# ---- the table is lost as well -------------------------------------------------

my $kept;

resynced(sub { rolled_back(sub { $kept = revoke($keys[3]) }) });
resynced(sub { unlink $d->table . '/control' or die $! });
$d->wait_log(qr/the table was lost/);
is $d->status($keys[3]{digest}), 'revoked',
    'the table is lost as well: the daemon remembers';
wait_reported([ 1, $kept ], 'and reports it still');
$r->fcall_hash('settle', $keys[3]{id}, as => 'revoked', actor => 'op');
wait_healthy();

# ---- a key that the store does not know any more -------------------------------

my $lost;

resynced(sub {
    rolled_back(sub {
        $lost = $r->create(digest => sha256_hex('lost'));
        $r->set_status($lost->{id}, 'revoked');
    });
});
is $d->status($lost->{digest}), 'revoked', 'forgotten altogether: still refused';
is $d->control->{conflicts}, 0, 'forgotten altogether: nobody says otherwise';
is $d->control->{forgotten}, 1, 'forgotten altogether: counted';

my $reborn = $r->create(digest => $lost->{digest});

wait_healthy();
is $d->status($lost->{digest}), 'revoked', 'imported again: refused';
is $d->control->{conflicts}, 1, 'imported again: a conflict';
like "@{ reported() }", qr/$reborn->{id}:/, 'imported again: under its new id';

is $d->stop, 0, 'exit 0';

done_testing;
