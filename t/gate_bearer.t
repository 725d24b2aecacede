# Where a key may stand in a request and what it must look like: RFC 6750,
# 2.1, RFC 9110, 11.2 and 11.4, and the header of our own.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Apikey::Nginx ();
use Apikey::Table ();

my $table = Apikey::Table->start;
my $nginx = Apikey::Nginx->start(table => $table, http => <<'END');

    server {
        listen %%PORT%%;
        server_name default;
        apikey on;
        location / { try_files /none =204; }
    }

    server {
        listen %%PORT%%;
        server_name bearer;
        apikey on;
        apikey_source bearer;
        location / { try_files /none =204; }
    }

    server {
        listen %%PORT%%;
        server_name header;
        apikey on;
        apikey_source header=X-Key header=Other-1;
        location / { try_files /none =204; }
    }

    server {
        listen %%PORT%%;
        server_name underscores;
        underscores_in_headers on;
        apikey on;
        location / { try_files /none =204; }
    }
END

my $k  = $table->key->{text};
my $k2 = $table->key->{text};
my $m  = 'mm_nobody' . 'x' x 32;

my ($shortest, $longest, $odd, $padded, $padded2, $id27) =
    map { $table->key(text => $_)->{text} }
    'abcdefghijklm-16', 'L' x 256, 'Az09-._~+/Az09-._~+/', 'abcdefghijklmno=',
    'abcdefghijklmn==', 'md29dn239fn349u8fnu239fniuo';

my $ok = [ 204, '' ];
my $missing = [ 401, 'missing' ];
my $unknown = [ 401, 'unknown' ];
my $malformed = [ 400, 'malformed' ];
my $nginxs_own = [ 400, '' ];    # refused before any module sees it

