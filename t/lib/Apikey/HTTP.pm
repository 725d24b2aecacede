package Apikey::HTTP;

# HTTP/1.x by the byte: what is sent is exactly what the test says.
#
#   my $r = Apikey::HTTP::request($port, "GET / HTTP/1.1\r\n...");
#   my $r = Apikey::HTTP::get($port, '/x', 'X-API-Key' => $key);
#
#   my $c = Apikey::HTTP->connect($port);    # a connection to keep
#   $c->send($bytes);
#   my $r = $c->response;                    # undef: closed before one came
#
# Reads time out after $TIMEOUT seconds, and then die.

use strict;
use warnings;

use Carp qw(croak);
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);

our $TIMEOUT = 10;

sub request {
    my ($where, $bytes) = @_;

    my $c = __PACKAGE__->connect($where);

    $c->send($bytes);

    return $c->response($bytes =~ /\AHEAD /);
}

sub get {
    my ($where, $path, @headers) = @_;

    return request($where, compose('GET', $path, @headers));
}

# The bytes of a request.  Host and Connection are added unless they are
# given; one given as undef is left out.
sub compose {
    my ($method, $path, @headers) = @_;

    my %header = @headers;
    my %given  = map { lc $_ => 1 } keys %header;
    my $bytes  = "$method $path HTTP/1.1\r\n";

    $bytes .= "Host: localhost\r\n"   if !$given{host};
    $bytes .= "Connection: close\r\n" if !$given{connection};

    while (my ($name, $value) = splice @headers, 0, 2) {
        $bytes .= "$name: $value\r\n" if defined $value;
    }

    return "$bytes\r\n";
}

# where: a port of 127.0.0.1, or the path of a unix socket
sub connect {
    my ($class, $where) = @_;

    my $socket = $where =~ m{^/}
        ? IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $where)
        : IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1',
                                PeerPort => $where);

    croak "cannot connect to $where: $@$!" if !$socket;
    $socket->autoflush(1);

    return bless { socket => $socket, buffer => '' }, $class;
}

sub send {
    my ($self, $bytes) = @_;

    # nginx may answer and close before it has read everything
    local $SIG{PIPE} = 'IGNORE';
    local $\;

    print { $self->{socket} } $bytes;

    return $self;
}

# Reads once; 0 at the end.
sub fill {
    my ($self) = @_;

    IO::Select->new($self->{socket})->can_read($TIMEOUT)
        or die "no answer within $TIMEOUT s, after: $self->{buffer}\n";

    my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                    length $self->{buffer};

    return $n;
}

# The bytes that come until there are n of them, or the end.
sub bytes {
    my ($self, $n) = @_;

    while (length $self->{buffer} < $n) {
        last if !$self->fill;
    }

    return substr $self->{buffer}, 0, $n, '';
}

sub response {
    my ($self, $is_head) = @_;

    while ($self->{buffer} !~ /\r\n\r\n/) {
        next if $self->fill;
        return undef if $self->{buffer} eq '';
        last;
    }

    my ($head) = $self->{buffer} =~ /\A(.*?\r\n)\r\n/s;

    # HTTP/0.9, or what is left of an answer
    if (!defined $head) {
        return Apikey::HTTP::Response->new('', delete $self->{buffer});
    }

    substr $self->{buffer}, 0, 2 + length $head, '';

    my $r = Apikey::HTTP::Response->new($head, '');

    return $self->response($is_head) if $r->status =~ /^1/;
    return $r if $is_head || $r->status =~ /^(?:204|304)$/;

    if (($r->header('Transfer-Encoding') // '') eq 'chunked') {
        $r->{body} = $self->chunks;

    } elsif (defined(my $length = $r->header('Content-Length'))) {
        $r->{body} = $self->bytes($length);

    } else {
        1 while $self->fill;
        $r->{body} = $self->{buffer};
        $self->{buffer} = '';
    }

    return $r;
}

sub chunks {
    my ($self) = @_;

    my $body = '';

    for (;;) {
        while ($self->{buffer} !~ /\r\n/) {
            $self->fill or return $body;
        }

        $self->{buffer} =~ s/\A([0-9a-f]+)[^\r]*\r\n//i or die 'bad chunk';
        my $n = hex $1;

        my $chunk = $self->bytes($n + 2);
        $body .= substr $chunk, 0, $n;

        return $body if $n == 0;
    }
}

# 1 if the server has closed, or closes within the time.
sub closed {
    my ($self, $seconds) = @_;

    return 0 if !IO::Select->new($self->{socket})->can_read($seconds // 5);
    return $self->fill ? 0 : 1;
}

sub close { return close $_[0]{socket} }

package Apikey::HTTP::Response;

sub new {
    my ($class, $head, $body) = @_;

    my ($line, @lines) = split /\r\n/, $head;

    return bless {
        status  => ($line // '') =~ m{^HTTP/\S+ (\d+)} ? $1 : 0,
        line    => $line,
        headers => [ map { [ split /:[ \t]*/, $_, 2 ] } @lines ],
        head    => $head,
        body    => $body,
    }, $class;
}

sub status { return $_[0]{status} }
sub line   { return $_[0]{line} }
sub body   { return $_[0]{body} }
sub raw    { return "$_[0]{head}\r\n$_[0]{body}" }

# The first of this name, or all of them in list context.
sub header {
    my ($self, $name) = @_;

    my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name }
                 @{ $self->{headers} };

    return wantarray ? @values : $values[0];
}

# The problem document, decoded; {} if the body is none.
sub problem {
    my ($self) = @_;

    return {} if ($self->header('Content-Type') // '')
                 ne 'application/problem+json';

    require JSON::PP;

    return eval { JSON::PP::decode_json($self->{body}) } || {};
}

sub code { return $_[0]->problem->{code} // '' }

1;
