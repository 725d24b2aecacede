# Messages of the channel that are lost, that come twice or in another order:
# apikey-sync tells them apart, counts each, and misses no change.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Fault;
use Apikey::Process;
use Apikey::Proxy;
use Apikey::Redis;

my $CHANGES = 200;

my $r = Apikey::Redis->start;

$r->load_library->init(lease => 4000);

my $proxy = Apikey::Proxy->start(redis => $r, seed => 7);
my $f     = Apikey::Fault->start(redis => $r, url => $proxy->url);
my $d     = $f->daemon;
my @ids   = $f->ids;

# So many changes, a batch at a time, so that there is a message behind most.
sub changes {
    my ($n) = @_;

    my $client = $r->connect;

    for my $batch (1 .. $n / 10) {
        $client->send('FCALL', 'apikey_set_status', 1, '{apikey}', $ids[$_],
                      $batch % 2 ? 'disabled' : 'enabled', 'actor', 't')
            for 0 .. 9;
        $client->read_reply(10) for 1 .. 10;
    }

    return;
}

sub causes { return [ map { $f->count($_) } qw(lost duplicated reordered) ] }

$f->healthy('at first');
changes($CHANGES);
$f->healthy('without a fault');
is_deeply causes(), [ 0, 0, 0 ], 'without a fault: none is counted';

for ([ 'lost', 'lose', 'lost', 0.1 ], [ 'lost', 'lose', 'lost', 1 ],
     [ 'duplicated', 'repeat', 'repeated', 0.1 ], [ 'duplicated', 'repeat', 'repeated', 1 ],
     [ 'reordered', 'swap', 'swapped', 0.1 ], [ 'reordered', 'swap', 'swapped', 1 ])
{
    my ($cause, $harm, $harmed, $share) = @$_;
    my $name   = "$cause, " . 100 * $share . ' %';
    my $before = causes();
    my $done   = $proxy->count->{$harmed};

    $f->row($cause, name => $name, provoke => sub {
        $proxy->set($harm => $share);
        changes($CHANGES);
    }, heal => sub {
        $proxy->set($harm => 0);
        $f->toggle;
    });

    # what is lost is known to be a moment later
    my $want = $proxy->count->{$harmed} - $done;

    cmp_ok $want, '>', 5, "$name: there was something to see";
    eval { $d->wait_control("cause_$cause", sub { $_ - $before->[ index_of($cause) ] >= $want }) };

    my $now  = causes();
    my @grew = map { $now->[$_] - $before->[$_] } 0 .. 2;
    my @want = map { $_ == index_of($cause) ? $want : 0 } 0 .. 2;

    is_deeply \@grew, \@want, "$name: each is counted, and as what it is";
    is $d->control->{snapshots}, 1, "$name: the log was enough";
}

# a revoke that overtakes the enable before it is no quarrel with the store
{
    my @keys = map { $r->create(digest => sha256_hex("late$_"), status => 'disabled') } 1 .. 10;

    $f->healthy('with more keys');
    $proxy->set(swap => 1);

    for my $key (@keys) {
        $r->set_status($key->{id}, $_) for qw(enabled revoked);
        $d->wait_for_status($key->{digest}, 'revoked');
    }

    $proxy->set(swap => 0);
    $f->toggle;
    $f->healthy('revokes that overtook');
    unlike $d->log, qr/brings back a revoked key/, 'a revoke that overtook: no alarm';
    is $d->control->{conflicts}, 0, 'a revoke that overtook: no conflict';
}

sub index_of {
    my ($cause) = @_;

    return { lost => 0, duplicated => 1, reordered => 2 }->{$cause};
}

is $d->stop, 0, 'exit 0';

done_testing;
