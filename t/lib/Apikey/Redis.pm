package Apikey::Redis;

# A private redis-server and raw clients of it.
#
#   my $r = Apikey::Redis->start(conf => ['--maxmemory', '100mb']);
#   $r->load_library->init;
#   $r->member('mem_1', tenant => 'ten_1');
#   my $key = $r->create(name => 'ci');        # { id, version, epoch, ... }
#   $r->set_status($key->{id}, 'revoked');
#   $r->acked('edge-1');                       # the version it acknowledged
#   my $reply = $r->call('FCALL', ...);        # an error is an object
#   my $value = $r->ok('GET', 'x');            # an error dies
#
#   my $client = $r->connect;                  # another connection
#   $client->ok('SUBSCRIBE', '{apikey}:events');
#   my $message = $client->read_reply(2);      # seconds; undef: none came
#
# It listens on a unix socket alone, unless conf says otherwise; saves only
# where conf asks for it (the directory is the server's own: start_again finds
# what was saved). wrapper => [COMMAND ...] runs it under a tool, env => {...}
# adds to its environment. Replies are strings, integers, undef for nil, arrays, or
# Apikey::Redis::Error; texts are bytes.

use strict;
use warnings;

use Carp qw(croak);
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);

use Apikey::Process ();

our $STORE = '{apikey}';
our $FINGERPRINT = '0123456789abcdef';

# ---- the server --------------------------------------------------------------

sub start {
    my ($class, %opt) = @_;

    my $self = bless {
        dir   => Apikey::Process::tempdir(),
        conf  => delete $opt{conf} || [],
        env   => delete $opt{env},
        wrapper => delete $opt{wrapper} || [],
        serial => 0,
    }, $class;

    croak 'start: unknown ' . join ' ', sort keys %opt if %opt;

    $self->start_again;

    return $self;
}

# With what it has on disk; with another conf, if one is given.
sub start_again {
    my ($self, %opt) = @_;

    $self->{conf} = $opt{conf} if $opt{conf};
    $self->stop if $self->{process};

    $self->{process} = Apikey::Process->start(
        env => $self->{env},
        cmd => [
            @{ $self->{wrapper} }, 'redis-server',
            '--port', '0', '--unixsocket', $self->socket,
            '--dir', $self->{dir}, '--save', '', '--appendonly', 'no',
            '--loglevel', 'notice', '--enable-debug-command', 'local',
            @{ $self->{conf} },
        ],
        log => $self->log_file,
    );

    Apikey::Process::wait_for(sub {
        if (!$self->{process}->alive) {
            die 'redis-server ended: ' . $self->log;
        }

        delete $self->{client};
        my $reply = eval { $self->call('PING') };
        return defined $reply && $reply eq 'PONG';
    }, 10, 'redis-server to answer');

    return $self;
}

sub dir      { return $_[0]{dir} }
sub socket   { return $_[0]{dir} . '/redis.sock' }
sub log_file { return $_[0]{dir} . '/redis.log' }
sub url      { return 'unix://' . $_[0]->socket }
sub process  { return $_[0]{process} }
sub pid      { return $_[0]{process}->pid }

sub log {
    my ($self) = @_;

    open my $fh, '<', $self->log_file or return '';
    local $/;
    return scalar readline $fh;
}

sub stop {
    my ($self) = @_;

    delete $self->{client};
    $self->{process}->stop if $self->{process};

    return $self;
}

sub kill9 {
    my ($self) = @_;

    delete $self->{client};
    $self->{process}->signal('KILL');
    $self->{process}->wait(5);

    return $self;
}

sub connect {
    my ($self) = @_;

    return Apikey::Redis::Client->new(path => $self->socket);
}

# ---- commands on the server's own connection ---------------------------------

sub client {
    my ($self) = @_;

    return $self->{client} ||= $self->connect;
}

sub call { my $self = shift; return $self->client->call(@_) }
sub ok   { my $self = shift; return $self->client->ok(@_) }

# ---- the store ---------------------------------------------------------------

sub library { return Apikey::Process::root_dir() . '/store/apikey.lua' }

sub load_library {
    my ($self) = @_;

    open my $fh, '<:raw', library() or die library() . ": $!";
    my $code = do { local $/; readline $fh };

    $self->ok('FUNCTION', 'LOAD', 'REPLACE', $code);

    return $self;
}

# FCALL of apikey_<function> with the store's name; the raw reply.
sub fcall {
    my ($self, $function, @args) = @_;

    return $self->call('FCALL', "apikey_$function", 1, $STORE, @args);
}

sub fcall_ok {
    my ($self, $function, @args) = @_;

    return $self->ok('FCALL', "apikey_$function", 1, $STORE, @args);
}

# As above, of a function that answers names and values: a hash.
sub fcall_hash {
    my ($self, $function, @args) = @_;

    return { @{ $self->fcall_ok($function, @args) } };
}

sub init {
    my ($self, %arg) = @_;

    my %all = (
        epoch  => hex_text(32, 1),
        pepper => "p1:$FINGERPRINT",
        actor  => 'test',
        %arg,
    );

    return $self->fcall_hash('init', %all);
}

sub member {
    my ($self, $id, %arg) = @_;

    my %all = (
        name   => "Member $id",
        tenant => 'ten_1',
        actor  => 'test',
        %arg,
    );

    return $self->fcall_hash('member_put', $id, %all);
}

