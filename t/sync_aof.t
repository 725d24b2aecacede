# Redis is killed and comes back from an append-only file that was cut: the
# last changes are lost, and their versions are used again.  What an edge has
# seen revoked stays refused, everything else becomes what the store says.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

my $STORE = '{apikey}';
my $LEASE = 1000;    # milliseconds

my $r = Apikey::Redis->start(
    conf => [ qw(--appendonly yes --appendfsync always --aof-load-truncated yes) ]);

$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 30;
my $d    = Apikey::Daemon->start(redis => $r, edge => 'edge');

$d->wait_ready;

sub acked {
    return $r->acked('edge');
}

sub wait_acked {
    Apikey::Process::wait_for(
        sub { acked() == $r->meta->{version} && $d->live }, 15,
        'the acknowledgement');

    return;
}

sub aof {
    my @files = glob $r->dir . '/appendonlydir/*.incr.aof';

    return $files[-1];
}

my @held;

for my $row ([ 'in the middle of the last change', -7 ],
             [ 'before the last change', 0 ],
             [ 'in the middle of the one before', -7, 'two' ])
{
    my ($how, $more, $two) = @$row;
    my ($kept, $lost, $enabled) = splice @keys, 0, 3;

    $r->set_status($enabled->{id}, 'disabled');
    $r->set_status($kept->{id}, 'revoked');
    wait_acked();

    my $size = -s aof();

    # while Redis is gone no renewal is among what is cut
    my $before = $r->meta->{version};

    if ($two) {
        $r->set_status($lost->{id}, 'disabled');
        $size = -s aof();
    }

    $r->set_status($lost->{id}, 'revoked');
    wait_acked();

    my $watch = Apikey::Watch->start($d->table, lost => $lost->{digest},
                                     kept => $kept->{digest});
    my $began = Apikey::Watch::now();

    $r->kill9;
    truncate aof(), $size + $more or die $!;
    $r->start_again;

    cmp_ok $r->meta->{version}, '<=', $before + ($two ? 1 : 0),
        "cut $how: the store has lost the revocation";
    isnt $r->fcall_hash('get', $lost->{id})->{status}, 'revoked',
        "cut $how: to the store that key is not revoked";

    # the same versions for other changes
    $r->set_status($enabled->{id}, 'enabled');
    $r->set_status($keys[-1]{id}, $keys[-1]{now} = ($keys[-1]{now} // '') eq
                   'disabled' ? 'enabled' : 'disabled');
    wait_acked();
    push @held, $lost;
    $watch->stop;

    is join(' ', $watch->after('lost', $began)) =~ s/ ?(?:stale|unavailable)//gr,
        'revoked', "cut $how: the edge never allowed that key";
    is join(' ', $watch->after('kept', $began)) =~ s/ ?(?:stale|unavailable)//gr,
        'revoked', "cut $how: nor one whose revocation was kept";
    is $d->status($enabled->{digest}), 'enabled',
        "cut $how: the edge follows the new history";
    is $d->status($keys[-1]{digest}), $keys[-1]{now}, "cut $how: all of it";
    is $d->control->{conflicts}, scalar @held, "cut $how: conflicts are counted";
    is scalar(grep { $d->status($_->{digest}) ne 'revoked' } @held), 0,
        "cut $how: and all of them held to";
}

# and over a restart of the daemon
$d->kill9;
$d = Apikey::Daemon->start(redis => $r, edge => 'edge', table => $d->table);
$d->wait_ready;
is scalar(grep { $d->status($_->{digest}) ne 'revoked' } @held), 0,
    'a restart of the daemon: they are held to';
is $d->stop, 0, 'exit 0';

done_testing;
