package Apikey::Proxy;

# A proxy before a private Redis that can be told to do harm: what networks
# and servers do to a daemon, on command.
#
#   my $p = Apikey::Proxy->start(redis => $redis);
#   $p->url;                        # for apikey-sync: redis://127.0.0.1:PORT
#
#   $p->set(lose => 0.1);           # share of the channel's messages, 0 to 1,
#   $p->set(repeat => 1);           #   that are lost, that come twice,
#   $p->set(swap => 1);             #   that come after the one behind them
#   $p->set(rate => 1);             # bytes a second of what the server answers,
#                                   #   over the connections that are there;
#   $p->set(rate_commands => 1);    #   those without, or with, a subscription;
#   $p->set(rate_events => 1);      #   `undef` ends it
#   $p->set(slow => 1);             # as rate, of connections to come too
#   $p->set(hole => 1);             # nothing passes, no connection is taken, and
#                                   #   nobody is told (no RST, no ICMP)
#   $p->set(garble => 1);           # the server's answers become none
#   $p->set(refuse => 1);           # ends all connections, and those to come
#   $p->set(away => 1);             # the same, from another cause
#   $p->set(target => $other->socket);
#                                   # whom connections to come are led to
#   $p->reset;                      # ends all connections, by RST
#   $p->count->{lost};              # messages so far: passed lost repeated swapped
#   $p->stop;
#
# start(hook => sub { my ($from, $bytes, $conn) = @_; ... }) is called for each
# read, with 'c' (from the client) or 's': it may set $conn->{close} (after
# these bytes), or $conn->{hold} to a sub: nothing is passed on in that
# direction until it is true.  start(seed => N) makes other choices of messages.
#
# It is a process of its own: a hook and the test see each other's files, not
# each other's variables.  What set() and reset() say holds when they return.

use strict;
use warnings;

use Carp qw(croak);
use IO::Handle ();
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_LINGER);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my %DEFAULT = (lose => 0, repeat => 0, swap => 0, hole => 0, garble => 0,
               refuse => 0, away => 0, target => undef, slow => undef);

sub start {
    my ($class, %opt) = @_;

    my $redis = delete $opt{redis} or croak 'start: no redis';
    my $hook  = delete $opt{hook};
    my $seed  = delete $opt{seed} // 1;

    croak 'start: unknown ' . join ' ', sort keys %opt if %opt;

    # a short queue: a hole has to be filled before it swallows
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no port: $@";

    socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    $_->autoflush(1) for $here, $there;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        close $here;
        srand $seed;
        eval { serve({ listen => $listen, control => $there, hook => $hook,
                       set => { %DEFAULT, target => $redis->socket }, count => {}, way => {} }) };
        print {*STDERR} $@;
        POSIX::_exit(0);
    }

    return bless { pid => $pid, port => $listen->sockport, control => $here,
                   owner => $$ }, $class;
}

sub port { return $_[0]{port} }
sub url  { return "redis://127.0.0.1:$_[0]{port}" }

# Says one line to the process, and returns what it answers.
sub say {
    my ($self, $line) = @_;

    print { $self->{control} } "$line\n";

    my $answer = readline $self->{control};

    croak 'the proxy has ended' if !defined $answer;

    chomp $answer;

    return $answer;
}

sub set {
    my ($self, %opt) = @_;

    for (keys %opt) {
        croak "set: unknown $_" if !exists $DEFAULT{$_} && !/^rate(?:_commands|_events)?$/;

        $self->say("$_ " . ($opt{$_} // ''));
    }

    return $self;
}

sub reset { return $_[0]->say('reset') }

sub count {
    my ($self) = @_;

    return { passed => 0, lost => 0, repeated => 0, swapped => 0, split / /, $self->say('count') };
}

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid};

    if ($pid && $self->{owner} == $$) {
        local ($?, $!);

        kill KILL => $pid;
        waitpid $pid, 0;
    }

    return;
}

sub DESTROY { return $_[0]->stop }

# ---- the process -------------------------------------------------------------

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub serve {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $select = $self->{select} = IO::Select->new(@$self{qw(listen control)});
    my $deaf   = IO::Select->new($self->{control});

    for (;;) {
        for my $from (($self->{set}{hole} ? $deaf : $select)->can_read(0.002)) {
            if ($from == $self->{control}) {
                obey($self) or return;

            } elsif ($self->{set}{hole}) {
                next;

            } elsif ($from == $self->{listen}) {
                welcome($self);

            } else {
                take($self, $self->{way}{$from} || next);
            }
        }

        # what is held or slow
        if (!$self->{set}{hole}) {
            pass_on($self, $_) for values %{ $self->{way} };
        }
    }
}

sub obey {
    my ($self) = @_;

    my $line = readline($self->{control}) // return 0;
    my ($name, $value) = $line =~ /^(\w+) ?(.*)$/;
    my @conns = grep { $_->{dir} eq 's' } values %{ $self->{way} };

    if ($name eq 'reset') {
        finish($self, $_->{conn}) for @conns;

    } elsif ($name =~ /^rate_?(.*)/) {
        for (@conns) {
            limit($_, $value) if $1 eq '' || ($1 eq 'events') == !!$_->{conn}{events};
        }

    } elsif ($name ne 'count') {
        $value = undef if $value eq '';
        $self->{set}{$name} = $value;

        if ($name eq 'hole') {
            hole($self, $value);
        } elsif ($name =~ /^(?:refuse|away)$/ && $value) {
            finish($self, $_->{conn}) for @conns;
        } elsif ($name eq 'slow') {
            limit($_, $value) for @conns;
        }
    }

    my $answer = $name eq 'count' ? join ' ', %{ $self->{count} } : 'done';

    print { $self->{control} } "$answer\n";

    return 1;
}

