# The canary: with the rights that docs/store.md gives it, it measures; without
# a key, rights or a store it says so, and the daemon goes on as if there were
# none.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $STORE = $Apikey::Redis::STORE;
my $dir   = Apikey::Process::tempdir();

my $r = Apikey::Redis->start(conf => [
    qw(--appendonly yes --appendfsync always --aclfile), write_file('users.acl', "user default on nopass ~* &* +\@all\n"),
]);

$r->load_library->init(lease => 2000);

my @keys   = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 3;
my $canary = $r->create(digest => sha256_hex('canary'));
my $secret = write_file('secret', "SECRET\n");

for (slurp('docs/store.md') =~ /^ACL SETUSER (apikey-(?:sync|canary) .*)$/mg) {
    $r->ok('ACL', 'SETUSER', split ' ', s/KEY_ID/$canary->{id}/r);
}

$r->ok('ACL', 'SAVE');

sub write_file {
    my ($name, $text) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$fh} $text;
    close $fh or die "$dir/$name: $!";
    chmod 0600, "$dir/$name";

    return "$dir/$name";
}

sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!";
    local $/;

    return scalar readline $fh;
}

sub daemon {
    my ($edge, @args) = @_;

    return Apikey::Daemon->start(
        redis => $r, edge => $edge,
        args  => [ '--user', 'apikey-sync', '--password-file', $secret, '--canary-interval', '2s', @args ],
    )->wait_ready;
}

my @rights = ('--canary-user', 'apikey-canary', '--canary-password-file', $secret);

# A change of another key gets through.
my $toggle = 0;

sub follows {
    my ($d, $what) = @_;

    my $status = ++$toggle % 2 ? 'disabled' : 'enabled';

    $r->set_status($keys[0]{id}, $status);
    $d->wait_for_status($keys[0]{digest}, $status);
    ok $d->live, "$what: the daemon goes on";
    is $d->control->{snapshots}, 1, "$what: and reads nothing again";

    return;
}

# ---- as it should be ---------------------------------------------------------

my $d = daemon('e1', '--canary', $canary->{id}, @rights);

$d->wait_control('canary_count', sub { $_ >= 3 });

my $c = $d->control;

cmp_ok $c->{canary_p50}, '>', 0, 'microseconds, not nothing';
ok $c->{canary_p50} <= $c->{canary_p99} && $c->{canary_p99} <= $c->{canary_max}, 'p50, p99 and max in order'
    or diag "$c->{canary_p50} $c->{canary_p99} $c->{canary_max}";
cmp_ok $c->{canary_max}, '<', 2_000_000, 'and no more than can be';
is $c->{cause_canary}, 0, 'no failure';
like $d->log, qr/level=info msg="the canary is refused in time" samples=1 p50_us=\d+ p99_us=\d+ max_us=\d+$/m,
    'the first is told';
is scalar(() = $d->log =~ /the canary is refused/g), 1, 'and not each';

my %by = map { /"actor":"([^"]*)".*"status":"([^"]*)"/ ? ("$1 $2" => 1) : () }
    map { $_->[1][3] } @{ $r->ok('XRANGE', "$STORE:log", '-', '+') };

ok $by{'canary:e1 disabled'} && $by{'canary:e1 enabled'}, 'the audit trail names the canary and its edge';
follows($d, 'with a canary');

# ---- somebody else disables it -----------------------------------------------

for (1 .. 3) {
    my $count = $d->control->{canary_count};

    $r->set_status($canary->{id}, 'disabled');
    $d->wait_control('canary_count', sub { $_ > $count + 1 });
}

pass 'a canary that was disabled by somebody: it is enabled, and measured again';
is $d->control->{cause_canary}, 0, 'which is no failure';

# ---- the store is away -------------------------------------------------------

$r->kill9;
$d->wait_control('cause_canary', sub { $_ > 1 });
$d->wait_log(qr/level=warning msg="the canary was not measured" cause=canary key=$canary->{id} error=/);
pass 'no store: it is counted and told';

my $count = $d->control->{canary_count};

$r->start_again;
$d->wait_control('canary_count', sub { $_ > $count }, 20);
pass 'the store is back: it is measured again';
Apikey::Process::wait_for(sub { $d->live }, 10, 'the lease');
follows($d, 'the store is back');

# ---- the key is revoked ------------------------------------------------------

my $failed = $d->control->{cause_canary};

$r->set_status($canary->{id}, 'revoked');
$d->wait_log(qr/cause=canary key=$canary->{id} error="REVOKED .*advice=/);
$d->wait_control('cause_canary', sub { $_ > $failed + 1 });
pass 'a revoked canary: it is told, counted and tried again';
follows($d, 'a revoked canary');
is $d->stop, 0, 'exit 0';

# ---- what it may not, or can't -----------------------------------------------

for (
    [ 'without rights',   $keys[1]{id}, [],      qr/error="?NOPERM/ ],
    [ 'another key than the user may change', $keys[2]{id}, \@rights, qr/error="?NOPERM/ ],
    [ 'an unknown key',   'key_' . 'x' x 20, [ '--canary-user', 'default', '--canary-password-file', $secret ],
      qr/error="?NOKEY/ ],
    [ 'a wrong password', $keys[1]{id}, [ '--canary-user', 'apikey-canary', '--canary-password-file',
                                          write_file('wrong', "wrong\n") ], qr/error="?WRONGPASS/ ],
) {
    my ($what, $key, $args, $told) = @$_;

    $d = daemon('e2', '--canary', $key, @$args);
    $d->wait_log(qr/cause=canary key=$key .*/);
    like $d->log, qr/cause=canary key=$key $told/, "$what: told";
    $d->wait_control('cause_canary', sub { $_ > 1 });
    pass "$what: tried again";
    follows($d, $what);
    is $d->control->{canary_count}, 0, "$what: nothing is measured";
    is $d->stop, 0, 'exit 0';
}

done_testing;
