# What a refused caller gets: each row of the refusal table, and who goes first
# where nginx has a say too (error_page, satisfy, auth_basic, auth_request).

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

use Apikey::HTTP2 ();
use Apikey::Nginx ();
use Apikey::Table ();

my $table = Apikey::Table->start;
my $nginx = Apikey::Nginx->start(table => $table, http => <<'END');

    apikey_realm "Modelmetry";
    log_format result "$uri $status $apikey_result";
    access_log %%DIR%%/access.log result;

    server {
        listen %%PORT%%;
        server_name default;
        apikey on;
        root %%DIR%%;

        location / { try_files /none =204; }
        location /realm/ { apikey_realm "a \"b\" \\ c é";
                           try_files /none =204; }
        location /headers/ { add_header X-Always a always; add_header X-Ok a;
                             try_files /none =204; }
        location /delay/ { auth_delay 300ms; try_files /none =204; }

        # error_page

        location /page/ {
            error_page 400 401 503 /refused.html;
            try_files /none =204;
        }
        location = /refused.html { apikey off; internal; }

        location /page-on/ {
            error_page 401 /refused-on.html;
            try_files /none =204;
        }
        location = /refused-on.html { internal; }

        location /named/ {
            error_page 401 @named;
            try_files /none =204;
        }
        location @named { apikey off; return 200 "named"; }

        location /overwrite/ {
            error_page 401 =200 /refused.html;
            try_files /none =204;
        }
        location /answer/ {
            error_page 401 = @answer;
            try_files /none =204;
        }
        location @answer { apikey off; return 402 "answer"; }
        location /elsewhere/ {
            error_page 401 https://example.com/;
            try_files /none =204;
        }
        location /others/ {
            error_page 404 500 /refused.html;
            try_files /none =204;
        }

        # satisfy

        location /any/allow/ { satisfy any; allow all;
                               try_files /none =204; }
        location /any/deny/ { satisfy any; deny all;
                              try_files /none =204; }
        location /any/basic/ { satisfy any; auth_basic "basic";
                               auth_basic_user_file %%DIR%%/users;
                               try_files /none =204; }
        location /any/request/ { satisfy any; auth_request /auth;
                                 try_files /none =204; }
        location /any/denied/ { satisfy any; auth_request /noauth;
                                try_files /none =204; }
        location /any/unauthorized/ { satisfy any; auth_request /unauth;
                                      try_files /none =204; }
        location /any/off/deny/ { apikey off; satisfy any; deny all;
                                  try_files /none =204; }
        location /any/off/basic/ { apikey off; satisfy any;
                                   auth_basic "basic";
                                   auth_basic_user_file %%DIR%%/users;
                                   try_files /none =204; }
        location /any/upstream/ { satisfy any; allow all;
                                  proxy_pass http://%%PORT_1%%/401; }
        location /any/intercept/ { satisfy any; allow all;
                                   proxy_intercept_errors on;
                                   error_page 401 @intercepted;
                                   proxy_pass http://%%PORT_1%%/401; }
        location @intercepted { apikey off; return 200 "intercepted"; }
        location /any/page/ { satisfy any; deny all;
                              error_page 401 /refused.html;
                              try_files /none =204; }

        location /all/allow/ { satisfy all; allow all;
                               try_files /none =204; }
        location /all/deny/ { satisfy all; deny all;
                              try_files /none =204; }
        location /all/basic/ { satisfy all; auth_basic "basic";
                               auth_basic_user_file %%DIR%%/users;
                               try_files /none =204; }
        location /all/request/ { satisfy all; auth_request /auth;
                                 try_files /none =204; }
        location /all/denied/ { satisfy all; auth_request /noauth;
                                try_files /none =204; }

        location = /auth { apikey off; internal; return 204; }
        location = /noauth { apikey off; internal; return 403; }
        location = /unauth { apikey off; internal;
                             proxy_pass http://%%PORT_1%%/401; }

        # nothing of ours

        location /off/ { apikey off; try_files /none =204; }
        location /off/403/ { apikey off; deny all; }
        location /upstream/ { proxy_pass http://%%PORT_1%%/; }
        location /404/ { }
    }

    server {
        listen %%PORT%%;
        server_name sources;
        apikey on;
        apikey_source header=X-Key header=X-Other;
        location / { try_files /none =204; }
    }

    server {
        listen %%PORT_1%%;
        location /401 { add_header WWW-Authenticate 'Custom' always;
                        return 401 "upstream"; }
        location / { return 503 "upstream"; }
    }

    server {
        listen %%PORT_2%% http2;
        apikey on;
        location / { try_files /none =204; }
    }
END

# files and users that the configuration names
for my $file ([ 'refused.html', 'a page' ], [ 'refused-on.html', 'another' ],
              [ 'users', "user:{PLAIN}password\n" ])
{
    open my $handle, '>', $nginx->file_path($file->[0]) or die $!;
    print $handle $file->[1];
    close $handle;
}

my $basic   = 'Basic ' . encode_base64('user:password', '');
my $nobasic = 'Basic ' . encode_base64('user:wrong', '');

my %key = (
    ok       => $table->key->{text},
    disabled => $table->key(status => 'disabled')->{text},
    revoked  => $table->key(status => 'revoked')->{text},
    expired  => $table->key(expires => time - 1)->{text},
    later    => $table->key(expires => time + 3600)->{text},
    unknown  => 'mm_nobody' . 'x' x 32,
    malformed => 'short',

    # of two reasons, the one that lasts
    both     => $table->key(status => 'disabled',
                            expires => time - 1)->{text},
    worst    => $table->key(status => 'revoked',
                            expires => time - 1)->{text},
);

sub with {
    my ($name) = @_;

    return defined $name ? ('X-API-Key' => $key{$name}) : ();
}

# ---- the refusal table -------------------------------------------------------

my $bearer = 'Bearer realm="Modelmetry"';

my @table = (
    [ undef,       401, 'missing',   $bearer ],
    [ 'malformed', 400, 'malformed', "$bearer, error=\"invalid_request\"" ],
    [ 'unknown',   401, 'unknown',   "$bearer, error=\"invalid_token\"" ],
    [ 'disabled',  401, 'disabled',  "$bearer, error=\"invalid_token\"" ],
    [ 'revoked',   401, 'revoked',   "$bearer, error=\"invalid_token\"" ],
    [ 'expired',   401, 'expired',   "$bearer, error=\"invalid_token\"" ],
    [ 'both',      401, 'disabled',  "$bearer, error=\"invalid_token\"" ],
    [ 'worst',     401, 'revoked',   "$bearer, error=\"invalid_token\"" ],
);

is($nginx->get('/', with('ok'))->status, 204, 'a good key passes');
is($nginx->get('/', with('later'))->status, 204, 'so does one that expires');

refused(@$_) for @table;

# past the lease: only what is known for ever

$table->renew(0);

refused(@$_) for (
    [ undef,       401, 'missing',   $bearer ],
    [ 'malformed', 400, 'malformed', "$bearer, error=\"invalid_request\"" ],
    [ 'ok',        503, 'stale' ],
    [ 'unknown',   503, 'stale' ],
    [ 'disabled',  503, 'stale' ],
    [ 'expired',   503, 'stale' ],
    [ 'revoked',   401, 'revoked',   "$bearer, error=\"invalid_token\"" ],
);

like($nginx->error_log, qr/\[error\].*apikey: the lease of table/,
     'a lease that ran out is an error in the log');

$table->renew(3_600_000);

# the ring lacks a pepper that the store uses

$table->command('peppers', ($table->fingerprints)[0], '0123456789abcdef');

refused('unknown', 503, 'unavailable');
is($nginx->get('/', with('ok'))->status, 204, 'a key of the other pepper');
refused('disabled', 401, 'disabled', "$bearer, error=\"invalid_token\"");

like($nginx->error_log, qr/\[error\].*pepper.*0123456789abcdef/,
     'the missing pepper is named in the log');

$table->command('peppers', ($table->fingerprints)[0]);

sub refused {
    my ($name, $status, $code, $challenge) = @_;

    my $what = ($name // 'no key') . ": $code";
    my $r = $nginx->get('/', with($name));
    my $problem = $r->problem;

    is($r->status, $status, "$what: status");
    is($r->code, $code, "$what: code");
    is(join('|', $r->header('WWW-Authenticate')), $challenge // '',
       "$what: challenge");
    is($r->header('Retry-After'), $status == 503 ? 1 : undef,
       "$what: Retry-After");
    is($problem->{status}, $status, "$what: status in the document");
    is($problem->{type}, "urn:apikey:problem:$code", "$what: type");
    is(join(' ', sort keys %$problem), 'code detail status title type',
       "$what: members");
    like($problem->{detail}, qr/^[A-Z].{20,}\.$/, "$what: detail");

    return;
}

# ---- the response ------------------------------------------------------------

{
    my $r = $nginx->request('HEAD', '/');

    is($r->status, 401, 'HEAD: status');
    is($r->header('Content-Type'), 'application/problem+json', 'HEAD: type');
    is($r->header('Content-Length'), length $nginx->get('/')->body,
       'HEAD: the length that GET has');
    is($r->header('WWW-Authenticate'), $bearer, 'HEAD: challenge');
}

is($nginx->get('/realm/')->header('WWW-Authenticate'),
   'Bearer realm="a \"b\" \\\\ c é"', 'the realm is quoted');

{
    my $r = $nginx->get('/headers/');

    is($r->header('X-Always'), 'a', 'add_header always');
    is($r->header('X-Ok'), undef, 'add_header');
    is($r->code, 'missing', 'add_header: body');
}

like($nginx->get('/')->problem->{detail},
     qr/Authorization: Bearer KEY or X-API-Key: KEY/,
     'missing: says where a key is expected');
like($nginx->get('/', Host => 'sources')->problem->{detail},
     qr/header: X-Key: KEY or X-Other: KEY\.$/,
     'missing: in the sources of this server');

is($nginx->get('/delay/', with('unknown'))->code, 'unknown',
   'auth_delay: code');
is($nginx->get('/delay/', with('ok'))->status, 204, 'auth_delay: ok');

# ---- the connection ----------------------------------------------------------

{
    my $c = $nginx->connect;
    my $get = "GET / HTTP/1.1\r\nHost: default\r\n";
    my $post = "POST / HTTP/1.1\r\nHost: default\r\n";

    for my $round (1 .. 3) {
        $c->send("$get\r\n");
        is($c->response->code, 'missing', "kept alive: refused, $round");

        $c->send("${get}X-API-Key: $key{ok}\r\n\r\n");
        is($c->response->status, 204, "kept alive: passed, $round");
    }

    $c->send("${post}Content-Length: 5\r\n\r\nhello"
             . "${get}X-API-Key: $key{ok}\r\n\r\n");
    is($c->response->code, 'missing', 'pipelined: a body is thrown away');
    is($c->response->status, 204, 'pipelined: and the next is read');

    $c->send("${post}Transfer-Encoding: chunked\r\nX-API-Key: $key{revoked}"
             . "\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
             . "${get}X-API-Key: $key{ok}\r\n\r\n");
    is($c->response->code, 'revoked', 'chunked: a body is thrown away');
    is($c->response->status, 204, 'chunked: and the next is read');

    $c->send("${post}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    my $r = $c->response;
    is($r->status, 401, 'Expect: 100-continue is answered by the refusal');
    is($r->code, 'missing', 'Expect: code');
}

{
    my $c = $nginx->connect;
    my $body = 'x' x 500_000;

    $c->send("POST / HTTP/1.1\r\nHost: default\r\nContent-Length: 1000000\r\n"
             . "X-API-Key: $key{disabled}\r\n\r\n$body");
    is($c->response->code, 'disabled', 'a large body: answered before its end');

    $c->send("${body}GET / HTTP/1.1\r\nHost: default\r\n\r\n");
    is($c->response->code, 'missing', 'a large body: and the next is read');
}

{
    my $c = $nginx->connect;

    $c->send("GET / HTTP/1.1\r\nHost: default\r\nX-API-Key: x\r\n\r\n");
    is($c->response->code, 'malformed', 'malformed');
    ok($c->closed, 'as after any bad request, the connection is closed');
}

{
    my $c = Apikey::HTTP2->connect($nginx->port(2));

    my $r = $c->get('/');
    is($r->status, 401, 'HTTP/2: missing');
    is(JSON::PP::decode_json($r->body)->{code}, 'missing', 'HTTP/2: document');

    $r = $c->get('/', 'x-api-key' => $key{revoked});
    is($r->status, 401, 'HTTP/2: revoked');
    is(JSON::PP::decode_json($r->body)->{code}, 'revoked', 'HTTP/2: document');

    is($c->get('/', 'x-api-key' => $key{ok})->status, 204, 'HTTP/2: ok');
    is($c->get('/', 'x-api-key' => "$key{ok} ")->status, 400,
       'HTTP/2: blanks are not trimmed');
    is($c->get('/', 'x-api-key' => $key{ok}, 'x-api-key' => $key{ok})->status,
       400, 'HTTP/2: repeated');
    is($c->get('/', authorization => "Bearer $key{ok}")->status, 204,
       'HTTP/2: bearer');
    is($c->get('/', [ 'x-api-key' => $key{ok} ])->status, 204,
       'HTTP/2: put into the dynamic table');
    is($c->get('/', \62)->status, 204,
       'HTTP/2: taken from it, unharmed by the masking of the first');
}

# ---- error_page --------------------------------------------------------------

# path, key, status, body (a code, or a text), challenge, Retry-After
my @pages = (
    [ '/page/', undef, 401, 'a page', $bearer ],
    [ '/page/', 'revoked', 401, 'a page', "$bearer, error=\"invalid_token\"" ],
    [ '/page/', 'malformed', 400, 'a page',
      "$bearer, error=\"invalid_request\"" ],
    [ '/page/', 'ok', 204, '' ],
    [ '/page-on/', undef, 401, 'missing', $bearer ],
    [ '/page-on/', 'revoked', 401, 'revoked',
      "$bearer, error=\"invalid_token\"" ],
    [ '/named/', undef, 401, 'named', $bearer ],
    [ '/named/', 'unknown', 401, 'named', "$bearer, error=\"invalid_token\"" ],
    [ '/overwrite/', 'unknown', 200, 'a page' ],
    [ '/answer/', 'unknown', 402, 'answer' ],
    [ '/elsewhere/', 'unknown', 302, qr/302 Found/ ],
    [ '/others/', 'unknown', 401, 'unknown',
      "$bearer, error=\"invalid_token\"" ],
    [ '/off/403/', undef, 403, qr/403 Forbidden/ ],
    [ '/upstream/', 'ok', 503, 'upstream' ],
    [ '/upstream/401', 'ok', 401, qr/upstream/, 'Custom' ],
    [ '/404/', 'ok', 404, qr/404 Not Found/ ],
);

answered(@$_) for @pages;

$table->renew(0);
answered('/page/', 'ok', 503, 'a page', undef, 1);
answered('/page/', 'revoked', 401, 'a page',
         "$bearer, error=\"invalid_token\"");
$table->renew(3_600_000);

sub answered {
    my ($path, $name, $status, $body, $challenge, $retry, @headers) = @_;

    my $what = "$path " . ($name // 'no key');
    $what .= ' ' . join ' ', @headers if @headers;

    my $r = $nginx->get($path, with($name), @headers);

    is($r->status, $status, "$what: status");
    is(join('|', sort $r->header('WWW-Authenticate')), $challenge // '',
       "$what: challenge");
    is($r->header('Retry-After'), $retry, "$what: Retry-After");

    if (ref $body) {
        like($r->body, $body, "$what: body");

    } else {
        is($r->code || $r->body, $body, "$what: body");
    }

    return;
}

# ---- satisfy -----------------------------------------------------------------

my $invalid = "$bearer, error=\"invalid_token\"";

my @satisfy = (
    [ '/any/allow/', undef, 204, '' ],
    [ '/any/allow/', 'ok', 204, '' ],
    [ '/any/allow/', 'revoked', 204, '' ],
    [ '/any/allow/', 'malformed', 400, 'malformed',
      "$bearer, error=\"invalid_request\"" ],

    [ '/any/deny/', undef, 401, 'missing', $bearer ],
    [ '/any/deny/', 'ok', 204, '' ],
    [ '/any/deny/', 'revoked', 401, 'revoked', $invalid ],

    [ '/any/basic/', undef, 401, 'missing', "Basic realm=\"basic\"|$bearer" ],
    [ '/any/basic/', 'ok', 204, '' ],
    [ '/any/basic/', 'revoked', 401, 'revoked',
      "Basic realm=\"basic\"|$invalid" ],
    [ '/any/basic/', undef, 204, '', undef, undef, Authorization => $basic ],
    [ '/any/basic/', 'revoked', 204, '', undef, undef,
      Authorization => $basic ],
    [ '/any/basic/', 'ok', 204, '', undef, undef,
      Authorization => $nobasic ],

    # nginx takes a wrong password for "forbidden", and 401 goes first
    [ '/any/basic/', 'unknown', 401, 'unknown',
      "Basic realm=\"basic\"|$invalid", undef, Authorization => $nobasic ],

    [ '/any/request/', undef, 204, '' ],
    [ '/any/request/', 'revoked', 204, '' ],
    [ '/any/denied/', undef, 401, 'missing', $bearer ],
    [ '/any/denied/', 'ok', 204, '' ],
    [ '/any/unauthorized/', 'unknown', 401, 'unknown', "$invalid|Custom" ],

    [ '/any/off/deny/', 'ok', 403, qr/403 Forbidden/ ],
    [ '/any/off/basic/', 'ok', 401, qr/401 Authorization/,
      'Basic realm="basic"' ],
    [ '/any/off/basic/', undef, 204, '', undef, undef,
      Authorization => $basic ],

    # what is let pass and then refused by somebody else is not ours
    [ '/any/upstream/', 'revoked', 401, qr/upstream/, 'Custom' ],
    [ '/any/intercept/', 'revoked', 401, 'intercepted', 'Custom' ],

    [ '/any/page/', 'revoked', 401, 'a page', $invalid ],
    [ '/any/page/', 'ok', 204, '' ],

    [ '/all/allow/', undef, 401, 'missing', $bearer ],
    [ '/all/allow/', 'ok', 204, '' ],
    [ '/all/deny/', 'ok', 403, qr/403 Forbidden/ ],
    [ '/all/deny/', 'revoked', 401, 'revoked', $invalid ],
    [ '/all/basic/', 'ok', 401, qr/401 Authorization/,
      'Basic realm="basic"' ],
    [ '/all/basic/', 'ok', 204, '', undef, undef, Authorization => $basic ],
    [ '/all/basic/', 'revoked', 401, 'revoked', $invalid, undef,
      Authorization => $basic ],
    [ '/all/request/', 'ok', 204, '' ],
    [ '/all/request/', 'revoked', 401, 'revoked', $invalid ],
    [ '/all/denied/', 'ok', 403, qr/403 Forbidden/ ],

    [ '/off/', undef, 204, '' ],
    [ '/off/', 'revoked', 204, '' ],
    [ '/off/', 'malformed', 204, '' ],
);

answered(@$_) for @satisfy;

# who shows a key that cannot be checked is not let in by another door, and
# who shows none never asks the table

$table->renew(0);
answered('/any/allow/', 'ok', 503, 'stale', undef, 1);
answered('/any/allow/', undef, 204, '');
answered('/any/allow/', 'revoked', 204, '');
answered('/any/basic/', 'ok', 503, 'stale', undef, 1,
         Authorization => $basic);
answered('/any/basic/', undef, 204, '', undef, undef,
         Authorization => $basic);
answered('/all/allow/', 'ok', 503, 'stale', undef, 1);
answered('/off/', 'ok', 204, '');
$table->renew(3_600_000);

# ---- the access log ----------------------------------------------------------

my $log = $nginx->file('access.log');

for my $line ('/ 401 none', '/ 400 malformed', '/ 401 unknown',
              '/ 401 disabled', '/ 401 revoked', '/ 401 expired',
              '/ 503 stale', '/ 503 unavailable', '/ 204 ok', '/off/ 204 off',
              '/refused.html 401 revoked', '/refused.html 200 unknown')
{
    like($log, qr/^\Q$line\E$/m, "access log: $line");
}

like($nginx->error_log, qr/\[info\].*apikey: revoked, id: key_\d{20},/,
     'a refusal is told at level info, with the id of the key');

$nginx->stop;

done_testing;