sub limit {
    my ($way, $rate) = @_;

    $way->{rate} = $rate;
    $way->{room} = 0;
    $way->{at}   = now();

    return;
}

# A queue of those who wait that is full makes the kernel drop who comes.
sub hole {
    my ($self, $on) = @_;

    $self->{select}->remove($self->{listen});

    if (!$on) {
        $self->{select}->add($self->{listen});
        delete $self->{waiting};
        return;
    }

    $self->{waiting} = [ map {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', Blocking => 0,
                              PeerPort => $self->{listen}->sockport)
    } 1 .. 4 ];

    return;
}

sub welcome {
    my ($self) = @_;

    my $client = $self->{listen}->accept or return;
    my $server = !$self->{set}{refuse} && !$self->{set}{away}
        && IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $self->{set}{target});

    # nobody there: refuse in the way that a proxy can
    if (!$server) {
        setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        return;
    }

    # a client that does not read must not stop the others
    $_->blocking(0) for $client, $server;

    my $conn = { both => [ $client, $server ] };

    $self->{way}{$client} = { dir => 'c', to => $server, conn => $conn, waiting => '' };
    $self->{way}{$server} = { dir => 's', to => $client, conn => $conn, waiting => '',
                              unread => '' };
    $self->{select}->add($client, $server);

    limit($self->{way}{$server}, $self->{set}{slow}) if $self->{set}{slow};

    return;
}

sub take {
    my ($self, $way) = @_;

    my $from  = $way->{dir} eq 'c' ? $way->{conn}{both}[0] : $way->{conn}{both}[1];
    my $conn  = $way->{conn};

    if (!sysread $from, my $bytes, 1 << 16) {
        $conn->{close} = 1;

    } else {
        $self->{hook}->($way->{dir}, $bytes, $conn) if $self->{hook};
        $way->{hold} //= delete $conn->{hold};
        $conn->{events} ||= $way->{dir} eq 'c' && $bytes =~ /\bSUBSCRIBE\b/i;
        $bytes = "HTTP/1.1 400 Bad Request\r\n\r\n"
            if $self->{set}{garble} && $way->{dir} eq 's';
        $way->{waiting} .= $conn->{events} && $way->{dir} eq 's'
            ? messages($self, $way, $bytes) : $bytes;
    }

    pass_on($self, $way);
    finish($self, $conn) if $conn->{close};

    return;
}

sub finish {
    my ($self, $conn) = @_;

    for (@{ $conn->{both} }) {
        $self->{select}->remove($_);
        delete $self->{way}{$_};
        setsockopt $_, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $_;
    }

    return;
}

# What of the bytes is to be passed on, and in which order.
sub messages {
    my ($self, $way, $bytes) = @_;

    my ($set, $count) = @$self{qw(set count)};
    my $out = '';

    $way->{unread} .= $bytes;

    while (length(my $item = item(\$way->{unread}))) {
        if ($item !~ /^\*3\r\n\$7\r\nmessage\r\n/) {
            $out .= $item;

        } elsif (rand() < $set->{lose}) {
            $count->{lost}++;

        } elsif (!defined $way->{kept} && rand() < $set->{swap}) {
            $way->{kept} = $item;

        } else {
            $count->{passed}++;
            $out .= $item;

            if (rand() < $set->{repeat}) {
                $count->{repeated}++;
                $out .= $item;
            }

            if (defined $way->{kept}) {
                $count->{swapped}++;
                $out .= delete $way->{kept};
            }
        }
    }

    return $out;
}

# Cuts the first whole array of texts and numbers off the buffer, or '' if
# there is none; an error or the like is passed on as it is.
sub item {
    my ($buffer) = @_;

    my $end = index $$buffer, "\r\n";

    return '' if $end < 0;

    my $at    = $end + 2;
    my $items = $$buffer =~ /^\*(\d+)/ ? $1 : 0;

    for (1 .. $items) {
        $end = index $$buffer, "\r\n", $at;
        return '' if $end < 0;

        my $head = substr $$buffer, $at, $end - $at;

        $at = $end + 2;
        $at += $1 + 2 if $head =~ /^\$(\d+)/;
        return '' if $at > length $$buffer;
    }

    return substr $$buffer, 0, $at, '';
}

sub pass_on {
    my ($self, $way) = @_;

    return if $way->{hold} && !$way->{hold}->();

    delete $way->{hold};

    my $room = length $way->{waiting};

    if ($way->{rate}) {
        $way->{room} += (now() - $way->{at}) * $way->{rate};
        $way->{at}   = now();
        $room = $way->{room} < $room ? int $way->{room} : $room;
    }

    while ($room > 0) {
        my $n = syswrite($way->{to}, $way->{waiting}, $room) or return;

        substr $way->{waiting}, 0, $n, '';
        $room -= $n;
        $way->{room} -= $n if $way->{rate};
    }

    return;
}

1;
