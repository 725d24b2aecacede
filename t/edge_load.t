# Under load, reloads, restarts, kills and growths lose no request and allow
# nothing wrong.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Apikey::Edge;
use Apikey::Load;

my $e = Apikey::Edge->start(workers => 2);

my $good    = $e->key(name => 'good');
my $revoked = $e->key(name => 'revoked');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->wait_status($revoked, 401, 'revoked');

# Runs the sub under load; answers what the clients saw, summed up.
sub under_load {
    my ($sub) = @_;

    my $load = Apikey::Load->start($e, 2, good => $good, revoked => $revoked);

    $sub->();

    return $load->stop;
}

sub nothing_lost_or_wrong {
    my ($seen, $what) = @_;

    is_deeply [ sort keys %$seen ], [ 'good 200', 'revoked 401 revoked' ],
        "$what: no request lost, nothing wrong allowed"
        or diag explain $seen;
    cmp_ok $seen->{'good 200'} // 0, '>', 20, "$what: there was load";

    return;
}

nothing_lost_or_wrong(under_load(sub {
    $e->nginx->reload for 1 .. 5;
}), 'nginx reloads');

nothing_lost_or_wrong(under_load(sub {
    for (1 .. 3) {
        $e->daemon->stop;
        $e->start_daemon;
    }
}), 'the daemon restarts');

nothing_lost_or_wrong(under_load(sub {
    for (1 .. 3) {
        $e->daemon->kill9;
        $e->start_daemon;
    }
}), 'the daemon is killed');

# ---- a bulk of changes, and the table outgrows its first size -----------------

my $pepper = $e->redis->meta->{peppers};
my @bulk;

nothing_lost_or_wrong(under_load(sub {
    push @bulk, map { $e->redis->create(pepper => $pepper) } 1 .. 3000;
}), 'the table grows');

cmp_ok $e->daemon->control->{growths}, '>', 0, 'the table did grow';

# ---- killed in the middle of a bulk -------------------------------------------

nothing_lost_or_wrong(under_load(sub {
    for my $i (0 .. $#bulk) {
        $e->redis->set_status($bulk[$i]{id}, 'disabled') if $i % 3 == 0;
        $e->redis->set_status($bulk[$i]{id}, 'revoked') if $i % 3 == 1;

        if ($i % 1000 == 500) {
            $e->daemon->kill9;
            $e->start_daemon;
        }
    }
}), 'the daemon is killed in the middle of a bulk of changes');

# every key in the table is as the store has it
my $head = $e->redis->meta->{version};

$e->daemon->wait_control(version => sub { $_ >= $head });

my @expected = qw(disabled revoked enabled);
my @lines    = $e->daemon->table_get(map { $_->{digest} } @bulk);
my @wrong    = grep { $lines[$_] !~ /^$expected[$_ % 3] / } 0 .. $#bulk;

is @lines, @bulk, 'every key of the bulk was looked up';
is "@wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]", '',
    'and each is as the store has it';

$e->stop;

done_testing;
