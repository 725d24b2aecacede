# The directives: what "nginx -t" says about a wrong one, where each may stand,
# and what is inherited.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Apikey::Nginx ();
use Apikey::Process ();
use Apikey::Table ();

my $table = Apikey::Table->start;
my $key   = $table->key->{text};
my $dir   = Apikey::Process::tempdir();

my $server = 'server { listen %%PORT%%; location / { ... } }';
my @known  = (table => $table->dir, pepper => $table->pepper);

# ---- wrong -------------------------------------------------------------------

sub refused {
    my ($name, $http, $pattern, %opt) = @_;

    my ($exit, $said) = Apikey::Nginx->check(@known, %opt, http => $http);

    isnt($exit, 0, "$name: refused");
    like($said, $pattern, "$name: said why");

    return;
}

sub inside { return $server =~ s/\.\.\./$_[0]/r }

sub file {
    my ($name, $mode, @lines) = @_;

    open my $file, '>', "$dir/$name" or die "$dir/$name: $!";
    print $file map { "$_\n" } @lines;
    close $file;
    chmod $mode, "$dir/$name" or die $!;

    return "$dir/$name";
}

my $secret = 'YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=';

for my $row (
    [ 'apikey maybe', inside('apikey maybe;'),
      qr/invalid value "maybe" in "apikey" directive.*nginx\.conf:\d/ ],
    [ 'apikey twice', inside('apikey on; apikey off;'),
      qr/"apikey" directive is duplicate/ ],
    [ 'apikey without a value', inside('apikey;'),
      qr/invalid number of arguments in "apikey"/ ],

    [ 'apikey in if', inside('if ($arg_x) { apikey on; }'),
      qr/"apikey" directive is not allowed here/ ],

    [ 'apikey_table in server', inside('apikey_table /run/apikey;'),
      qr/"apikey_table" directive is not allowed here/ ],
    [ 'apikey_table twice', "apikey_table /x;",
      qr/"apikey_table" directive is duplicate/ ],
    [ 'apikey_table, empty', 'apikey_table "";',
      qr/"apikey_table" lacks the path of a directory.*nginx\.conf:\d/, table => undef ],
    [ 'apikey_table, too long', 'apikey_table /' . 'x' x 1100 . ';',
      qr/"apikey_table" is longer than \d+ bytes/, table => undef ],

    [ 'apikey_pepper in location', inside('apikey_pepper /x;'),
      qr/"apikey_pepper" directive is not allowed here/ ],
    [ 'apikey_pepper twice', 'apikey_pepper /x;',
      qr/"apikey_pepper" directive is duplicate/ ],

    [ 'apikey_source in location', inside('apikey_source bearer;'),
      qr/"apikey_source" directive is not allowed here/ ],
    [ 'apikey_source twice', 'apikey_source bearer; apikey_source bearer;',
      qr/"apikey_source" directive is duplicate/ ],
    [ 'apikey_source, empty', 'apikey_source;',
      qr/invalid number of arguments in "apikey_source"/ ],
    [ 'apikey_source, unknown', 'apikey_source basic;',
      qr/invalid "apikey_source" "basic": it must be "bearer" or "header=/ ],
    [ 'apikey_source, upper case', 'apikey_source Bearer;',
      qr/invalid "apikey_source" "Bearer"/ ],
    [ 'apikey_source header=', 'apikey_source header=;',
      qr/"apikey_source" lacks a name after "header="/ ],
    [ 'apikey_source, a name with an underscore',
      'apikey_source header=X_API_Key;', qr/invalid header name "X_API_Key"/ ],
    [ 'apikey_source, a name with a blank', 'apikey_source "header=X Key";',
      qr/invalid header name "X Key"/ ],
    [ 'apikey_source, a name with a colon', 'apikey_source header=X-Key:;',
      qr/invalid header name "X-Key:"/ ],
    [ 'apikey_source, a source twice', 'apikey_source bearer bearer;',
      qr/"apikey_source" names "Authorization" twice/ ],
    [ 'apikey_source, a header twice',
      'apikey_source header=X-Key header=x-key;',
      qr/"apikey_source" names "x-key" twice/ ],
    [ 'apikey_source, too many',
      'apikey_source ' . join(' ', map { "header=X-$_" } 1 .. 9) . ';',
      qr/"apikey_source" names more than 8 sources/ ],
    [ 'apikey_source Authorization', 'apikey_source header=Authorization;',
      qr/cannot be the header "Authorization".* say "bearer"/ ],
    (map { [ "apikey_source $_", "apikey_source header=$_;",
             qr/cannot be the header "$_", which has a meaning/ ] }
     qw(host Content-Length Cookie connection Transfer-Encoding Upgrade
        X-Forwarded-For)),

    [ 'apikey_realm, empty number', inside('apikey_realm;'),
      qr/invalid number of arguments in "apikey_realm"/ ],
    [ 'apikey_realm with a variable', inside('apikey_realm $host;'),
      qr/"apikey_realm" cannot contain variables/ ],
    [ 'apikey_realm with a control character',
      inside("apikey_realm \"a\nb\";"),
      qr/"apikey_realm" cannot contain control characters/ ],
    [ 'apikey_realm twice', inside('apikey_realm a; apikey_realm b;'),
      qr/"apikey_realm" directive is duplicate/ ],

    [ 'apikey_stale, unknown', inside('apikey_stale serve;'),
      qr/invalid value "serve".*nginx\.conf:\d/ ],
    [ 'apikey_stale twice', inside('apikey_stale deny; apikey_stale deny;'),
      qr/"apikey_stale" directive is duplicate/ ],

    [ 'on without a pepper', "\n\n\n" . inside('apikey on;'),
      qr/"apikey on" needs "apikey_pepper".* in .*nginx\.conf:\d+/,
      pepper => undef ],
    [ 'on without a pepper, at http level', 'apikey on;',
      qr/"apikey on" needs "apikey_pepper"/, pepper => undef ],

    [ 'pepper: no file', '', qr{"apikey_pepper": .*$dir/none},
      pepper => "$dir/none" ],
    [ 'pepper: a directory', '', qr/"apikey_pepper": .*\Q$dir\E/,
      pepper => $dir ],
    [ 'pepper: others may read it', '', qr/"apikey_pepper": .*\Q$dir\E\/open/,
      pepper => file('open', 0644, "p1:$secret") ],
    [ 'pepper: the group may write it', '', qr/"apikey_pepper": .*group/,
      pepper => file('group', 0660, "p1:$secret") ],
    [ 'pepper: empty', '', qr/"apikey_pepper": .*empty/,
      pepper => file('empty', 0600) ],
    [ 'pepper: no id', '', qr/"apikey_pepper": .*noid.*line 1|noid:1/,
      pepper => file('noid', 0600, $secret) ],
    [ 'pepper: short', '', qr/"apikey_pepper": .*short/,
      pepper => file('short', 0600, 'p1:YWJj') ],
    [ 'pepper: three', '', qr/"apikey_pepper": .*three/,
      pepper => file('three', 0600, "p1:$secret", map {
          my $n = $_;
          "p$n:" . $secret =~ s/^YWJj/YWJ$n/r } 2 .. 3) ],
)
{
    refused(@$row);
}

{
    my $path = file('secret', 0644, "p1:$secret");
    my (undef, $said) = Apikey::Nginx->check(@known, pepper => $path,
                                             http => '');

    unlike($said, qr/YWJj/, 'what is wrong with a pepper is said without it');
}

# ---- right -------------------------------------------------------------------

for my $row (
    [ 'nothing', '' ],
    [ 'off, without a pepper', inside('apikey off;'), pepper => undef ],
    [ 'no table directory', inside('apikey on;'), table => "$dir/absent" ],
    [ 'no apikey_table', inside('apikey on;'), table => undef ],
    [ 'in each context', 'apikey on; apikey_source bearer header=X-Key;'
      . 'apikey_realm r; apikey_stale deny;' . inside(
        'apikey off; apikey_realm r; apikey_stale deny;'
        . 'limit_except GET { apikey on; }') ],
    [ 'a group that may read the pepper', '',
      pepper => file('group-read', 0640, "p1:$secret") ],
    [ 'two peppers', '', pepper => file('two', 0600, '# a comment', '',
      "p2:$secret", 'p1:' . $secret =~ s/^YWJj/YWJk/r) ],
    [ 'eight sources',
      'apikey_source ' . join(' ', map { "header=X-$_" } 1 .. 8) . ';' ],
)
{
    my ($name, $http, %opt) = @$row;
    my ($exit, $said) = Apikey::Nginx->check(@known, %opt, http => $http);

    is($exit, 0, "accepted: $name") or diag $said;
}

# ---- paths -------------------------------------------------------------------

{
    my ($exit, $said) = Apikey::Nginx->check(
        table => 'table', pepper => 'none', http => '');

    like($said, qr{"apikey_pepper": .*/apikey-\w+/none},
         'a relative pepper is beside nginx.conf');
}

# ---- inheritance -------------------------------------------------------------

my $nginx = Apikey::Nginx->start(@known, http => <<'END');

    apikey on;
    apikey_realm http;
    apikey_source header=X-Http;

    server {
        listen %%PORT%%;
        server_name inherits;
        location / { try_files /none =204; }
        location /off/ { apikey off; try_files /none =204; }
        location /off/on/ { apikey on; try_files /none =204; }
        location /outer/ {
            apikey_realm outer;
            location /outer/inner/ { try_files /none =204; }
            location /outer/off/ { apikey off; try_files /none =204; }
        }
        location /except/ {
            apikey off;
            limit_except GET { apikey on; apikey_realm writers; }
            try_files /none =204;
        }
        location /read-only/ {
            limit_except POST { apikey off; }
            try_files /none =204;
        }
    }

    server {
        listen %%PORT%%;
        server_name own;
        apikey off;
        apikey_realm own;
        apikey_source bearer;
        location / { try_files /none =204; }
        location /on/ { apikey on; try_files /none =204; }
        location ~ /regex { apikey on; apikey_realm regex;
                            try_files /none =204; }
        location = /exact { apikey on; apikey_realm exact;
                            try_files /none =204; }
    }
END

for my $row (
    # host, method, path, the realm of the refusal (undef: none)
    [ 'inherits', GET => '/', 'http' ],
    [ 'inherits', GET => '/off/', undef ],
    [ 'inherits', GET => '/off/on/', 'http' ],
    [ 'inherits', GET => '/outer/', 'outer' ],
    [ 'inherits', GET => '/outer/inner/', 'outer' ],
    [ 'inherits', GET => '/outer/off/', undef ],
    [ 'inherits', GET => '/except/', undef ],
    [ 'inherits', HEAD => '/except/', undef ],
    [ 'inherits', POST => '/except/', 'writers' ],
    [ 'inherits', DELETE => '/except/', 'writers' ],
    [ 'inherits', POST => '/read-only/', 'http' ],
    [ 'own', GET => '/', undef ],
    [ 'own', GET => '/on/', 'own' ],
    [ 'own', GET => '/x/regex', 'regex' ],
    [ 'own', GET => '/exact', 'exact' ],
    [ 'own', GET => '/%65xact', 'exact' ],
    [ 'own', GET => '//on/', 'own' ],
    [ 'own', GET => '/x/../on/', 'own' ],
)
{
    my ($host, $method, $path, $realm) = @$row;

    my $r = $nginx->request($method, $path, Host => $host);

    is($r->status . ' ' . ($r->header('WWW-Authenticate') // ''),
       defined $realm ? "401 Bearer realm=\"$realm\"" : '204 ',
       "$host: $method $path");
}

is($nginx->get('/', Host => 'inherits', 'X-Http' => $key)->status, 204,
   'the source of http');
is($nginx->get('/', Host => 'inherits', Authorization => "Bearer $key")
       ->status, 401, 'and no other');
is($nginx->get('/on/', Host => 'own', Authorization => "Bearer $key")->status,
   204, 'the source of a server');
is($nginx->get('/on/', Host => 'own', 'X-Http' => $key)->status, 401,
   'and no other');

# the guard alone is inherited into limit_except, nginx's try_files is not
is($nginx->get('/read-only/', Host => 'inherits')->status, 404,
   'limit_except: off within, on without');
is($nginx->request('POST', '/except/', Host => 'inherits', 'X-Http' => $key)
       ->status, 404, 'limit_except: on within, let pass');

# ---- reload ------------------------------------------------------------------

{
    my $good = $nginx->{http};

    $nginx->{expect_log} = qr/"apikey" directive/;
    $nginx->write_conf('apikey maybe;');
    $nginx->process->signal('HUP');
    $nginx->wait_log(qr/invalid value "maybe"/);
    is($nginx->get('/', Host => 'inherits', 'X-Http' => $key)->status, 204,
       'a bad configuration changes nothing');

    $nginx->reload(http => $good =~ s/realm http/realm again/r);
    is($nginx->get('/', Host => 'inherits')->header('WWW-Authenticate'),
       'Bearer realm="again"', 'a good one does');
}

$nginx->stop;

done_testing;
