# apikeyctl table: what it sees of a table, and what it says of one that is not
# there, not filled, or not renewed.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;

use Apikey::Ctl;
use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $r   = Apikey::Redis->start;
my $ctl = Apikey::Ctl->new(url => $r->url);

# (exit code, what the JSON says)
sub look {
    my ($table) = @_;

    my ($exit, $out) = $ctl->run('--json', 'table', $table);

    return ($exit, JSON::PP->new->utf8->decode($out));
}

# ---- what is no table --------------------------------------------------------

my $dir = Apikey::Process::tempdir();

for (
    [ [ "$dir/none" ], 6, qr{the table in $dir/none: there is no table yet} ],
    [ [$dir],          6, qr{there is no table yet} ],
    [ [ 'x' x 2000 ],  2, qr{path is too long} ],
    [ [ $dir, $dir ],  2, qr{a table is one directory} ],
    [ [ $dir, '--store=redis://h' ], 2, qr{--store} ],
) {
    my ($args, $want, $told) = @$_;
    my ($exit, $out, $err) = $ctl->run('table', @$args);

    is $exit, $want, 'table ' . substr "@$args", 0, 60;
    like $err, $told, '... and says why';
    is $out, '', '... and nothing else';
}

# ---- a store that is not there -----------------------------------------------

$r->load_library;

my $d = Apikey::Daemon->start(redis => $r, edge => 'e1');

$d->wait_control('cause_noinit', sub { $_ > 0 });

my ($exit, $seen) = look($d->table);

is $exit, 7, 'no store: exit 7';
is $seen->{table}, 'absent', 'no store: no table';
is $seen->{generation}, undef, 'no store: no generation';
is $seen->{daemon}, 'frozen', 'no store: what the daemon does';
is $seen->{lease_left_ms}, undef, 'no store: no lease';
cmp_ok $seen->{causes}{noinit}, '>', 0, 'no store: and why';

my ($out, $err);

($exit, $out) = $ctl->run('table', $d->table);
like $out, qr/\Aabsent: .*^Lease +none\n.*^cause_noinit +\d+$/ms, 'no store: for people';

# ---- a table -----------------------------------------------------------------

$r->init(lease => 1000);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 6;

$r->set_status($keys[$_]{id}, 'disabled') for 0, 1;
$r->set_status($keys[2]{id}, 'revoked');

my $head = $r->meta->{version};

$d->wait_ready->wait_control('version', sub { $_ == $head });
($exit, $seen) = look($d->table);
is $exit, 0, 'a table: exit 0';
is $seen->{table}, 'live', 'a table: is live';
is $seen->{directory}, $d->table, 'a table: which';
is $seen->{daemon}, 'follow', 'a table: what the daemon does';
is_deeply [ @{ $seen->{generation} }{qw(enabled disabled revoked)} ], [ 3, 2, 1 ], 'a table: the keys by status';
ok $seen->{lease_left_ms} > 0 && $seen->{lease_left_ms} <= 1000, 'a table: what is left of the lease';
is $seen->{figures}{version}, $head, 'a table: a figure';
is $seen->{figures}{pid}, $d->pid, 'a table: whose';
is $seen->{causes}{start}, 1, 'a table: a cause';
is $seen->{canary}, undef, 'a table: no canary';
is_deeply [ grep { !/^[a-z]\w+$/ } map { keys %{ $seen->{$_} } } qw(figures causes) ], [], 'every one has a name';

($exit, $out) = $ctl->run('table', $d->table);
like $out, qr/\Alive: .*^Keys +3 enabled, 2 disabled, 1 revoked\n.*^Lease +1000 ms, left \d+ ms\n.*^cause_start +1$/ms,
    'a table: for people';
unlike $out, qr/Canary|cause_fork/, 'a table: but not what there is none of';
($exit, $out) = $ctl->run('--quiet', 'table', $d->table);
is "$exit $out", '0 ', 'a table: quiet';

# ---- one that is not renewed -------------------------------------------------

is $d->stop, 0, 'exit 0';
Apikey::Process::wait_for(sub { !$d->live }, 10, 'the lease to end');
($exit, $seen) = look($d->table);
is $exit, 7, 'not renewed: exit 7';
is $seen->{table}, 'stale', 'not renewed: stale';
cmp_ok $seen->{lease_left_ms}, '<=', 0, 'not renewed: since when';
($exit, $out) = $ctl->run('table', $d->table);
like $out, qr/\Astale: .*^Daemon +stopped\n.*^Lease +1000 ms, over since \d+ ms$/ms, 'not renewed: for people';

# ---- a canary ----------------------------------------------------------------

$d = Apikey::Daemon->start(redis => $r, edge => 'e1',
                           args => [ '--canary', $keys[3]{id}, '--canary-interval', '1s' ]);
$d->wait_control('canary_count', sub { $_ > 0 });
($exit, $seen) = look($d->table);
is_deeply [ sort keys %{ $seen->{canary} } ], [qw(count failures max_us p50_us p99_us)], 'a canary: its figures';
cmp_ok $seen->{canary}{p50_us}, '>', 0, 'a canary: measured';
($exit, $out) = $ctl->run('table', $d->table);
like $out, qr/^Canary +refused after \d+\.\d+ ms \(p50\), .* \d+ samples, \d+ failures$/m, 'a canary: for people';
is $d->stop, 0, 'exit 0';

done_testing;
