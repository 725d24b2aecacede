# When the store's history is not the one that apikey-sync followed, or cannot
# be read: what it notices, what it does about it, and that it never takes less
# for granted than it has seen.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha1_hex sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 800;
my $STORE = '{apikey}';

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 20;
my $d = Apikey::Daemon->start(redis => $r, edge => 'e1');

$d->wait_ready;

sub acked {
    return $r->acked('e1');
}

# Until the edge has acknowledged the store's head, and its lease is live.
sub wait_healthy {
    my $head = $r->meta->{version};

    return Apikey::Process::wait_for(
        sub { acked() == $head && $d->live && $d->control->{version} == $head },
        10, "the edge to be at $head");
}

# Every key of the store is in the table with its status and version.
sub same_as_store {
    my ($what) = @_;

    my (@digests, @want);

    for my $id (map { @{ $r->ok('ZRANGE', "$STORE:status:$_", 0, -1) } }
                qw(enabled disabled revoked))
    {
        my %key = @{ $r->ok('HGETALL', "$STORE:key:$id") };

        push @digests, $key{digest};
        push @want, "$key{status} version=$key{version}";
    }

    my @got = map { join ' ', (split)[0, 1] } $d->table_get(@digests);

    is_deeply \@got, \@want, "$what: the table is as the store is";

    return;
}

