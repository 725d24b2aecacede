package Soak::Store;

# A Redis primary with a replica, reached by clients through links of its own
# alone: what a failover switches is where these lead to.
#
#   my $s = Soak::Store->start($seed);
#   my $link = $s->link;                       # another Apikey::Proxy
#   $s->primary, $s->replica                   # Apikey::Redis
#   $s->replica_ready;                         # does it follow?
#   my $loss = $s->failover;                   # a record of the history
#   my $loss = $s->truncate(700);              # kill -9, then bytes are missing
#   my $backup = $s->backup; $s->restore($backup);

use strict;
use warnings;

use Carp qw(croak);

use Apikey::Process ();
use Apikey::Proxy ();
use Apikey::Redis ();
use Soak::History ();

my @CONF = (
    qw(--appendonly yes --appendfsync everysec --aof-load-truncated yes),
    qw(--repl-diskless-sync yes --repl-diskless-sync-delay 0),
    qw(--repl-timeout 10),
);

sub start {
    my ($class, $seed) = @_;

    my $self = bless {
        primary => Apikey::Redis->start(conf => \@CONF),
        seed    => $seed,
        links   => [],
    }, $class;

    # the replica's own
    $self->{replication} = $self->new_link;
    $self->new_replica;

    return $self;
}

sub primary     { return $_[0]{primary} }
sub replica     { return $_[0]{replica} }
sub replication { return $_[0]{replication} }

sub new_link {
    my ($self) = @_;

    return Apikey::Proxy->start(redis => $self->{primary},
                                seed  => $self->{seed}++);
}

# For one client, or some.
sub link {
    my ($self) = @_;

    push @{ $self->{links} }, $self->new_link;

    return $self->{links}[-1];
}

sub new_replica {
    my ($self) = @_;

    $self->{replica} = Apikey::Redis->start(conf => [
        @CONF, '--replicaof', '127.0.0.1', $self->{replication}->port ]);

    return;
}

# Does the replica follow, and has it all that the primary had?
sub replica_ready {
    my ($self) = @_;

    my $info = $self->{replica}->ok('INFO', 'replication');

    return 0 if $info !~ /^master_link_status:up/m;

    my ($at)   = $info =~ /^slave_repl_offset:(\d+)/m;
    my ($head) = $self->{primary}->ok('INFO', 'replication')
               =~ /^master_repl_offset:(\d+)/m;

    return $head - $at < 10_000;
}

# Nobody reaches the store while the sub runs; those who try are refused. The
# sub answers up to which version the history was kept. Answers the record of it,
# and under `dark` from when until when no renewal came through.
sub lose {
    my ($self, $kind, $sub) = @_;

    my @links = @{ $self->{links} };
    my $begin = Soak::History::now();

    $_->set(away => 1) for @links;

    my $dark = Soak::History::now();
    my $kept = $sub->();
    my $end  = Soak::History::now();

    $_->set(target => $self->{primary}->socket)->set(away => 0) for @links;

    return {
        kind  => $kind,
        begin => $begin,
        end   => Soak::History::now(),
        kept  => $kept,
        dark  => [ $dark, $end ],
    };
}

sub head {
    my ($self) = @_;

    return $self->{primary}->meta->{version};
}

# The primary dies, the replica takes its place with what it has, and gets a
# replica of its own.
sub failover {
    my ($self) = @_;

    my $replication = $self->{replication};

    return $self->lose(failover => sub {
        $replication->set(away => 1);
        $self->{primary}->kill9;

        $self->{primary} = delete $self->{replica};
        $self->{primary}->ok('REPLICAOF', 'NO', 'ONE');

        $replication->set(target => $self->{primary}->socket)
                    ->set(hole => 0)->set(away => 0);
        $self->new_replica;

        return $self->head;
    });
}

# The primary dies, and the end of its file of commands is not there when it
# starts again.
sub truncate {
    my ($self, $bytes) = @_;

    my $redis = $self->{primary};

    # while the file is being rewritten, which one will be read is not certain
    Apikey::Process::wait_for(sub {
        my $info = $redis->ok('INFO', 'persistence');

        return $info =~ /^aof_rewrite_in_progress:0/m
            && $info =~ /^aof_rewrite_scheduled:0/m;
    }, 60, 'the file of commands to be whole');

    return $self->lose(truncate => sub {
        $redis->kill9;

        my ($file) = sort glob $redis->dir . '/appendonlydir/*.incr.aof';
        my $size   = -s $file // 0;

        CORE::truncate $file, $size > $bytes ? $size - $bytes : 0
            or croak "$file: $!";
        $redis->start_again(conf => \@CONF);

        return $self->head;
    });
}

# All that the store holds, as it is now.
sub backup {
    my ($self) = @_;

    my $client = $self->{primary}->connect;

    # nobody changes anything between the names and the values
    $client->ok('CLIENT', 'PAUSE', 10_000, 'WRITE');

    my $version = $client->ok('HGET', '{apikey}:meta', 'version');
    my @keys    = @{ $client->ok('KEYS', '{apikey}*') };
    my @dump;

    $client->send('PTTL', $_)->send('DUMP', $_) for @keys;

    for my $key (@keys) {
        my ($ttl, $value) = ($client->read_reply(30), $client->read_reply(30));

        push @dump, [ $key, $ttl > 0 ? $ttl : 0, $value ] if defined $value;
    }

    $client->ok('CLIENT', 'UNPAUSE');

    return { version => $version, dump => \@dump };
}

sub flush {
    my ($self) = @_;

    $self->{primary}->ok('FLUSHALL');

    return;
}

# Puts it back, all of it at once.
sub restore {
    my ($self, $backup) = @_;

    my $client = $self->{primary}->connect;
    my $dump   = $backup->{dump};

    $client->send('MULTI');
    $client->send('RESTORE', @$_) for @$dump;
    $client->send('EXEC');
    $client->read_reply(30) for 0 .. @$dump;

    my $reply = $client->read_reply(30);

    croak "the backup was not restored: $reply" if ref $reply ne 'ARRAY';

    return;
}

sub stop {
    my ($self) = @_;

    $_->stop for grep { $_ } @$self{qw(replica primary replication)},
                             @{ $self->{links} };

    return;
}

1;
