# The table comes, goes, breaks and changes under a running nginx: never an
# allow that should be a deny, never a crash, and no restart to heal.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use File::Copy qw(copy);
use File::Path qw(remove_tree);

use Apikey::Nginx ();
use Apikey::Process ();
use Apikey::Table ();

my $home  = Apikey::Process::tempdir();
my $dir   = "$home/table";
my $table = Apikey::Table->start(dir => "$home/elsewhere");

my $nginx = Apikey::Nginx->start(workers => 2, table => $dir,
                                 pepper => $table->pepper, http => <<'END');

    server {
        listen %%PORT%%;
        apikey on;
        location / { try_files /none =204; }
        location /open/ { apikey off; try_files /none =204; }
        location = /sorry { internal; apikey off; return 200 "sorry"; }
        location /page/ { error_page 503 /sorry; try_files /none =204; }
    }
END

my ($key, $revoked, $disabled);
my $unknown = { text => 'mm_nobody' . 'x' x 32 };

# The answer to a key, the same from whichever worker it comes.
sub answer {
    my ($key) = @_;

    my %answer;

    for (1 .. 12) {
        my $r = $nginx->get('/', 'X-API-Key' => $key->{text});

        $answer{ $r->status . ($r->code && ' ') . $r->code }++;
    }

    return join ', ', sort keys %answer;
}

# Every worker attaches on its own, and tries at most every 100 ms.
sub becomes {
    my ($key, $expect, $name) = @_;

    my $last;
    my $ok = Apikey::Process::poll(
        sub { ($last = answer($key)) eq $expect }, 5);

    ok($ok, "$name: $expect") or diag "it stays: $last";

    return;
}

sub all_become {
    my ($name) = @_;

    becomes($key, '204', $name);
    becomes($disabled, '401 disabled', $name);
    becomes($revoked, '401 revoked', $name);
    becomes($unknown, '401 unknown', $name);

    return;
}

sub keys_into {
    ($table) = @_;

    $key      = $table->key;
    $disabled = $table->key(status => 'disabled');
    $revoked  = $table->key(status => 'revoked');

    return;
}

# ---- none yet ------------------------------------------------------------------

keys_into($table);

is(answer($key), '503 unavailable', 'no directory');
is(answer($unknown), '503 unavailable', 'no directory: an unknown key');
is($nginx->get('/open/')->status, 204, 'no directory: other locations');
is($nginx->get('/')->code, 'missing', 'no directory: no key');
is($nginx->get('/', 'X-API-Key' => 'x')->code, 'malformed',
   'no directory: a malformed key');
is($nginx->get('/', 'X-API-Key' => $key->{text})->header('Retry-After'), 1,
   'no directory: Retry-After');

$nginx->wait_log(qr/\[error\].*apikey: table "\Q$dir\E" cannot be used: /);

mkdir $dir, 0755 or die $!;
is(answer($key), '503 unavailable', 'an empty directory');

{
    my $bare = Apikey::Table->start(dir => $dir, bare => 1,
                                    pepper => $table->pepper);

    is(answer($key), '503 unavailable', 'a control page, no generation');
    $bare->fresh->renew(0);
    keys_into($bare);
    becomes($key, '503 stale', 'a generation, no lease');
    becomes($revoked, '401 revoked', 'no lease: revoked is for ever');
    becomes($disabled, '503 stale', 'no lease: disabled');
    becomes($unknown, '503 stale', 'no lease: unknown');
    $table->renew(3_600_000);
    all_become('the table is there');
}

# ---- changes ---------------------------------------------------------------------

for my $status (qw(disabled enabled disabled enabled)) {
    $table->set($key, status => $status);
    is(answer($key), $status eq 'enabled' ? '204' : '401 disabled',
       "$status, at once, in every worker");
}

{
    my $soon = $table->key(expires => time + 2);

    is(answer($soon), '204', 'not yet expired');
    becomes($soon, '401 expired', 'then expired');
    $table->set($soon, expires => 0);
    is(answer($soon), '204', 'the expiry taken back');
}

# ---- new generations ---------------------------------------------------------------

{
    my @more = map { $table->key } 1 .. 50;

    $table->command('grow');
    $table->set($more[0], status => 'revoked');
    is(answer($more[0]), '401 revoked', 'revoked while a growth is built');
    $table->command('publish');

    all_become('grown');
    is(answer($more[0]), '401 revoked', 'grown: still revoked');
    is(answer($more[1]), '204', 'grown: another');
}

