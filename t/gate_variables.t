# The variables: the same truth in every phase and after every internal
# redirect, from the table alone, and nothing for a key that is not good.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Apikey::Nginx ();
use Apikey::Process ();
use Apikey::Table ();

my $table = Apikey::Table->start;
my $nginx = Apikey::Nginx->start(table => $table, http => <<'END');

    limit_req_zone $apikey_id zone=key:1m rate=1r/m;
    limit_req_zone $apikey_tenant zone=slow:1m rate=1r/s;
    limit_conn_zone $apikey_member zone=conn:1m;

    map $apikey_result $verdict {
        ok      pass;
        default stop;
    }
    map $apikey_tenant $pool {
        ten_big big;
        default small;
    }

    log_format full '$uri|$status|$apikey_result|$apikey_id|$apikey_name|'
                    '$apikey_member|$apikey_tenant|$apikey_scopes|$verdict';
    access_log %%DIR%%/access.log full;

    server {
        listen %%PORT%%;
        server_name default;
        apikey on;
        root %%DIR%%;

        add_header X-Who $apikey_result:$apikey_id:$pool always;

        # the access phase and what follows it

        location / { try_files /none =204; }
        location /static/ { alias %%DIR%%/; index page.html; }
        location /try/ { try_files /none /page.html; }
        location /missing/ { error_page 404 @missing; }
        location @missing { return 200 "missing"; }
        location = /page.html { }
        location /accel/ { proxy_pass http://%%PORT_1%%; }
        location /internal/ { internal; apikey off; try_files /none =204; }
        location /error-off/ { error_page 404 /off/page; }
        location /named-on/ { apikey off; error_page 404 @on; }
        location @on { apikey on; proxy_pass http://%%PORT_1%%; }
        location /rewritten/ { rewrite ^ /page.html; }

        # before it

        location /limited/ { limit_req zone=key; limit_req_status 429;
                             try_files /none =204; }
        location /slow/ { limit_req zone=slow burst=5; try_files /none =204; }
        location /conns/ { limit_conn conn 1; limit_conn_status 429;
                           limit_rate_after 2k; limit_rate 1k; alias %%DIR%%/; }

        location /return/ { return 200 "$apikey_result $apikey_id\n"; }
        location /if/ {
            if ($apikey_result != ok) { return 418; }
            return 200 "let in\n";
        }
        location /safe/ {
            # the documented pattern: content from a location of its own,
            # beyond the access phase
            try_files /none @safe;
        }
        location @safe { internal; return 200 "safe $apikey_id\n"; }
        location /set/ {
            set $early $apikey_id;
            add_header X-Early $early always;
            try_files /none =204;
        }

        # off

        location = /off/page { apikey off; alias %%DIR%%/page.html; }
        location /off/ { apikey off; try_files /none =204; }
        location /off/return/ { apikey off; return 200 "[$apikey_result]"; }
        location /off/then/ {
            apikey off;
            set $seen $apikey_result:$apikey_id;
            add_header X-Seen $seen always;
            try_files /none @then;
        }
        location @then { apikey on; proxy_pass http://%%PORT_1%%; }
        location /off/log/ {
            apikey off;
            set $seen $apikey_result:$apikey_id;
            try_files /none @then-log;
        }
        location @then-log { apikey on; try_files /none =204; }

        # subrequests

        location /sub/ { auth_request /auth; try_files /none =204; }
        location = /auth { internal; apikey off;
                           proxy_pass http://%%PORT_1%%/auth;
                           proxy_set_header X-Id $apikey_id; }
        location /sub-only/ { apikey off; auth_request /auth-on;
                              auth_request_set $sub $upstream_http_x_result;
                              add_header X-Sub $sub;
                              try_files /none =204; }
        location = /auth-on { internal; apikey on;
                              proxy_pass http://%%PORT_1%%/auth;
                              proxy_set_header X-Id $apikey_id; }
    }

    server {
        listen %%PORT_1%%;
        access_log off;
        location /accel/ { add_header X-Accel-Redirect /internal/x;
                           return 200; }
        location /auth { add_header X-Result "id=$http_x_id"; return 204; }
        location / { return 200 "who"; }
    }
END

for my $file ([ 'page.html', 'a page' ], [ 'long.html', 'x' x 100_000 ]) {
    open my $page, '>', $nginx->file_path($file->[0]) or die $!;
    print $page $file->[1];
    close $page;
}

my $key = $table->key(name => "caf\xc3\xa9 \"x\"", member => 'mem:1@x',
                      tenant => 'ten_big', scopes => 'checks:write signals');
my $plain   = $table->key;
my $revoked = $table->key(status => 'revoked', name => 'secret name');

sub key { return ('X-API-Key' => $_[0]{text}) }

# The access log's line about a path that was not asked for before.
sub logged {
    my ($pattern) = @_;

    my $line = Apikey::Process::wait_for(
        sub { ($nginx->file('access.log') =~ /^(.*$pattern.*)$/m)[0] }, 5,
        "access log: $pattern");

    return $line;
}

# ---- values ------------------------------------------------------------------

is($nginx->get('/', key($key))->header('X-Who'), "ok:$key->{id}:big",
   'in the header filter');

# the log module escapes what is no printable ASCII
is(logged('^/\|204\|ok.*mem:1'),
   "/|204|ok|$key->{id}|caf\\xC3\\xA9 \\x22x\\x22|mem:1\@x|ten_big|"
   . 'checks:write signals|pass', 'in the log phase');

$nginx->get('/none', key($plain));
is(logged('^/none\|204'),
   "/none|204|ok|$plain->{id}|$plain->{name}|$plain->{member}|ten_1||pass",
   'a key without scopes has empty ones');

for my $row ([ 'revoked', $revoked->{text} ], [ 'unknown', 'x' x 20 ],
             [ 'malformed', 'x' ], [ 'none', undef ])
{
    my ($result, $text) = @$row;

    my $r = $nginx->get("/bad/$result", 'X-API-Key' => $text);

    is($r->header('X-Who'), "$result\::small", "$result: header filter");
    is(logged("^/bad/$result\\|") =~ s/^\S+?\|\d+\|//r,
       "$result|-|-|-|-|-|stop", "$result: no identity in the log");
}

# ---- after redirects ---------------------------------------------------------

my @redirects = (
    # path, uri in the log, status, body
    [ '/static/', '/static/page.html', 200, 'a page' ],
    [ '/try/', '/page.html', 200, 'a page' ],
    [ '/missing/', '/missing/', 404, 'missing' ],
    [ '/accel/', '/internal/x', 204, '' ],
    [ '/error-off/', '/off/page', 404, 'a page' ],
    [ '/named-on/', '/named-on/', 404, 'who' ],
    [ '/rewritten/', '/page.html', 200, 'a page' ],
);

for my $row (@redirects) {
    my ($path, $uri, $status, $body) = @$row;

    truncate $nginx->file_path('access.log'), 0;
    my $r = $nginx->get($path, key($key));

    is($r->status, $status, "$path: status");
    like($r->body, ref $body ? $body : qr/^\Q$body\E$/, "$path: body");
    is($r->header('X-Who') // 'none', "ok:$key->{id}:big",
       "$path: header filter");
    like(logged("^\Q$uri\E\\|"), qr/\|ok\|$key->{id}\|/, "$path: log");
}

is($nginx->get('/error-off/')->status, 401,
   'a location is guarded before it redirects');
is($nginx->get('/named-on/', key($revoked))->code, 'revoked',
   'a named location is guarded after the redirect');

# ---- before the access phase -------------------------------------------------

{
    my @keys = map { $table->key } 1 .. 3;

    is($nginx->get('/limited/', key($_))->status, 204,
       'limit_req: the first of each key') for @keys;
    is($nginx->get('/limited/', key($_))->status, 429,
       'limit_req: the second of each key') for @keys;
    is($nginx->get('/limited/', 'Authorization' => "Bearer $keys[0]{text}")
           ->status, 429, 'limit_req: by key, not by header');
    is($nginx->get('/limited/')->status, 401, 'limit_req: without a key')
        for 1 .. 2;
    is($nginx->get('/limited/', key($revoked))->status, 401,
       'limit_req: a revoked key is not counted') for 1 .. 2;
}

{
    my $slow = $nginx->connect;

    $slow->send("GET /conns/long.html HTTP/1.1\r\nHost: x\r\n"
                . "X-API-Key: $key->{text}\r\n\r\n");
    like($slow->bytes(12), qr/ 200/, 'limit_conn: the first of a member');
    is($nginx->get('/conns/page.html', key($key))->status, 429,
       'limit_conn: the second of this member');
    is($nginx->get('/conns/page.html', key($plain))->status, 200,
       'limit_conn: the first of another member');
    $slow->close;
}

{
    # a request that limit_req delays is decided when it goes on, not before

    my $delayed = $table->key(tenant => 'ten_slow');

    is($nginx->get('/slow/', key($delayed))->status, 204, 'not delayed');

    my $c = $nginx->connect;
    $c->send("GET /slow/ HTTP/1.1\r\nHost: x\r\nX-API-Key: $delayed->{text}"
             . "\r\n\r\n");
    $nginx->wait_log(qr/delaying request/);
    $table->set($delayed, status => 'revoked');

    my $r = $c->response;
    is($r->code, 'revoked', 'revoked while limit_req delayed the request');
    is($r->header('X-Who'), 'revoked::small', '... and its identity is gone');

    my $late = $table->key(tenant => 'ten_slow2');
    $nginx->get('/slow/', key($late));
    $c = $nginx->connect;
    $c->send("GET /slow/ HTTP/1.1\r\nHost: x\r\nX-API-Key: $late->{text}"
             . "\r\n\r\n");
    Apikey::Process::wait_for(
        sub { 2 == (() = $nginx->error_log =~ /delaying request/g) }, 5,
        'the request to be delayed');
    $table->renew(0);

    is($c->response->code, 'stale', 'the lease ran out meanwhile');
    $table->renew(3_600_000);
}

is($nginx->get('/set/', key($key))->header('X-Early'), $key->{id},
   'set, in the rewrite phase');
is($nginx->get('/return/', key($key))->body, "ok $key->{id}\n",
   'return: the variables are there');
is($nginx->get('/return/')->body, "none \n",
   'return runs before the access phase: nobody is refused');
is($nginx->get('/return/', key($revoked))->status, 200,
   'return: nor is a revoked key');
is($nginx->get('/if/', key($key))->body, "let in\n",
   'if on $apikey_result: ok');
is($nginx->get('/if/', key($revoked))->status, 418,
   'if on $apikey_result: revoked');
is($nginx->get('/safe/', key($key))->body, "safe $key->{id}\n",
   'return in a location behind try_files: ok');
is($nginx->get('/safe/', key($revoked))->code, 'revoked',
   'return in a location behind try_files: refused');
is($nginx->get('/safe/')->code, 'missing',
   'return in a location behind try_files: without a key');

# ---- off ---------------------------------------------------------------------

is($nginx->get('/off/', key($key))->header('X-Who'), 'off::small',
   'off: nothing is looked up');
is($nginx->get('/off/return/', key($key))->body, '[off]', 'off: return');

{
    my $r = $nginx->get('/off/then/', key($key));

    is($r->status, 200, 'off, then on: status');
    is($r->header('X-Who'), "ok:$key->{id}:big",
       'off, then on: nothing is remembered of "off"');

    $nginx->get('/off/log/', key($key));
    like(logged('^/off/log/'), qr/\|ok\|$key->{id}\|/,
         'off, then on: nor in the log');

    is($nginx->get('/off/then/', key($revoked))->code, 'revoked',
       'off, then on: refused');
}

# ---- subrequests -------------------------------------------------------------

is($nginx->get('/sub/', key($key))->status, 204, 'in a subrequest');
is($nginx->get('/sub-only/', key($key))->header('X-Sub'), "id=$key->{id}",
   'in a subrequest of a location where it is off');
is($nginx->get('/sub-only/', key($revoked))->status, 204,
   'nginx does not run the access phase in subrequests');
is($nginx->get('/sub-only/', key($revoked))->header('X-Sub'), 'id=',
   'but a bad key has no identity there either');

like($nginx->error_log,
     qr/\[warn\].*"apikey on" has no effect on the subrequest "\/auth-on"/,
     'which is warned of');
unlike($nginx->error_log, qr/no effect on the subrequest "\/auth"/,
       'but not where the client request is guarded');

$nginx->stop;

done_testing;
