package Caller;

# An API caller: a few keep-alive connections to the gate, asked one request
# at a time each, and never waited for: whoever owns them selects on them.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant PATIENCE => 10;    # seconds, for one answer

sub new {
    my ($class, $port, $count, $credential, $path) = @_;

    my $self = bless {
        request => "GET " . ($path // '/') . " HTTP/1.1\r\nHost: localhost\r\n"
            . ($credential ? "$credential\r\n" : '') . "\r\n",
        port => $port,
    }, $class;

    $self->{lines} = [ map { $self->open_line } 1 .. $count ];

    return $self;
}

sub open_line {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$self->{port}", Timeout => PATIENCE,
    ) or die "cannot connect to nginx: $@\n";

    $socket->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);

    return { socket => $socket, buffer => '' };
}

sub lines { return @{ $_[0]{lines} } }

sub ask {
    my ($self, $line) = @_;

    $line->{buffer} = '';
    $line->{asked}  = clock_gettime(CLOCK_MONOTONIC);

    my $sent = syswrite $line->{socket}, $self->{request};

    die "cannot send to nginx: $!\n" if ($sent // 0) != length $self->{request};

    return;
}

# Reads what has come; the response, if it is whole.
sub take {
    my ($self, $line) = @_;

    my $got = sysread $line->{socket}, $line->{buffer}, 65536,
        length $line->{buffer};

    die "nginx hung up\n" if !$got;

    my ($head, $body) = split /\r\n\r\n/, $line->{buffer}, 2;

    return undef if !defined $body;

    my ($length) = $head =~ /^content-length: *(\d+)/im;

    return undef if length $body < ($length // 0);

    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
    my ($code) = $body =~ /"code"\s*:\s*"(\w+)"/;

    return {
        at     => clock_gettime(CLOCK_MONOTONIC),
        asked  => $line->{asked},
        status => $status,
        code   => $code // '',
        body   => $body,
    };
}

# One request on the first connection, waited for.
sub get {
    my ($self) = @_;

    my $line = $self->{lines}[0];

    $self->ask($line);

    for (;;) {
        IO::Select->new($line->{socket})->can_read(PATIENCE)
            or die "nginx does not answer\n";

        my $response = $self->take($line);

        return $response if $response;
    }
}

1;