for my $round (1 .. 20) {
    $table->command('grow');
    $table->command('publish');
    is(answer($key), '204', "grown again, $round: not one request is lost");
}

# ---- the lease -----------------------------------------------------------------------

$table->renew(300);
is(answer($key), '204', 'a short lease');
becomes($key, '503 stale', 'it runs out');
is($nginx->get('/page/', 'X-API-Key' => $key->{text})->header('Retry-After'),
   1, 'stale: Retry-After on an error page too');
is(answer($revoked), '401 revoked', 'stale: revoked');
$nginx->wait_log(qr/\[error\].*apikey: the lease of table "\Q$dir\E" ran out/);
$table->renew(3_600_000);
is(answer($key), '204', 'renewed: healed at once');

{
    my $complaints = () = $nginx->error_log =~ /\[error\].*apikey: the lease/g;
    my $stale = () = $nginx->error_log =~ /\[info\].*apikey: stale/g;

    cmp_ok($complaints, '<', $stale, 'it is not said for each request');
}

# ---- processes ---------------------------------------------------------------------

{
    my ($victim) = $nginx->workers;

    kill 'KILL', $victim;
    Apikey::Process::wait_for(
        sub { 2 == grep { $_ != $victim } $nginx->workers }, 5,
        'another worker');
    $nginx->{expect_log} = qr/exited on signal 9/;
    all_become('a worker killed');
}

$nginx->reload;
all_become('reloaded');

$table->renew(0);
$nginx->reload;
is(answer($key), '503 stale', 'reloaded, stale');
is(answer($revoked), '401 revoked', 'reloaded, stale: revoked');
$table->renew(3_600_000);
all_become('reloaded, renewed');

# the writer stops, and another takes over

$table->stop;
is(answer($key), '204', 'no writer: good until the lease ends');
$table->writer;
is(answer($revoked), '401 revoked', 'another writer');

# ---- gone, and back -------------------------------------------------------------------

rename $dir, "$dir.gone" or die $!;
is(answer($key), '204', 'the directory is moved away: good, it is mapped');
rename "$dir.gone", $dir or die $!;

$table->stop;
remove_tree($dir);
mkdir $dir, 0755 or die $!;
$table->{version} = 0;
$table->writer->fresh;
keys_into($table);

# the workers had the old one mapped, with its lease of an hour: that is why a
# daemon must not acknowledge before such a lease has run out
$nginx->reload;
all_become('removed, made again, reloaded');

# a lease that ends, as those of a daemon do, is when workers look for another

$table->renew(200);
becomes($key, '503 stale', 'the old table, after its lease');
$table->stop;
remove_tree($dir);
becomes($key, '503 unavailable', 'removed after its lease');
mkdir $dir, 0755 or die $!;
$table->{version} = 0;
$table->writer->fresh;
keys_into($table);
all_become('made again: found without a reload');

# ---- damage --------------------------------------------------------------------------

# What is done to a file while no writer runs; nginx is reloaded so that it
# must attach anew.
sub damaged {
    my ($name, $file, $damage, $expect) = @_;

    my $path = $file eq 'control' ? "$dir/control" : (glob "$dir/keys.*")[0];

    $table->stop;
    copy($path, "$home/saved") or die $!;
    link $path, "$home/original" or die $!;
    $damage->($path);
    $nginx->reload;

    like(answer($key), $expect, "$name: a good key");
    unlike(answer($disabled), qr/204/, "$name: a disabled key");
    unlike(answer($revoked), qr/204/, "$name: a revoked key");
    unlike(answer($unknown), qr/204/, "$name: an unknown key");

    # the file itself, with what was in it: a copy would be refused
    unlink $path;
    overwrite("$home/original", 0, content("$home/saved"));
    truncate "$home/original", -s "$home/saved" or die $!;
    chmod 0640, "$home/original";
    rename "$home/original", $path or die $!;

    Apikey::Process::wait_for(
        sub { answer($key) eq '204' || do { $nginx->reload; 0 } }, 10,
        "the table to be good again after: $name");

    return;
}

sub copied {
    my ($path) = @_;

    copy($path, "$home/copy") or die $!;
    chmod 0640, "$home/copy";
    rename "$home/copy", $path or die $!;

    return;
}

sub content {
    my ($path) = @_;

    open my $file, '<:raw', $path or die "$path: $!";
    local $/;

    return scalar readline $file;
}

sub overwrite {
    my ($path, $offset, $bytes) = @_;

    open my $file, '+<:raw', $path or die "$path: $!";
    sysseek $file, $offset, 0;
    syswrite $file, $bytes;
    close $file;

    return;
}

