package Apikey::Fault;

# One edge with its store, and what a fault does to it: is the cause counted
# and named, does the lease run out if and only if it must, does the daemon
# heal by itself, and is the table what the store is afterwards?
#
#   my $f = Apikey::Fault->start(redis => $redis, url => $proxy->url);
#   $f->row('misconf',                  # the cause, and the name of the rows
#       provoke => sub { ... },
#       heal    => sub { ... },         # if there is anything to do
#       over    => 1,                   # the lease runs out before it heals
#       log     => qr/holder=/);        # more of the line
#   $f->daemon; $f->ids;                # of the 10 keys that it makes
#
# Options of start go to Apikey::Daemon.  A row takes `count` (exactly, for a
# cause that can be), and `changes => 0` for a store that can't be changed
# once it has healed.

use strict;
use warnings;

use Carp qw(croak);
use Digest::SHA qw(sha256_hex);
use Test::More ();

use Apikey::Daemon ();
use Apikey::Process ();
use Apikey::Redis ();

my $STORE = $Apikey::Redis::STORE;
my $made  = 0;

sub start {
    my ($class, %opt) = @_;

    my $redis = $opt{redis};
    my @keys  = map { $redis->create(digest => sha256_hex('fault ' . ++$made)) } 1 .. 10;
    my $self  = bless {
        redis  => $redis,
        keys   => \@keys,
        daemon => Apikey::Daemon->start(edge => 'e1', %opt),
    }, $class;

    $self->{daemon}->wait_ready;

    return $self;
}

sub daemon { return $_[0]{daemon} }
sub ids    { return map { $_->{id} } @{ $_[0]{keys} } }

sub count {
    my ($self, $cause) = @_;

    return $self->{daemon}->control->{"cause_$cause"};
}

# The lines that name the cause so far.
sub lines {
    my ($self, $cause) = @_;

    return grep { / cause=$cause / && !/msg="snapshot begins"/ } split /\n/, $self->{daemon}->log;
}

sub leases_over {
    my ($self) = @_;

    return scalar(() = $self->{daemon}->log =~ /the lease has run out/g);
}

sub row {
    my ($self, $cause, %row) = @_;

    my ($provoke, $heal, $over, $log, $count, $name)
        = delete @row{qw(provoke heal over log count name)};

    croak 'row: unknown ' . join ' ', sort keys %row if %row;

    $name //= $cause;

    my $daemon = $self->{daemon};
    my $before = $self->count($cause);
    my $ended  = $self->leases_over;

    $provoke->();
    $daemon->wait_control("cause_$cause", sub { $_ > $before }, 20);
    Test::More::pass("$name: is counted");

    if ($over) {
        Apikey::Process::wait_for(sub { $self->leases_over > $ended }, 20, "$name: the lease to end");
        Test::More::pass("$name: the lease runs out");
    }

    $heal->() if $heal;
    $self->healthy($name);

    my @lines = $self->lines($cause);

    Test::More::like($lines[-1] // '', qr/ cause=$cause .*why="/, "$name: is told");
    Test::More::like($lines[-1], $log, "$name: and how") if $log;
    Test::More::is($self->leases_over, $ended, "$name: the lease lasts") if !$over;
    Test::More::is($self->count($cause) - $before, $count, "$name: as often as it was") if defined $count;

    return;
}

# Until the edge has a lease and has acknowledged a change that is made now;
# then the table is compared with the store.
sub healthy {
    my ($self, $name) = @_;

    my ($daemon, $redis) = @$self{qw(daemon redis)};

    $self->toggle;

    my $head = $redis->meta->{version};

    Apikey::Process::wait_for(sub {
        $daemon->process->alive or croak 'apikey-sync ended: ' . $daemon->log;
        return $daemon->live && $daemon->control->{version} == $head && $self->acked == $head;
    }, 30, "$name: the edge to be healthy");
    Test::More::pass("$name: it heals by itself");

    my (@digests, @want);

    for my $id (map { @{ $redis->ok('ZRANGE', "$STORE:status:$_", 0, -1) } }
                qw(enabled disabled revoked))
    {
        my %key = @{ $redis->ok('HGETALL', "$STORE:key:$id") };

        push @digests, $key{digest};
        push @want, "$key{status} version=$key{version}";
    }

    my @got = map { join ' ', (split)[0, 1] } $daemon->table_get(@digests);

    Test::More::is_deeply(\@got, \@want, "$name: the table is as the store is");

    return;
}

# Changes the first key.
sub toggle {
    my ($self) = @_;

    my $status = ++$self->{toggles} % 2 ? 'disabled' : 'enabled';

    $self->{redis}->set_status($self->{keys}[0]{id}, $status);

    return;
}

sub acked {
    my ($self) = @_;

    return $self->{redis}->acked('e1');
}

1;