# The id, the digest and whatever else is not given are made up; the member
# mem_1 is created if it is not there and no other is named. Answers what
# apikey_create does, and the digest.
sub create {
    my ($self, %arg) = @_;

    my $serial = ++$self->{serial};
    my $id     = delete $arg{id} || key_id($serial);

    if (!$arg{member}) {
        $self->member('mem_1') if !$self->{has_member}++;
    }

    my %all = (
        digest => hex_text(64, $serial),
        pepper => "p1:$FINGERPRINT",
        name   => "Key $serial",
        member => 'mem_1',
        actor  => 'test',
        %arg,
    );
    my $answer = $self->fcall_hash('create', $id, %all);

    return { %$answer, digest => $all{digest} };
}

sub set_status {
    my ($self, $id, $status, %arg) = @_;

    my %all = (actor => 'test', %arg);

    return $self->fcall_hash('set_status', $id, $status, %all);
}

sub meta { return $_[0]->fcall_hash('meta') }

# The version that an edge has acknowledged; 0: none.
sub acked {
    my ($self, $edge) = @_;

    return $self->client->acked($edge);
}

# Of all that the server holds: equal before and after if nothing changed.
sub fingerprint { return $_[0]->ok('DEBUG', 'DIGEST') }

# A number as digits of that many hex places, and as the id of a key.
sub hex_text { return sprintf '%0*x', @_ }
sub key_id   { return sprintf 'key_%020d', $_[0] }

# ---- replies -----------------------------------------------------------------

package Apikey::Redis::Error;

use overload '""' => sub { $_[0]{message} }, fallback => 1;

sub new     { return bless { message => $_[1] }, $_[0] }
sub message { return $_[0]{message} }
sub name    { return $_[0]{message} =~ /^(\S+)/ ? $1 : '' }

# ---- one connection ----------------------------------------------------------

package Apikey::Redis::Client;

use Carp qw(croak);
use Scalar::Util qw(blessed);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

# path => a unix socket, or port => a port of 127.0.0.1
sub new {
    my ($class, %opt) = @_;

    my $socket
        = defined $opt{path}
        ? IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM(),
                                Peer => $opt{path})
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                PeerPort => $opt{port});

    croak 'cannot connect to Redis: ' . ($@ || $!) if !$socket;

    $socket->autoflush(1);
    binmode $socket;

    return bless { socket => $socket, buffer => '' }, $class;
}

sub fileno { return CORE::fileno $_[0]{socket} }

sub send {
    my ($self, @args) = @_;

    my $out = '*' . @args . "\r\n";

    for my $arg (@args) {
        my $bytes = $arg;

        utf8::encode($bytes) if utf8::is_utf8($bytes);
        $out .= '$' . length($bytes) . "\r\n$bytes\r\n";
    }

    local $SIG{PIPE} = 'IGNORE';

    while (length $out) {
        my $sent = syswrite $self->{socket}, $out;

        croak "Redis connection: $!" if !defined $sent;
        substr $out, 0, $sent, '';
    }

    return $self;
}

sub call {
    my ($self, @args) = @_;

    $self->send(@args);

    my @reply = $self->wait_reply(60);

    croak "no reply to $args[0] in 60 s" if !@reply;

    return $reply[0];
}

sub ok {
    my ($self, @args) = @_;

    my $reply = $self->call(@args);

    if (blessed $reply && $reply->isa('Apikey::Redis::Error')) {
        croak join(' ', grep { defined } @args[0, 1]) . ": $reply";
    }

    return $reply;
}

# See Apikey::Redis.
sub acked {
    my ($self, $edge) = @_;

    my $renewal = $self->ok('HGET', "$Apikey::Redis::STORE:edges", $edge);

    return ($renewal // '') =~ /"version":"(\d+)"/ ? $1 : 0;
}

# The next reply or pushed message; undef if none came in time.
sub read_reply {
    my ($self, $seconds) = @_;

    return ($self->wait_reply($seconds))[0];
}

# As a list: empty if none came in time, so that nil can be told from it.
sub wait_reply {
    my ($self, $seconds) = @_;

    my $end = clock_gettime(CLOCK_MONOTONIC) + $seconds;

    for (;;) {
        my $at    = 0;
        my @reply = parse(\$self->{buffer}, \$at);

        if (@reply) {
            substr $self->{buffer}, 0, $at, '';
            return $reply[0];
        }

        my $left = $end - clock_gettime(CLOCK_MONOTONIC);

        return if !IO::Select->new($self->{socket})
                             ->can_read($left > 0 ? $left : 0);

        my $got = sysread $self->{socket}, $self->{buffer}, 1 << 18,
                          length $self->{buffer};

        croak 'Redis closed the connection' if !$got;
    }
}

# One reply of the buffer from $$at on, as a list of one; empty if it is not
# whole yet.
sub parse {
    my ($buffer, $at) = @_;

    my $end = index $$buffer, "\r\n", $$at;

    return if $end < 0;

    my $type = substr $$buffer, $$at, 1;
    my $line = substr $$buffer, $$at + 1, $end - $$at - 1;

    $$at = $end + 2;

    return $line                             if $type eq '+';
    return Apikey::Redis::Error->new($line)  if $type eq '-';
    return 0 + $line                         if $type eq ':';

    if ($type eq '$') {
        return undef if $line < 0;
        return       if length($$buffer) < $$at + $line + 2;

        my $bulk = substr $$buffer, $$at, $line;

        $$at += $line + 2;
        return $bulk;
    }

    die "a reply of an unknown type: $type" if $type ne '*';

    return undef if $line < 0;

    my @items;

    for (1 .. $line) {
        my @item = parse($buffer, $at) or return;

        push @items, $item[0];
    }

    return \@items;
}

1;