my $closed = qr/^503 unavailable$/;

damaged('control truncated to nothing', 'control',
        sub { truncate $_[0], 0 }, $closed);
damaged('control truncated', 'control', sub { truncate $_[0], 100 }, $closed);
damaged('control zeroed', 'control',
        sub { overwrite($_[0], 0, "\0" x 4096) }, $closed);
damaged('control of another kind', 'control',
        sub { overwrite($_[0], 0, 'GIF89a..') }, $closed);
damaged('control of another layout', 'control',
        sub { overwrite($_[0], 16, pack 'V', 99) }, $closed);
damaged('control of another boot', 'control',
        sub { overwrite($_[0], 24, "\1" x 16) }, $closed);
damaged('control: a deadline that is not sealed', 'control',
        sub { overwrite($_[0], 64, "\xff" x 8) }, $closed);
damaged('control: a deadline of zeros', 'control',
        sub { overwrite($_[0], 64, "\0" x 8) }, qr/^503 /);
damaged('control: a generation that is not there', 'control',
        sub { overwrite($_[0], 72, "\1\0\0\0\0\0\0\0") }, $closed);
damaged('control: a copy of itself', 'control', \&copied, $closed);
damaged('control writable by anybody', 'control',
        sub { chmod 0666, $_[0] }, $closed);

damaged('generation: a copy of itself', 'keys', \&copied, $closed);
damaged('generation truncated to nothing', 'keys',
        sub { truncate $_[0], 0 }, $closed);
damaged('generation truncated', 'keys',
        sub { truncate $_[0], 8192 }, $closed);
damaged('generation, head zeroed', 'keys',
        sub { overwrite($_[0], 0, "\0" x 4096) }, $closed);
damaged('generation of another layout', 'keys',
        sub { overwrite($_[0], 16, pack 'V', 99) }, $closed);
damaged('generation of random bytes', 'keys',
        sub { overwrite($_[0], 0, join '', map { chr int rand 256 }
                                           1 .. 65536) }, $closed);
damaged('generation, slots zeroed', 'keys',
        sub { overwrite($_[0], 4096, "\0" x ((-s $_[0]) - 4096)) },
        qr/^(?:401 unknown|503 unavailable)$/);

for my $place (1 .. 12) {
    damaged("generation, a random word, $place", 'keys', sub {
        overwrite($_[0], 8 * int rand((-s $_[0]) / 8),
                  join '', map { chr int rand 256 } 1 .. 8);
    }, qr/^(?:204|401 unknown|503 unavailable)$/);
}

is($nginx->get('/open/')->status, 204, 'other locations, all the while');

$nginx->stop;
$table->stop;

# ---- permission -----------------------------------------------------------------------

SKIP: {
    skip 'other users take root', 4 if $> != 0;

    my $group = getgrnam 'nogroup' or skip 'no group nogroup', 4;

    keys_into(Apikey::Table->start);
    $nginx = Apikey::Nginx->start(table => $table, workers => 2,
                                  user => 'nobody nogroup', http => <<'END');
        server {
            listen %%PORT%%;
            apikey on;
            location / { try_files /none =204; }
        }
END

    is(answer($key), '503 unavailable', 'workers that may not read the table');
    like($nginx->error_log, qr/\[error\].*cannot be used: .*permission/i,
         '... say so');
    chown 0, $group, glob $table->dir . '/{control,keys.*}';
    becomes($key, '204', 'workers that may, by their group');

    $nginx->stop;
}

# ---- the peppers of the ring and of the store ---------------------------------------

{
    my $ring  = $table->pepper_file("$home/ring", 'p2', 'p1');
    my $only2 = $table->pepper_file("$home/only2", 'p2');
    my $store = Apikey::Table->start;
    my $old   = $store->key;

    for my $row ([ 'both peppers', $ring, '204', '401 unknown' ],
                 [ 'the right one', $store->pepper, '204', '401 unknown' ],
                 [ 'another one', $only2, '503 unavailable',
                   '503 unavailable' ])
    {
        my ($name, $pepper, $good, $bad) = @$row;

        $nginx = Apikey::Nginx->start(table => $store->dir, http => <<'END',
            server {
                listen %%PORT%%;
                apikey on;
                location / { try_files /none =204; }
            }
END
                                      pepper => $pepper);

        is(answer($old), $good, "ring with $name: a key of the store");
        is(answer($unknown), $bad, "ring with $name: an unknown key");
        $nginx->stop;
    }
}

done_testing;
