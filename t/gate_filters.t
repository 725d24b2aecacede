# A refusal's body in the company of other filters, and error pages: what they
# send is whole, and no key is in it.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Apikey::HTTP ();
use Apikey::Nginx ();
use Apikey::Table ();

my $table = Apikey::Table->start;
my $nginx = Apikey::Nginx->start(table => $table, http => <<'END');
    charset_map koi8-r windows-1251 { C1 E0; }
    limit_req_zone $apikey_id zone=one:1m rate=1r/m;

    server {
        listen %%PORT%%;
        server_name default;
        root %%DIR%%;

        # the charset filter has nginx's page copied, buffer by buffer
        location /charset/ { apikey on; charset koi8-r; source_charset windows-1251;
                             charset_types *; try_files /none =204; }
        location /gzip/ { apikey on; gzip on; gzip_types *; gzip_min_length 1;
                          try_files /none =204; }
        location /sub/ { apikey on; sub_filter_types *; sub_filter API CALLING;
                         try_files /none =204; }
        location /addition/ { apikey on; addition_types *; add_after_body /next;
                              try_files /none =204; }
        location /next { return 200 "next"; }

        # requests that end before access is checked
        location /limited/ { apikey on; limit_req zone=one; error_page 503 @page;
                             try_files /none =204; }
        location /early/ { apikey on; error_page 403 @page;
                           if ($apikey_result = ok) { return 403; }
                           try_files /none =204; }
        location @page { apikey off; proxy_pass http://unix:%%DIR%%/up.sock; }

        # an error page with a subrequest to what is guarded
        location /ssi/ { apikey on; error_page 401 /page.shtml; try_files /none =204; }
        location = /page.shtml { ssi on; ssi_types *; }
        location /guarded/ { apikey on; try_files /none =204; }
    }

    server {
        listen unix:%%DIR%%/up.sock;
        location / { return 200 "[$http_x_api_key][$http_authorization]"; }
    }
END

open my $page, '>', $nginx->file_path('page.shtml') or die $!;
print {$page} '<!--#include virtual="/guarded/x" -->';
close $page;

# ---- the response is whole, and the next one follows it -----------------------

for my $path (qw(/charset/ /gzip/ /sub/ /addition/ /guarded/)) {
    my $c = $nginx->connect;

    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
           . "GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");

    my $refused = $c->response;
    my $next    = $c->response;

    is($refused->status, 401, "$path: refused");
    unlike($refused->body, qr/<html/, "$path: nothing of nginx's own page");
    is($next && $next->status, 200, "$path: the next response follows");
    is($next && $next->body, 'next', "$path: and is its own");
}

my $plain = $nginx->get('/charset/');

like($plain->body, qr/"code":"missing"\}\r\n\z/, '/charset/: a problem document');
is(length $plain->body, $plain->header('Content-Length'),
    '/charset/: as long as it says');

# ---- a key that was shown where the module is on -------------------------------

my $key    = $table->key;
my @shown  = ('X-API-Key' => $key->{text});
my @bearer = (Authorization => "Bearer $key->{text}");

is($nginx->get('/limited/', @shown)->status, 204, 'the first request passes');

for my $headers (\@shown, \@bearer) {
    is($nginx->get('/limited/', @$headers)->body, '[][]',
        "limited: the error page's upstream gets no $headers->[0]");
    is($nginx->get('/early/', @$headers)->body, '[][]',
        "returned early: the error page's upstream gets no $headers->[0]");
}

# ---- subrequests of a refused request -------------------------------------------

is($nginx->get('/ssi/')->status, 401, 'a page with a subrequest: still refused');
$nginx->wait_log(qr/\[warn\].*has no effect on the subrequest "\/guarded\/x"/);

$nginx->stop;

done_testing;