# Runs the sub while the daemon hears nothing: stopped, its connections cut.
sub deaf {
    my ($sub) = @_;

    $d->process->signal('STOP');
    $r->ok('CLIENT', 'KILL', 'TYPE', 'pubsub');
    $r->ok('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $sub->();
    $d->process->signal('CONT');

    return;
}

sub snapshots { return $d->control->{snapshots} }

# Runs the sub, and waits until that has led to a snapshot and back to health.
sub resyncs {
    my ($sub) = @_;

    my $snapshots = snapshots();

    $sub->();
    $d->wait_control('snapshots', sub { $_ > $snapshots });
    wait_healthy();

    return;
}

wait_healthy();
same_as_store('at first');

# ---- missed messages -----------------------------------------------------------

my $before = snapshots();

deaf(sub { $r->set_status($keys[0]{id}, 'disabled') });
wait_healthy();
same_as_store('messages missed');
is snapshots(), $before, 'messages missed: the log was enough';

# more than one page of the log
deaf(sub {
    my $client = $r->connect;

    $client->send('FCALL', 'apikey_set_status', 1, $STORE, $keys[1]{id},
                  $_ % 2 ? 'disabled' : 'enabled', 'actor', 't')
        for 1 .. 2501;
    $client->read_reply(10) for 1 .. 2501;
});
wait_healthy();
same_as_store('thousands of messages missed');
is snapshots(), $before, 'thousands of messages missed: the log was enough';

for (1 .. 30) {
    $r->ok('CLIENT', 'KILL', 'TYPE', 'pubsub') if $_ % 3 == 0;
    $r->set_status($keys[ $_ % 20 ]{id}, $_ % 2 ? 'disabled' : 'enabled');
}

wait_healthy();
same_as_store('subscription cut again and again');
is snapshots(), $before, 'subscription cut again and again: no snapshot';

# ---- the log was trimmed -------------------------------------------------------

resyncs(sub {
    deaf(sub {
        $r->set_status($keys[2]{id}, 'disabled');
        $r->set_status($keys[3]{id}, 'revoked');
        $r->set_status($keys[4]{id}, 'disabled');
        $r->ok('XTRIM', "$STORE:log", 'MAXLEN', 1);
    });
});
like $d->log, qr/a full resync is needed" cause=trimmed/, 'trimmed: is seen';
same_as_store('trimmed');

# ---- a fork: same version, another chain ---------------------------------------

resyncs(sub { $r->ok('HSET', "$STORE:meta", 'chain', 'f' x 40) });
like $d->log, qr/a full resync is needed" cause=fork/, 'fork: is seen';
$r->set_status($keys[4]{id}, 'enabled');
wait_healthy();
same_as_store('fork');

# the message that tells of a fork is of a revoke, and no snapshot succeeds
{
    my $client   = $r->connect;
    my @commands = (
        ['MULTI'],
        [ 'HSET', "$STORE:meta", 'chain', 'e' x 40 ],
        [ 'HSET', "$STORE:key:$keys[5]{id}", 'status', 'perhaps' ],
        [ 'FCALL', 'apikey_set_status', 1, $STORE, $keys[12]{id}, 'revoked',
          'actor', 't' ],
        ['EXEC'],
    );

    $client->send(@$_) for @commands;
    $client->read_reply(10) for @commands;
    $d->wait_for_status($keys[12]{digest}, 'revoked', 5);
    pass 'fork: its revoke waits for no snapshot';
    resyncs(sub {
        $r->ok('HSET', "$STORE:key:$keys[5]{id}", 'status', 'enabled');
    });
    same_as_store('fork, again');
}

# ---- messages that lie ---------------------------------------------------------

sub publish {
    my ($version, $previous, $entry) = @_;

    $r->ok('PUBLISH', "$STORE:events", "$version $previous "
        . sha1_hex("$previous\n$entry") . " $entry");

    return;
}

my $head   = $r->meta->{version};
my $chain  = $r->meta->{chain};
my $errors = $d->control->{errors};

resyncs(sub {
    publish($head + 1, $chain,
            '{"op":"set_status","at":1,"actor":"x","key":{}}');
});
like $d->log, qr/a change cannot be applied" version=@{[ $head + 1 ]} error="the field id is missing"/,
    'an undecodable message: is told';
same_as_store('an undecodable message');
cmp_ok $d->control->{errors}, '>', $errors, 'an undecodable message: counted';

resyncs(sub {
    publish($head + 1, 'e' x 40, '{"op":"member","at":1,"actor":"x"}');
});
same_as_store('a message of another chain');

publish($head + 5, $chain, '{"op":"member","at":1,"actor":"x"}');
$d->wait_log(qr/version=@{[ $head + 5 ]} error="it was pushed, but the store's log does not have it"/);
wait_healthy();
same_as_store('a message of a version that is not there');

resyncs(sub {
    publish($head + 1, $chain, '{"op":"member","at":1,"actor":"x"}');
});
like $d->log, qr/a full resync is needed" cause=ahead/,
    'a message that the store knows nothing of: is seen';
same_as_store('a message that the store knows nothing of');

$before = snapshots();
$r->ok('PUBLISH', "$STORE:events", 'hello');
$d->wait_log(qr/the message is not what the store's contract says/);
wait_healthy();
same_as_store('a message that is none');
is snapshots(), $before, 'a message that is none: the log was enough';

publish(1, $r->meta->{epoch}, '{"op":"member","at":1,"actor":"x"}');
wait_healthy();
same_as_store('an old message');

# ---- an entry of the log that can't be read ------------------------------------

resyncs(sub { deaf(sub {
    my $entry = '{"op":"create","at":1,"actor":"x","key":{"id":"nonsense"}}';
    my $meta  = $r->meta;
    my $next  = sha1_hex("$meta->{chain}\n$entry");

    $r->ok('XADD', "$STORE:log", $meta->{version} + 1 . '-0', 'chain', $next,
           'entry', $entry);
    $r->ok('HSET', "$STORE:meta", 'version', $meta->{version} + 1, 'chain',
           $next);
}) });
same_as_store('an undecodable entry of the log');
like $d->log, qr/a change cannot be applied/, 'and it was told';

# ---- a record that can't be read: no lease until it can ------------------------

$r->ok('HSET', "$STORE:key:$keys[5]{id}", 'status', 'perhaps');
$r->ok('HSET', "$STORE:meta", 'chain', 'd' x 40);
$d->wait_log(qr/the snapshot failed" key=$keys[5]{id} error="the value of the field status /);
Apikey::Process::wait_for(sub { !$d->live }, 10, 'the lease to end');
pass 'an undecodable record: the lease ends';
$d->wait_log(qr/the lease has run out/);
like $d->table_get($keys[6]{digest}), qr/^enabled /, 'the table stays';
ok $d->process->alive, 'the daemon goes on';

# no snapshot comes to its end; what readers use takes no harm by that
$r->set_status($keys[9]{id}, 'revoked');
$d->wait_for_status($keys[9]{digest}, 'revoked', 5);
pass 'between two tries a revoke takes effect at once';
$r->set_status($keys[10]{id}, 'disabled');
$r->set_status($keys[11]{id}, 'revoked');
$d->wait_for_status($keys[11]{digest}, 'revoked', 5);
is $d->status($keys[10]{digest}), 'disabled', 'and a disable';
resyncs(sub {
    $r->ok('HSET', "$STORE:key:$keys[5]{id}", 'status', 'enabled');
});
same_as_store('mended');

# ---- an emptied store is not a store without keys ------------------------------

my $epoch = $r->meta->{epoch};

$r->set_status($keys[7]{id}, 'revoked');
wait_healthy();
$r->ok('FLUSHALL');
$d->wait_log(qr/the store refuses.*NOINIT.*the store is empty/);
Apikey::Process::wait_for(sub { !$d->live }, 10, 'the lease to end');
is $d->control->{state}, 4, 'FLUSHALL: frozen';
like $d->table_get($keys[6]{digest}), qr/^enabled /, 'FLUSHALL: the table stays';

# ---- another epoch: other keys, but what was revoked stays so ------------------

$r->init(epoch => 'abcdef0123456789abcdef0123456789', lease => $LEASE);
$r->{has_member} = 0;

my $new = $r->create(digest => sha256_hex('new'));
my $same = $r->create(id => $keys[8]{id}, digest => $keys[8]{digest});
my $undead = $r->create(id => $keys[7]{id}, digest => $keys[7]{digest});

wait_healthy();
like $d->log, qr/a full resync is needed" cause=epoch/, 'another epoch is seen';
is $d->status($new->{digest}), 'enabled', 'another epoch: its keys';
is $d->status($keys[6]{digest}), 'unknown', 'another epoch: not the old ones';
is $d->status($same->{digest}), 'enabled', 'another epoch: a key of both';
is $d->status($undead->{digest}), 'revoked',
    'another epoch: what was seen revoked stays refused';
cmp_ok $d->control->{conflicts}, '>=', 1, 'the conflict is counted';
like $d->log, qr/forgotten revocations/, 'the conflict is told';
like $d->log, qr/a forgotten revocation" key=$undead->{id}/,
    'and the key is named';

$r->set_status($undead->{id}, 'disabled');
$r->set_status($undead->{id}, 'enabled');
wait_healthy();
is $d->status($undead->{digest}), 'revoked', 'enable does not bring it back';
is $d->control->{conflicts}, 1, 'and is the same conflict';
like $d->log, qr/brings back a revoked key; it stays refused" key=$undead->{id}/,
    'and told, with the id';

$r->set_status($undead->{id}, 'revoked');
wait_healthy();

is $d->stop, 0, 'exit 0';

done_testing;
