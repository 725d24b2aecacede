# apikey-sync under load: growth while changes come in, kill -9 in the middle of
# them, and a store too large for the table's file system.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use POSIX ();
use Test::More;
use Time::HiRes ();

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $LEASE = 2000;
my $STORE = '{apikey}';

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
$r->member('mem_1');

sub id     { return sprintf 'key_%020d', $_[0] }
sub digest { return sha256_hex("k$_[0]") }

# Commands of apikey_<function>, pipelined.
sub bulk {
    my (@commands) = @_;

    my $client = $r->connect;

    while (my @some = splice @commands, 0, 200) {
        for (@some) {
            my ($function, @args) = @$_;

            $client->send('FCALL', "apikey_$function", 1, $STORE, @args);
        }

        for (@some) {
            my $reply = $client->read_reply(10);

            die "bulk: $reply" if ref $reply ne 'ARRAY';
        }
    }

    return;
}

sub creates {
    my ($from, $to, %arg) = @_;

    return map {
        [ 'create', id($_), 'digest', digest($_), 'pepper',
          "p1:$Apikey::Redis::FINGERPRINT", 'name', "Key $_", 'member',
          'mem_1', 'actor', 't', %arg ]
    } $from .. $to;
}

sub wait_head {
    my ($d) = @_;

    my $head = $r->meta->{version};

    return Apikey::Process::wait_for(
        sub { $d->control->{version} == $head && $d->live },
        30, "the edge to be at $head");
}

# Every key of the store is in the table with its status and version.
sub same_as_store {
    my ($d, $what) = @_;

    my (@digests, @want);

    for my $status (qw(enabled disabled revoked)) {
        my $ids = $r->ok('ZRANGE', "$STORE:status:$status", 0, -1);
        my $client = $r->connect;

        while (my @some = splice @$ids, 0, 500) {
            $client->send('HMGET', "$STORE:key:$_", 'digest', 'version')
                for @some;

            for (@some) {
                my ($digest, $version) = @{ $client->read_reply(10) };

                push @digests, $digest;
                push @want, "$status version=$version";
            }
        }
    }

    my @got   = map { join ' ', (split)[0, 1] } $d->table_get(@digests);
    my @wrong = grep { $got[$_] ne $want[$_] } 0 .. $#want;

    is scalar @wrong, 0, "$what: " . @want . ' keys are as in the store'
        or diag "got $got[$wrong[0]], want $want[$wrong[0]]";

    return;
}

# ---- growth --------------------------------------------------------------------

bulk(creates(1, 10));

my $d = Apikey::Daemon->start(redis => $r, edge => 'e1');

$d->wait_ready;
is $d->control->{generation}, 1, 'a small table';

# another edge, that hears of nothing for a while
my $deaf = Apikey::Daemon->start(redis => $r, edge => 'e2');

$deaf->wait_ready;
$deaf->process->signal('STOP');

# while it grows, changes of old keys go on
bulk(map {
    my $n = $_;
    (creates(11 + $n * 1000, 1010 + $n * 1000),
     map { [ 'set_status', id($_), $n % 2 ? 'enabled' : 'disabled',
             'actor', 't' ] } 1 .. 10)
} 0 .. 9);

wait_head($d);
same_as_store($d, 'growth');
cmp_ok $d->control->{growths}, '>=', 2, 'it grew, more than once';
is $d->control->{snapshots}, 1, 'and took no other snapshot';
is $d->control->{conflicts}, 0, 'no conflict';
is $d->control->{errors}, 0, 'no error';

# ---- while it reads the log -----------------------------------------------------

$r->ok('CLIENT', 'KILL', 'TYPE', 'pubsub');
$deaf->process->signal('CONT');
wait_head($deaf);
same_as_store($deaf, 'log');
cmp_ok $deaf->control->{growths}, '>=', 2, 'log: it grew, more than once';
is $deaf->control->{snapshots}, 1, 'and took no other snapshot';
is $deaf->control->{errors}, 0, 'no error';
is $deaf->stop, 0, 'exit 0';
wait_head($d);

# ---- kill -9 at any moment -----------------------------------------------------

defined(my $writer = fork) or die "fork: $!";

if (!$writer) {
    # the parent's objects are not ours to end
    eval {
        for my $round (1 .. 12) {
            bulk(creates(20_000 + $round * 500, 20_499 + $round * 500),
                 map { [ 'set_status', id($_),
                         $round % 2 ? 'disabled' : 'enabled', 'actor', 't' ] }
                     100 .. 400);
        }
        1;
    } or POSIX::_exit(1);
    POSIX::_exit(0);
}

my $kills = 0;

until (waitpid $writer, POSIX::WNOHANG()) {
    Time::HiRes::sleep(0.02 + rand 0.15);
    $d->kill9;
    $kills++;
    $d = Apikey::Daemon->start(redis => $r, edge => 'e1',
                               table => $d->table);
}

is $?, 0, 'the bulk change came to its end';
note "$kills kills";
cmp_ok $kills, '>', 3, 'the daemon was killed again and again';
$d->wait_ready;
wait_head($d);
same_as_store($d, 'kill -9');
is scalar(() = glob $d->table . '/keys.*'), 1, 'one generation is left';

# what it has seen revoked it knows after kill -9 and a store that forgot it
my @revoked = (1 .. 50);

bulk(map { [ 'set_status', id($_), 'revoked', 'actor', 't' ] } @revoked);
wait_head($d);
$d->kill9;
$r->ok('FLUSHALL');
$r->init(lease => $LEASE);
$r->member('mem_1');
bulk(creates(1, 100));
$d = Apikey::Daemon->start(redis => $r, edge => 'e1', table => $d->table);
$d->wait_ready;
is_deeply [ map { (split)[0] } $d->table_get(map { digest($_) } 1 .. 100) ],
    [ ('revoked') x 50, ('enabled') x 50 ],
    'revoked for ever, by kill -9 and a store that forgot it';
is $d->control->{conflicts}, 50, 'and each is counted';

is $d->stop, 0, 'exit 0';

done_testing;
