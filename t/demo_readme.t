#!/usr/bin/perl

# README.md does what it says: its nginx.conf guards, and its commands, run in
# their order, end as its reader expects.  Files, addresses and the accounts
# are this test's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Daemon;
use Apikey::Nginx;
use Apikey::Process;
use Apikey::Redis;
use Test::More;

my $readme = slurp(Apikey::Process::root_dir() . '/README.md');

my ($conf) = $readme =~ /^```nginx\n(.*?)^```/ms or BAIL_OUT('no nginx.conf');
my %commands = map { (split ' ', $_)[1] => $_ }
    $readme =~ /^(?:key=\$\()?(apikeyctl [^\n#]+?)\)?(?: +#.*)?$/mg;

like($conf, qr/^apikey_table  \/run\/apikey;\napikey_pepper \/etc\/apikey\/pepper;$/m, 'it names the files');
like($readme, qr{--store redis://127.0.0.1:6379 --table /run/apikey --state /var/lib/apikey$}m, 'and the daemon the same');

my $dir   = Apikey::Process::tempdir();
my $redis = Apikey::Redis->start;
my $key   = '';
my $id    = '';

run('init');

my $daemon = Apikey::Daemon->start(redis => $redis, table => "$dir/table");

# what the test's nginx says itself, and where it listens
$conf =~ s/^apikey_(?:table|pepper).*\n//mg;
$conf =~ s/listen 8080;/listen %%PORT%%;/ or fail('the port');
$conf =~ s/127\.0\.0\.1:3000/%%PORT_1%%/ or fail('the upstream');

my $nginx = Apikey::Nginx->start(table => "$dir/table", pepper => "$dir/pepper", http => <<"CONF");
$conf
server {
    listen %%PORT_1%%;
    return 200 "\$http_x_apikey_id|\$http_x_apikey_member|\$http_x_apikey_tenant|\$http_authorization\$http_x_api_key";
}
CONF

run('member');
chomp($key = run('create'));
($id) = run('list') =~ /\b(key_\w{20})\b/;
ok($id, 'the list has its id');

$daemon->wait_ready;
Apikey::Process::wait_for(sub { get()->status == 200 }, 10, 'the key to be good');

is(get()->body, "$id|ada|acme|", 'the upstream is told who calls, and not the key');
is(get('X-Apikey-Member' => 'root')->body, "$id|ada|acme|", 'whatever the client says');
is($nginx->get('/v1/')->status, 401, 'no key: 401');

for my $row ([ disable => 401 ], [ enable => 200 ], [ revoke => 401 ]) {
    my ($verb, $status) = @$row;

    run($verb);
    ok(Apikey::Process::poll(sub { get()->status == $status }, 10), "$verb: $status");
}

like(run('status'), qr/^Edges +1$/m, 'status shows the edge');

$nginx->stop;
done_testing();

# Runs the README's line of this verb.
sub run {
    my ($verb) = @_;

    my $line = $commands{$verb} or BAIL_OUT("README.md has no apikeyctl $verb");

    $line =~ s/^apikeyctl/"\$APIKEYCTL"/;
    $line =~ s/KEY_ID/$id/;

    local @ENV{qw(APIKEYCTL APIKEY_REDIS APIKEY_PEPPER)} =
        (Apikey::Ctl::program(), $redis->url, "$dir/pepper");
    mkdir "$dir/table";

    my $out = `$line 2>&1 < /dev/null`;

    is($? >> 8, 0, $commands{$verb}) or diag($out);

    return $out;
}

sub get { return $nginx->get('/v1/', 'Authorization' => "Bearer $key", @_) }

sub slurp {
    my ($path) = @_;

    open my $file, '<', $path or die "$path: $!";
    local $/;

    return readline $file;
}
