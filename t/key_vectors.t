#!/usr/bin/perl

# t/data/key-vectors.json by a second implementation: CRC-32, base62 and
# BLAKE2b written here from RFC 1952, docs/key-format.md and RFC 7693, sharing
# nothing with key/.  t/unit/key_vectors.c checks the same file against key/.

use strict;
use warnings;
no warnings 'portable';    # 64-bit constants

use Encode ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Test::More;

use FindBin ();

my $vectors = do {
    open my $fh, '<:raw', "$FindBin::Bin/data/key-vectors.json" or die "$!";
    local $/;
    JSON::PP->new->utf8->decode(readline $fh);
};

# ---- CRC-32 and base62 -------------------------------------------------------

my @crc_table = map {
    my $crc = $_;

    $crc = $crc & 1 ? ($crc >> 1) ^ 0xedb88320 : $crc >> 1 for 1 .. 8;
    $crc;
} 0 .. 255;

sub crc32 {
    my $crc = 0xffffffff;

    $crc = ($crc >> 8) ^ $crc_table[($crc ^ $_) & 0xff] for unpack 'C*', $_[0];

    return $crc ^ 0xffffffff;
}

sub base62 {
    my ($number, $width) = @_;
    my @digits = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $text   = '';

    for (1 .. $width) {
        $text   = $digits[$number % 62] . $text;
        $number = int($number / 62);
    }

    return $text;
}

# ---- BLAKE2b (RFC 7693) ------------------------------------------------------

my @iv = (
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
);

