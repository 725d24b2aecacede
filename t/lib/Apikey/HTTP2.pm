package Apikey::HTTP2;

# As little HTTP/2 (RFC 9113) as it takes to send a request by the byte and to
# read the status and the body of its answer.
#
#   my $c = Apikey::HTTP2->connect($port);      # prior knowledge, no TLS
#   my $r = $c->get('/', 'x-api-key' => $key);  # Apikey::HTTP::Response
#   my $r = $c->get('/', [ 'x-api-key' => $key ]);   # indexed, for the next
#
# Headers are sent as literals without Huffman coding; those in an array are
# put into the dynamic table, and `$c->get('/', \62)` sends entry 62.

use strict;
use warnings;

use Apikey::HTTP ();

my ($DATA, $HEADERS, $RST, $SETTINGS, $GOAWAY) = (0, 1, 3, 4, 7);
my ($END_STREAM, $END_HEADERS, $ACK) = (1, 4, 1);

sub connect {
    my ($class, $where) = @_;

    my $self = bless { http => Apikey::HTTP->connect($where), stream => -1 },
                     $class;

    $self->{http}->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                        . frame($SETTINGS, 0, 0, ''));

    return $self;
}

sub get {
    my ($self, $path, @headers) = @_;

    # :method GET, :scheme http, :path, :authority
    my $block = "\x82\x86" . "\x04" . string($path) . "\x01" . string('default');

    while (@headers) {
        my $name = shift @headers;

        if (ref $name eq 'SCALAR') {
            $block .= chr(0x80 | $$name);

        } elsif (ref $name) {
            $block .= "\x40" . string($name->[0]) . string($name->[1]);

        } else {
            $block .= "\x00" . string($name) . string(shift @headers);
        }
    }

    $self->{stream} += 2;
    $self->{http}->send(frame($HEADERS, $END_STREAM | $END_HEADERS,
                              $self->{stream}, $block));

    return $self->response;
}

sub response {
    my ($self) = @_;

    my ($status, $body) = (0, '');

    for (;;) {
        my ($type, $flags, $stream, $payload) = $self->read_frame;

        last if !defined $type || $type == $RST || $type == $GOAWAY;

        if ($type == $SETTINGS && !($flags & $ACK)) {
            $self->{http}->send(frame($SETTINGS, $ACK, 0, ''));
        }

        next if $stream != $self->{stream};

        $status = status($payload) if $type == $HEADERS;
        $body .= $payload          if $type == $DATA;

        last if $flags & $END_STREAM;
    }

    return Apikey::HTTP::Response->new("HTTP/2 $status\r\n", $body);
}

sub read_frame {
    my ($self) = @_;

    my $head = $self->{http}->bytes(9);

    return if length $head < 9;

    my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $head;

    return ($type, $flags, $stream, $self->{http}->bytes($high << 16 | $low));
}

# nginx sends :status first, indexed or as three digits
sub status {
    my ($block) = @_;

    # changes of the dynamic table's size
    $block =~ s/\A[\x20-\x3f]+//;

    my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
                   0x8c => 400, 0x8d => 404, 0x8e => 500);

    return $indexed{ ord $block } // ($block =~ /\A.\x03(\d{3})/s ? $1 : 0);
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    my $length = length $payload;

    return pack('CnCCN', $length >> 16, $length & 0xffff, $type, $flags,
                $stream) . $payload;
}

sub string {
    my ($text) = @_;

    my $length = length $text;

    return chr($length) . $text if $length < 127;

    # an integer with a prefix of 7 bits (RFC 7541, 5.1)
    my $rest  = $length - 127;
    my $bytes = "\x7f";

    while ($rest >= 128) {
        $bytes .= chr($rest % 128 | 0x80);
        $rest >>= 7;
    }

    return $bytes . chr($rest) . $text;
}

1;