my @rows = (

    # what each scheme and each header says

    [ 'nothing', '', $missing ],
    [ 'bearer', "Authorization: Bearer $k", $ok ],
    [ 'bearer, unknown', "Authorization: Bearer $m", $unknown ],
    [ 'header', "X-API-Key: $k", $ok ],
    [ 'header, unknown', "X-API-Key: $m", $unknown ],
    [ 'the scheme is not the key', "Authorization: $k", $missing ],
    [ 'the header has no scheme', "X-API-Key: Bearer $k", $malformed ],

    # the name of the header

    [ 'lower-case name', "authorization: Bearer $k", $ok ],
    [ 'upper-case name', "AUTHORIZATION: Bearer $k", $ok ],
    [ 'x-api-key, as the SDKs send it', "x-api-key: $k", $ok ],
    [ 'X-Api-Key', "X-Api-Key: $k", $ok ],
    [ 'X_API_Key is none', "X_API_Key: $k", $missing ],
    [ 'X-API-Key2 is none', "X-API-Key2: $k", $missing ],
    [ 'X-API-Ke is none', "X-API-Ke: $k", $missing ],
    [ 'Proxy-Authorization is none', "Proxy-Authorization: Bearer $k",
      $missing ],
    [ 'a blank before the colon', "X-API-Key : $k", $nginxs_own ],

    # the name of the scheme (RFC 9110: case-insensitive, a token)

    [ 'bearer', "Authorization: bearer $k", $ok ],
    [ 'BEARER', "Authorization: BEARER $k", $ok ],
    [ 'bEaReR', "Authorization: bEaReR $k", $ok ],
    [ 'Basic', 'Authorization: Basic dXNlcjpwYXNzd29yZA==', $missing ],
    [ 'Digest', 'Authorization: Digest username="x"', $missing ],
    [ 'DPoP', "Authorization: DPoP $k", $missing ],
    [ 'Bearers', "Authorization: Bearers $k", $missing ],
    [ 'Beare', "Authorization: Beare $k", $missing ],
    [ 'Bearer-x', "Authorization: Bearer-x $k", $missing ],
    [ 'Token', "Authorization: Token $k", $missing ],

    # between scheme and key (RFC 9110: one blank or more)

    [ 'two blanks', "Authorization: Bearer  $k", $ok ],
    [ 'eight blanks', "Authorization: Bearer        $k", $ok ],
    [ 'no blank', "Authorization: Bearer$k", $missing ],
    [ 'tab', "Authorization: Bearer\t$k", $malformed ],
    [ 'blank and tab', "Authorization: Bearer \t$k", $malformed ],
    [ 'colon', "Authorization: Bearer:$k", $malformed ],
    [ 'equals sign', "Authorization: Bearer=$k", $malformed ],
    [ 'comma', "Authorization: Bearer,$k", $malformed ],
    [ 'slash', "Authorization: Bearer/$k", $malformed ],
    [ 'quote', "Authorization: Bearer\"$k\"", $malformed ],
    [ 'no-break space', "Authorization: Bearer\xc2\xa0$k", $malformed ],

    # around the value (RFC 9112: optional blanks)

    [ 'no blank after the colon', "Authorization:Bearer $k", $ok ],
    [ 'blanks after the colon', "Authorization:    Bearer $k", $ok ],
    [ 'blanks at the end', "Authorization: Bearer $k   ", $ok ],
    [ 'tab after the colon', "Authorization:\tBearer $k", $missing ],
    [ 'tab at the end', "Authorization: Bearer $k\t", $malformed ],
    [ 'header, no blank', "X-API-Key:$k", $ok ],
    [ 'header, blanks', "X-API-Key:   $k   ", $ok ],
    [ 'header, tab', "X-API-Key: $k\t", $malformed ],

    # nothing, or more than a key

    [ 'Bearer alone', 'Authorization: Bearer', $malformed ],
    [ 'Bearer and blanks', 'Authorization: Bearer   ', $malformed ],
    [ 'empty Authorization', 'Authorization:', $missing ],
    [ 'empty X-API-Key', 'X-API-Key:', $malformed ],
    [ 'blank X-API-Key', 'X-API-Key:    ', $malformed ],
    [ 'two keys', "Authorization: Bearer $k $k2", $malformed ],
    [ 'the same key twice', "Authorization: Bearer $k $k", $malformed ],
    [ 'trailing word', "Authorization: Bearer $k x", $malformed ],
    [ 'trailing comma', "Authorization: Bearer $k,", $malformed ],
    [ 'trailing semicolon', "Authorization: Bearer $k;", $malformed ],
    [ 'list of credentials', "Authorization: Bearer $k, Bearer $k2",
      $malformed ],
    [ 'list, Basic last', "Authorization: Bearer $k, Basic dTpw", $malformed ],
    [ 'list, Basic first', "Authorization: Basic dTpw, Bearer $k", $missing ],
    [ 'parameter', "Authorization: Bearer token=\"$k\"", $malformed ],
    [ 'quoted', "Authorization: Bearer \"$k\"", $malformed ],
    [ 'in angle brackets', "Authorization: Bearer <$k>", $malformed ],
    [ 'percent', "X-API-Key: $k%20", $malformed ],
    [ 'list in the header', "X-API-Key: $k, $k2", $malformed ],
    [ 'non-ASCII', "X-API-Key: $k\xc3\xa9", $malformed ],
    [ 'byte 255', "X-API-Key: $k\xff", $malformed ],
    [ 'control character', "X-API-Key: $k\x01", $malformed ],
    [ 'DEL', "X-API-Key: $k\x7f", $malformed ],
    [ 'NUL', "X-API-Key: $k\0", $nginxs_own ],
    [ 'NUL before a key', "Authorization: Bearer \0$k", $nginxs_own ],
    [ 'carriage return within', "X-API-Key: $k\rx", $nginxs_own ],

    # length and alphabet (token68)

    [ '15 bytes', 'X-API-Key: abcdefghijklm15', $malformed ],
    [ '16 bytes', "X-API-Key: $shortest", $ok ],
    [ '16 bytes, bearer', "Authorization: Bearer $shortest", $ok ],
    [ '16 bytes, unknown', 'X-API-Key: abcdefghijklmn16', $unknown ],
    [ '15 bytes, bearer', 'Authorization: Bearer abcdefghijklm15',
      $malformed ],
    [ '256 bytes', "X-API-Key: $longest", $ok ],
    [ '256 bytes, bearer', "Authorization: Bearer $longest", $ok ],
    [ '257 bytes', "X-API-Key: ${longest}L", $malformed ],
    [ '257 bytes, bearer', "Authorization: Bearer ${longest}L", $malformed ],
    [ '4,000 bytes', 'X-API-Key: ' . 'L' x 4000, $malformed ],
    [ '27 bytes, imported', "X-API-Key: $id27", $ok ],
    [ 'the key is case-sensitive', 'X-API-Key: ' . uc $id27, $unknown ],
    [ 'the whole alphabet', "Authorization: Bearer $odd", $ok ],
    [ 'one = at the end', "Authorization: Bearer $padded", $ok ],
    [ 'two = at the end', "Authorization: Bearer $padded2", $ok ],
    [ 'one = too many', "Authorization: Bearer $padded=", $unknown ],
    [ '= at the beginning', "Authorization: Bearer =$k", $malformed ],
    [ '= within', "Authorization: Bearer $k=$k2", $malformed ],
    [ 'nothing but =', 'Authorization: Bearer ' . '=' x 20, $malformed ],
    [ 'a wrong last character is unknown, not malformed',
      'X-API-Key: ' . substr($k, 0, -1) . 'Z', $unknown ],

    # more than one

    [ 'in both, the same', "Authorization: Bearer $k\nX-API-Key: $k", $ok ],
    [ 'in both, the header first', "X-API-Key: $k\nAuthorization: bearer $k",
      $ok ],
    [ 'in both, different', "Authorization: Bearer $k\nX-API-Key: $k2",
      $malformed ],
    [ 'in both, one unknown', "Authorization: Bearer $m\nX-API-Key: $k",
      $malformed ],
    [ 'in both, one a prefix', "X-API-Key: ${k}x\nAuthorization: Bearer $k",
      $malformed ],
    [ 'in both, one malformed', "Authorization: Bearer $k\nX-API-Key: x",
      $malformed ],
    [ 'in both, one empty', "Authorization: Bearer $k\nX-API-Key:",
      $malformed ],
    [ 'header twice, the same', "X-API-Key: $k\nX-API-Key: $k", $malformed ],
    [ 'header twice, different', "X-API-Key: $k\nX-API-Key: $k2",
      $malformed ],
    [ 'header twice, in another case', "X-API-Key: $k\nx-api-key: $k",
      $malformed ],
    [ 'header twice, one empty', "X-API-Key: $k\nX-API-Key:", $malformed ],
    [ 'header twice, far apart',
      "X-API-Key: $k\n" . join("\n", map { "H$_: $_" } 1 .. 50)
      . "\nX-API-Key: $k", $malformed ],
    [ 'the last of 50 headers',
      join("\n", map { "H$_: $_" } 1 .. 49) . "\nX-API-Key: $k", $ok ],
    [ 'Authorization twice is refused by nginx',
      "Authorization: Bearer $k\nAuthorization: Bearer $k", $nginxs_own ],
    [ 'Authorization twice, Basic and Bearer',
      "Authorization: Basic dTpw\nAuthorization: Bearer $k", $nginxs_own ],
    [ 'Basic beside the header', "Authorization: Basic dTpw\nX-API-Key: $k",
      $ok ],

    # lines

    [ 'folded after the scheme', "Authorization: Bearer\n $k", $nginxs_own ],
    [ 'folded within the key', "X-API-Key: " . substr($k, 0, 20) . "\n "
      . substr($k, 20), $nginxs_own ],
    [ 'bare line feeds', "X-API-Key: $k", $ok, { eol => "\n" } ],

    # servers with sources of their own

    [ 'bearer only: bearer', "Authorization: Bearer $k", $ok,
      { host => 'bearer' } ],
    [ 'bearer only: another header is none', "X-API-Key: $k", $missing,
      { host => 'bearer' } ],
    [ 'bearer only: another header is not looked at',
      "Authorization: Bearer $k\nX-API-Key: $k2", $ok, { host => 'bearer' } ],
    [ 'own header', "X-Key: $k", $ok, { host => 'header' } ],
    [ 'own header, second source', "other-1: $k", $ok, { host => 'header' } ],
    [ 'own header: bearer is none', "Authorization: Bearer $k", $missing,
      { host => 'header' } ],
    [ 'own header beside a JWT',
      "Authorization: Bearer a.b.c\nX-Key: $k", $ok, { host => 'header' } ],
    [ 'both own headers, different', "X-Key: $k\nOther-1: $k2", $malformed,
      { host => 'header' } ],
    [ 'underscores are no hyphens', "X_API_Key: $k", $missing,
      { host => 'underscores' } ],

    # versions

    [ 'HTTP/1.0', "X-API-Key: $k", $ok, { version => 'HTTP/1.0' } ],
    [ 'HTTP/1.0, missing', '', $missing, { version => 'HTTP/1.0' } ],
    [ 'absolute URI', "X-API-Key: $k", $ok, { uri => 'http://default/x' } ],
    [ 'a key in the query is none', '', $missing,
      { uri => "/?x-api-key=$k&api_key=$k" } ],
    [ 'a key in a cookie is none', "Cookie: X-API-Key=$k", $missing ],
    [ 'POST', "X-API-Key: $k\nContent-Length: 3", $ok,
      { method => 'POST', body => 'abc' } ],
    [ 'POST, malformed', "X-API-Key: x\nContent-Length: 3", $malformed,
      { method => 'POST', body => 'abc' } ],
    [ 'OPTIONS', '', $missing, { method => 'OPTIONS' } ],
    [ 'a trailer is none',
      "Transfer-Encoding: chunked", $missing,
      { method => 'POST', body => "0\r\nX-API-Key: $k\r\n\r\n" } ],
);

for my $row (@rows) {
    my ($name, $headers, $expect, $opt) = @$row;

    my $eol = $opt->{eol} // "\r\n";
    my $bytes = join $eol,
        ($opt->{method} // 'GET') . ' ' . ($opt->{uri} // '/') . ' '
            . ($opt->{version} // 'HTTP/1.1'),
        'Host: ' . ($opt->{host} // 'default'), 'Connection: close',
        split(/\n/, $headers), '', $opt->{body} // '';

    my $r = $nginx->request($bytes);

    is($r->status . ' ' . $r->code, "@$expect", $name);
}

like($nginx->request("GET /\r\n")->body, qr/"code":"missing"/, 'HTTP/0.9');

my @leaks = grep { !/client sent (?:invalid|duplicate) header/ }
            grep { /mm_test|mm_nobody|md29dn|LLLL/ && !/api_key=/ }
            split /\n/, $nginx->error_log;

is("@leaks", '', 'no key text in what the module logs');

$nginx->stop;

done_testing;