my @sigma = map { [map { hex } split //] } qw(
    0123456789abcdef ea489fd61c02b753 b8c052fdae367194 7931dcbe265a40f8
    905724afe1bc683d 2c6a0b834d75fe19 c51fed4a0763928b db7ec13950f4862a
    6fe9b308c2d714a5 a2847615fb9e3cd0 0123456789abcdef ea489fd61c02b753
);

sub add { use integer; return $_[0] + $_[1] + ($_[2] // 0) }
sub rot { return ($_[0] >> $_[1]) | ($_[0] << (64 - $_[1])) }

sub mix {
    my ($v, $i, $j, $k, $l, $x, $y) = @_;

    $v->[$i] = add($v->[$i], $v->[$j], $x);
    $v->[$l] = rot($v->[$l] ^ $v->[$i], 32);
    $v->[$k] = add($v->[$k], $v->[$l]);
    $v->[$j] = rot($v->[$j] ^ $v->[$k], 24);
    $v->[$i] = add($v->[$i], $v->[$j], $y);
    $v->[$l] = rot($v->[$l] ^ $v->[$i], 16);
    $v->[$k] = add($v->[$k], $v->[$l]);
    $v->[$j] = rot($v->[$j] ^ $v->[$k], 63);
}

sub compress {
    my ($h, $block, $count, $last) = @_;
    my @m = unpack 'Q<16', $block;
    my @v = (@$h, @iv);

    $v[12] ^= $count;
    $v[14] ^= ~0 if $last;

    for my $s (@sigma) {
        mix(\@v, 0, 4, 8,  12, @m[@$s[0, 1]]);
        mix(\@v, 1, 5, 9,  13, @m[@$s[2, 3]]);
        mix(\@v, 2, 6, 10, 14, @m[@$s[4, 5]]);
        mix(\@v, 3, 7, 11, 15, @m[@$s[6, 7]]);
        mix(\@v, 0, 5, 10, 15, @m[@$s[8, 9]]);
        mix(\@v, 1, 6, 11, 12, @m[@$s[10, 11]]);
        mix(\@v, 2, 7, 8,  13, @m[@$s[12, 13]]);
        mix(\@v, 3, 4, 9,  14, @m[@$s[14, 15]]);
    }

    $h->[$_] ^= $v[$_] ^ $v[$_ + 8] for 0 .. 7;
}

sub blake2b {
    my ($size, $key, $input) = @_;
    my @h = @iv;

    $h[0] ^= 0x01010000 ^ (length($key) << 8) ^ $size;

    my $data = (length $key ? pack 'a128', $key : '') . $input;
    my $at   = 0;

    for (; length($data) - $at > 128; $at += 128) {
        compress(\@h, substr($data, $at, 128), $at + 128, 0);
    }

    compress(\@h, pack('a128', substr $data, $at), length $data, 1);

    return substr pack('Q<8', @h), 0, $size;
}

# RFC 7693, appendix E: the hash of the hashes of many inputs, with and
# without keys, at four sizes.
sub sequence {
    my ($len, $seed) = @_;
    my ($x, $y, $out) = ((0xdead4bad * $seed) & 0xffffffff, 1, '');

    for (1 .. $len) {
        ($x, $y) = ($y, ($x + $y) & 0xffffffff);
        $out .= chr($y >> 24);
    }

    return $out;
}

my $all = '';

for my $size (20, 32, 48, 64) {
    for my $len (0, 3, 128, 129, 255, 1024) {
        my $in = sequence($len, $len);

        $all .= blake2b($size, '', $in);
        $all .= blake2b($size, sequence($size, $size), $in);
    }
}

is(unpack('H*', blake2b(32, '', $all)), $vectors->{rfc7693_selftest},
    'the self-test of RFC 7693');

# ---- the vectors -------------------------------------------------------------

for my $v (@{ $vectors->{blake2b_256_keyed} }) {
    is(unpack('H*', blake2b(32, pack('H*', $v->{key}),
                            pack 'H*', $v->{input})),
        $v->{digest}, 'keyed BLAKE2b-256 of ' . length($v->{input}) / 2);
}

my %secret;

for my $p (@{ $vectors->{peppers} }) {
    my $secret = $secret{ $p->{id} } = decode_base64($p->{base64});
    my $hash   = blake2b(32, $secret, 'apikey pepper fingerprint');

    is(unpack('H*', $secret), $p->{hex}, "pepper $p->{id}: base64");
    is(sprintf('%016x', unpack 'Q<', $hash), $p->{fingerprint},
        "pepper $p->{id}: fingerprint");
}

for my $c (@{ $vectors->{crc} }) {
    is(sprintf('%08x', crc32($c->{over})), $c->{crc32},
        "CRC-32 of \"$c->{over}\"");
    is(base62(crc32($c->{over}), 6), $c->{base62}, '... in base62');
}

sub check {
    my ($text, $prefix) = @_;

    return 'short' if length $text < 16;
    return 'long'  if length $text > 256;
    return 'charset'
        if $text !~ /\A[0-9A-Za-z._~+\/-]+=*\z/;
    return 'ok'
        if length $text != length($prefix) + 38
           || index($text, $prefix) != 0;

    my $covered = substr $text, 0, -6;

    return substr($text, -6) eq base62(crc32($covered), 6) ? 'ok' : 'checksum';
}

for my $k (@{ $vectors->{keys} }) {
    my $text = Encode::encode('UTF-8', $k->{text});

    is(check($text, $k->{prefix}), $k->{check}, "$k->{note}: check");

    next if !defined $k->{digest};

    my $begin = index($text, $k->{prefix}) == 0 ? $k->{prefix} : '';

    is($begin . "\x{2026}" . substr($text, -4), $k->{hint},
        "$k->{note}: hint");
    is(unpack('H*', blake2b(32, $secret{ $k->{pepper} }, $text)),
        $k->{digest}, "$k->{note}: digest");
}

like($_, qr/\Akey_[0-9A-Za-z]{20}\z/, "id $_") for @{ $vectors->{ids}{good} };
unlike($_, qr/\Akey_[0-9A-Za-z]{20}\z/, 'no id: ' . Encode::encode('UTF-8', $_))
    for @{ $vectors->{ids}{bad} };

# ---- the worked example of the documentation ---------------------------------

my $page = do {
    open my $fh, '<:encoding(UTF-8)', "$FindBin::Bin/../docs/key-format.md"
        or die "key-format.md: $!";
    local $/;
    readline $fh;
};

like($page, qr/`\Q$_\E`/, "docs/key-format.md: $_")
    for map({ ($_->{text}, $_->{digest}) } @{ $vectors->{keys} }[0, 1]),
        $vectors->{peppers}[0]{hex}, $vectors->{peppers}[0]{fingerprint},
        $vectors->{crc}[2]{crc32}, $vectors->{crc}[2]{base62};

done_testing();
