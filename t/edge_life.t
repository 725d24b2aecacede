# The life of a key, from apikeyctl to the gate, on a whole edge.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Apikey::Edge;

my $e   = Apikey::Edge->start(workers => 2);
my $key = $e->key(name => 'ci', scopes => 'checks:write evals:read');

# ---- created ---------------------------------------------------------------

like $key->{text}, qr/^mm_[0-9A-Za-z]{38}$/, 'a key of ours';
is $e->get($key)->status, 200, 'it is accepted as a bearer token';
is $e->get($key)->body,
    "id=$key->{id} member=ada tenant=ten_1 scopes=checks:write evals:read"
    . ' credential=', 'the upstream is told who calls, and not the key';
is $e->nginx->get('/', 'X-API-Key' => $key->{text})->status, 200,
    'and in X-API-Key';
is $e->nginx->get('/')->code, 'missing', 'without it: missing';
is $e->get({ text => $key->{text} . 'x' })->code, 'unknown',
    'with another: unknown';
is $e->get({ text => substr($key->{text}, 0, -1) . '!' })->code, 'malformed',
    'with what is no key: malformed';

# ---- disabled and enabled, again and again ---------------------------------

for my $round (1 .. 3) {
    $e->ctl->ok('disable', $key->{id}, '--reason', 'leaked?');
    $e->wait_status($key, 401, 'disabled');
    is_deeply $e->answers($key, 20), { '401 disabled' => 20 },
        "round $round: disabled, every worker refuses it";

    $e->ctl->ok('enable', $key->{id});
    $e->wait_status($key, 200);
    is_deeply $e->answers($key, 20), { 200 => 20 },
        "round $round: enabled, every worker accepts it";
}

# ---- revoked ---------------------------------------------------------------

$e->ctl->ok('revoke', '--yes', $key->{id}, '--reason', 'lost');
my $refused = $e->wait_status($key, 401, 'revoked');

is $refused->header('WWW-Authenticate'),
    'Bearer realm="API", error="invalid_token"', 'revoked: the challenge';
is $refused->header('Content-Type'), 'application/problem+json',
    'revoked: a problem document';

for my $verb (qw(enable disable)) {
    my ($exit, $out, $err) = $e->ctl->run($verb, $key->{id});

    isnt $exit, 0, "$verb of a revoked key fails";
    like $err, qr/revoked/, "$verb of a revoked key says why";
}

is_deeply $e->answers($key, 20), { '401 revoked' => 20 },
    'it stays refused by every worker';

# ---- others ----------------------------------------------------------------

my $imported = 'md29dn239fn349u8fnu239fniuo';

is length $imported, 27, 'a key of the old kind has 27 characters';

my ($exit, $id) = $e->ctl->run(qw(create --member=ada --name=legacy --stdin),
                              '--quiet', { stdin => "$imported\n" });
my $old = { id => $id =~ s/\n//r, text => $imported };

is $exit, 0, 'it can be imported';
$e->wait_status($old, 200);
is $e->get($old)->status, 200, 'it is accepted';
is $e->nginx->get('/', 'X-API-Key' => $imported)->status, 200,
    'in X-API-Key too';

my $short = $e->key(name => 'short', expires => '3s');

is $e->get($short)->status, 200, 'a key that expires is accepted';
ok $e->wait_status($short, 401, 'expired', 10),
    'and refused once it has expired';

my $disabled = $e->key(name => 'not yet', disabled => 1);

is $e->get($disabled)->code, 'disabled', 'a key may be created disabled';

# ---- nothing of a key's text at rest ---------------------------------------

my @texts = map { $_->{text} } $key, $old, $short, $disabled;

$e->redis->ok('SAVE');

my $dump = do {
    open my $file, '<:raw', $e->redis->dir . '/dump.rdb' or die $!;
    local $/;
    readline $file;
};
my $table = do {
    local ($/, @ARGV) = (undef, glob $e->table . '/*');
    join '', map { $_ } <>;
};

for my $text (@texts) {
    ok index($dump, $text) < 0, 'no key text in Redis';
    ok index($table, $text) < 0, 'no key text in the table';
    ok index($e->nginx->error_log, $text) < 0, "no key text in nginx's log";
    ok index($e->daemon->log, $text) < 0, "no key text in the daemon's log";
}

$e->stop;

done_testing;
