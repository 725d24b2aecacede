# What goes upstream: the identity that the table has, never what the client
# says of itself, and not the credential.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use MIME::Base64 qw(encode_base64);

use Apikey::HTTP2 ();
use Apikey::Nginx ();
use Apikey::Process ();
use Apikey::Table ();
use Apikey::Upstream ();

my $table    = Apikey::Table->start;
my $upstream = Apikey::Upstream->start;
my $nginx    = Apikey::Nginx->start(table => $table,
                                    http => <<'END' =~ s/%%UP%%/$upstream->{path}/gr);

    log_format keys '$uri [$http_authorization] [$http_x_api_key]';
    access_log %%DIR%%/access.log keys;

    upstream up { server unix:%%UP%%; }

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen %%PORT%%;
        server_name default;
        apikey on;

        # the documented configuration
        proxy_set_header X-Apikey-Id     $apikey_id;
        proxy_set_header X-Apikey-Name   $apikey_name;
        proxy_set_header X-Apikey-Member $apikey_member;
        proxy_set_header X-Apikey-Tenant $apikey_tenant;
        proxy_set_header X-Apikey-Scopes $apikey_scopes;

        location / { proxy_pass http://up; }
        location /any/ { satisfy any; allow all;
                         proxy_pass http://up; }
        location /off/ { apikey off; proxy_pass http://up; }
        location /basic/ { auth_basic "basic";
                           auth_basic_user_file %%DIR%%/users;
                           proxy_pass http://up;
                           proxy_set_header X-User $remote_user; }
        location /page/ { error_page 400 401 = @page;
                          proxy_pass http://up; }
        location @page { apikey off; proxy_pass http://up; }
        location /copied/ { set $copy $http_x_api_key;
                            proxy_set_header X-Copy $copy;
                            proxy_pass http://up; }
        location /explicit/ { proxy_set_header X-Copy "$http_x_api_key";
                              proxy_set_header X-Bearer $http_authorization;
                              proxy_pass http://up; }
        location /early/ { if ($http_x_api_key) { set $seen yes; }
                           if ($http_authorization) { set $seen yes; }
                           proxy_set_header X-Seen $seen;
                           proxy_set_header X-Late "$http_x_api_key";
                           proxy_pass http://up; }
        location /sub/ { auth_request /auth;
                         proxy_pass http://up; }
        location = /auth { internal; proxy_pass http://up; }
        location /mirror/ { mirror /mirrored;
                            proxy_pass http://up; }
        location = /mirrored { internal; apikey off;
                               proxy_pass http://up; }
        location /accel/ { proxy_pass http://up; }
        location /target/ { internal; apikey off;
                            proxy_pass http://up; }
        location /cached/ { proxy_cache cache; proxy_cache_valid any 1m;
                            proxy_cache_key $apikey_tenant$uri;
                            proxy_pass http://up; }
        location /return/ { return 204; }
    }

    server {
        listen %%PORT%%;
        server_name header;
        apikey on;
        apikey_source header=X-Key;
        location / { proxy_pass http://up; }
    }

    server {
        listen %%PORT_1%% http2;
        apikey on;
        location / { proxy_pass http://up; }
    }
END

open my $users, '>', $nginx->file_path('users') or die $!;
print $users "user:{PLAIN}password\n";
close $users;

my $key   = $table->key(member => 'mem_1', tenant => 'ten_1',
                        name => 'the name', scopes => 'a b');
my $other = $table->key;
my $dead  = $table->key(status => 'revoked');
my $k     = $key->{text};
my $basic = 'Basic ' . encode_base64('user:password', '');

# The headers of the last request that the upstream got, "name: value" each.
sub sent {
    my ($path, @headers) = @_;

    $upstream->forget;
    $nginx->get($path, @headers);

    return join "\n", $upstream->headers;
}

# ---- the credential ----------------------------------------------------------

my @places = (
    [ 'bearer', Authorization => "Bearer $k" ],
    [ 'header', 'X-API-Key' => $k ],
    [ 'header, in lower case', 'x-api-key' => $k ],
    [ 'in both', 'X-API-Key' => $k, Authorization => "bearer  $k" ],
);

for my $row (@places) {
    my ($name, @headers) = @$row;

    # first, last, and between others; on one part of nginx's list, and on
    # many: a part holds 20
    for my $before (0, 1, 5, 18, 19, 20, 21, 39, 40, 60) {
        for my $after (0, 1, 25) {
            my @before = map { ("B-$_" => $_) } 1 .. $before;
            my @after  = map { ("A-$_" => $_) } 1 .. $after;
            my $sent   = sent('/', @before, @headers, @after);

            is($sent =~ s/^(?!a-|b-).*\n?//mgr =~ s/\n\z//r,
               join("\n", (map { "b-$_: $_" } 1 .. $before),
                          (map { "a-$_: $_" } 1 .. $after)),
               "$name: $before headers before, $after after, all there");
            unlike($sent, qr/\Q$k\E|authorization|x-api-key|\*\*/i,
                   "$name: and not the key");
        }
    }
}

for my $row (
    [ 'satisfied otherwise, good', '/any/', 'X-API-Key' => $k ],
    [ 'satisfied otherwise, revoked', '/any/', 'X-API-Key' => $dead->{text} ],
    [ 'satisfied otherwise, unknown', '/any/',
      Authorization => "Bearer $k-not" ],
    [ 'proxied error page, revoked', '/page/', 'X-API-Key' => $dead->{text} ],
    [ 'proxied error page, malformed', '/page/',
      Authorization => "Bearer $k $k" ],
    [ 'proxied error page, repeated', '/page/', 'X-API-Key' => $k,
      'x-api-key' => $k ],
    [ 'proxied error page, two keys', '/page/', 'X-API-Key' => $k,
      'Authorization' => "Bearer $other->{text}" ],
    [ 'explicit headers', '/explicit/', 'X-API-Key' => $k ],
    [ 'explicit bearer', '/explicit/', Authorization => "Bearer $k" ],
    [ 'after a read in the rewrite phase', '/early/', 'X-API-Key' => $k ],
    [ 'after a read of bearer', '/early/', Authorization => "Bearer $k" ],
    [ 'mirrored', '/mirror/', 'X-API-Key' => $k ],
    [ 'X-Accel-Redirect', '/accel/', 'X-API-Key' => $k ],
    [ 'auth_request', '/sub/', 'X-API-Key' => $k ],
)
{
    my ($name, $path, @headers) = @$row;
    my $sent = sent($path, @headers);

    like($sent, qr/^host: /m, "$name: went upstream");
    unlike($sent, qr/mm_test/, "$name: without the key");
}

like(sent('/early/', 'X-API-Key' => $k), qr/^x-seen: yes$/m,
     'what the rewrite phase decides by the header, it decides');

# the one way out is the operator's own
like(sent('/copied/', 'X-API-Key' => $k), qr/^x-copy: \Q$k\E$/m,
     'what was copied before the access phase is a copy');

unlike(sent('/off/', Authorization => 'Basic dTpw'), qr/x-apikey-id/,
       'off: no identity');
like(sent('/off/', 'X-API-Key' => $k), qr/^x-api-key: \Q$k\E$/m,
     'off: nothing is hidden');

# ---- what is no credential ---------------------------------------------------

{
    my $sent = sent('/basic/', Authorization => $basic, 'X-API-Key' => $k);

    like($sent, qr/^authorization: \Q$basic\E$/m,
         'Basic is for somebody else, and stays');
    like($sent, qr/^x-user: user$/m, 'auth_basic reads it');
    unlike($sent, qr/mm_test/, 'beside it, the key is hidden');
}

{
    my $jwt = 'Bearer eyJh.eyJz.c2ln';

    is($nginx->get('/', Host => 'header', Authorization => $jwt)->status, 401,
       'a bearer token that is no source is no credential');

    my $sent = sent('/', Host => 'header', Authorization => $jwt,
                    'X-Key' => $k, 'X-API-Key' => 'mine');

    like($sent, qr/^authorization: \Q$jwt\E$/m, '... and stays');
    like($sent, qr/^x-api-key: mine$/m, 'nor is a header that is none');
    unlike($sent, qr/mm_test/, 'the key is hidden');
}

{
    my $sent = sent('/', 'X-API-Key' => $k, Cookie => 'a=1', Accept => '*/*',
                    'User-Agent' => 'ua', 'X-Forwarded-For' => '192.0.2.1',
                    'X-API-Key-2' => 'x', 'X-API' => 'y', Range => 'bytes=0-');

    for my $line ('cookie: a=1', 'accept: */*', 'user-agent: ua',
                  'x-forwarded-for: 192.0.2.1', 'x-api-key-2: x', 'x-api: y',
                  'range: bytes=0-')
    {
        like($sent, qr/^\Q$line\E$/m, "untouched: $line");
    }
}

# ---- identity ----------------------------------------------------------------

my @identity = ("x-apikey-id: $key->{id}", 'x-apikey-name: the name',
                'x-apikey-member: mem_1', 'x-apikey-tenant: ten_1',
                'x-apikey-scopes: a b');
my @forged = map { my $n = $_; map { ("X-Apikey-$n" => $_) } 'x', 'y' }
             qw(Id Name Member Tenant Scopes);

for my $row ([ 'plain' ], [ 'forged', @forged ],
             [ 'forged, in another case',
               map { /^X/ ? uc : $_ } @forged ])
{
    my ($name, @headers) = @$row;
    my @got = grep { /^x-apikey/ }
              split /\n/, sent('/', @headers, 'X-API-Key' => $k, @headers);

    is(join("\n", sort @got), join("\n", sort @identity), "identity: $name");
}

unlike(sent('/any/', @forged), qr/x-apikey/,
       'without a key: no identity, and no forged one');
unlike(sent('/any/', @forged, 'X-API-Key' => $dead->{text}), qr/x-apikey/,
       'with a revoked key: none either');
unlike(sent('/page/', @forged, 'X-API-Key' => $dead->{text}), qr/x-apikey/,
       'on a proxied error page: none either');

unlike(sent('/', 'X-API-Key' => $k, 'X_Apikey_Id' => 'forged'), qr/forged/,
       'nor with underscores, which nginx drops');

# ---- more than one request on a connection -------------------------------------

{
    my $c = $nginx->connect;
    my $n = 0;

    for my $one ($key, $other, $dead, $key) {
        $upstream->forget;
        $c->send("GET /keep/ HTTP/1.1\r\nHost: default\r\n"
                 . "X-API-Key: $one->{text}\r\n\r\n");
        is($c->response->status, $one == $dead ? 401 : 200,
           'kept alive: request ' . ++$n);
        like(join("\n", $upstream->headers), qr/^x-apikey-id: $one->{id}$/m,
             'kept alive: its own identity') if $one != $dead;
    }

    # pipelined, with headers that need a large buffer
    my $long = 'L' x 3000;
    $c->send(join '', map {
        "GET /pipe/$_->{id} HTTP/1.1\r\nHost: default\r\nX-Long: $long\r\n"
        . "X-API-Key: $_->{text}\r\n\r\n"
    } $key, $other, $key);

    for my $one ($key, $other, $key) {
        is($c->response->body, "/pipe/$one->{id} $one->{id}\n",
           'pipelined: its own identity');
    }
}

{
    my $c = Apikey::HTTP2->connect($nginx->port(1));

    for my $row ([ 'first', [ 'x-api-key' => $k ] ], [ 'indexed', \62 ],
                 [ 'literal', 'x-api-key' => $k ],
                 [ 'bearer', authorization => "Bearer $k" ])
    {
        my ($name, @headers) = @$row;

        $upstream->forget;
        is($c->get('/h2', @headers, 'x-other' => 'o')->status, 200,
           "HTTP/2, $name: passed");

        my $sent = join "\n", $upstream->headers;
        like($sent, qr/^x-other: o$/m, "HTTP/2, $name: other headers");
        unlike($sent, qr/mm_test/, "HTTP/2, $name: without the key");
    }
}

# ---- caches ------------------------------------------------------------------

is($nginx->get('/cached/x', 'X-API-Key' => $k)->status, 200, 'cached');
is($nginx->get('/cached/x', 'X-API-Key' => $dead->{text})->code, 'revoked',
   'a cached answer is guarded too');
is($nginx->get('/cached/x')->code, 'missing', '... from everybody');

# ---- logs --------------------------------------------------------------------

$nginx->get('/logged/', 'X-API-Key' => $k);
$nginx->get('/logged/', 'Authorization' => "Bearer $k");
$nginx->get('/logged/', 'X-API-Key' => $dead->{text});
$nginx->get('/logged/', 'X-API-Key' => "$k $k");
$nginx->get('/early/', 'X-API-Key' => $k);

my $log = $nginx->file('access.log') =~ s{^/off/.*\n}{}mgr;

like($log, qr{^/logged/ \[-\] \[-\]$}m, 'headers are hidden from the log');
unlike($log, qr/mm_test/, 'no key in the access log');
unlike($nginx->error_log, qr/mm_test/, 'no key in the error log');

$nginx->stop;
$upstream->stop;

done_testing;
