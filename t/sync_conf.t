# apikey-sync's command line, configuration file, signals and exit codes.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;

my $dir     = Apikey::Process::tempdir();
my $program = Apikey::Process::build_dir() . '/bin/apikey-sync';

sub write_file {
    my ($name, $text, $mode) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$fh} $text;
    close $fh;
    chmod $mode // 0640, "$dir/$name";

    return "$dir/$name";
}

# (exit code, stdout and stderr)
sub run {
    my (@args) = @_;

    my $pid = open my $out, '-|';

    defined $pid or die "fork: $!";

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        alarm 20;    # it is a daemon: if it likes its arguments it stays
        exec $program, @args or die "$program: $!";
    }

    my $text = do { local $/; readline $out } // '';

    close $out;

    return ($? >> 8, $text);
}

my $secret = write_file('secret', "pa:ss\n");
my $open   = write_file('open', "pa:ss\n", 0644);
my $empty  = write_file('empty', "\n");
my $good   = write_file('good', <<'END');
# the edge in rack 7

store = redis://127.0.0.1:6379/2
edge  = rack7.example:1
  table=/tmp
log-level = debug
END

my @rows = (
    # name, arguments, exit code, output
    ['--help', ['--help'], 0, qr/Usage: apikey-sync.*--store URL.*--check/s],
    ['-h', ['-h'], 0, qr/Exit status/],
    ['--version', ['--version'], 0, qr/^apikey-sync \d+\.\d+\.\d+$/],
    ['-V', ['-V'], 0, qr/^apikey-sync \d/],
    ['-t', ['-t', '--store', 'redis://h'], 0, qr/the configuration is good/],
    ['--check', ['--check', '--store=redis://h'], 0, qr/is good/],
    ['a file', ['-t', '--config', $good], 0, qr/is good/],
    ['the command line wins', ['-t', '--config', $good, '--edge', 'a b'], 2,
     qr/edge must be 1 to 64/],
    ['no store', ['-t'], 2, qr/store is missing/],
    ['an unknown option', ['--stor', 'x'], 2, qr/unknown option --stor\b/],
    ['an unknown option with a value', ['--x=y'], 2, qr/unknown option --x:/],
    ['no option', ['store'], 2, qr/'store' is no option/],
    ['no value', ['--store'], 2, qr/--store needs a value \(URL\)/],
    ['twice', ['--edge', 'a', '--edge', 'b'], 2, qr/--edge is there twice/],
    ['a bad URL', ['--store', 'h:6379'], 2, qr/store: .*must begin with/],
    ['a bad URL tells no password', ['--store', 'redis://u:pw@h:x'], 2,
     qr/^(?!.*pw).*port/],
    ['TLS', ['--store', 'rediss://h'], 2,
     qr/store: rediss:\/\/ \(TLS\) (?:needs hiredis 1\.0|is not built)/],
    ['Sentinel', ['--store', 'sentinel://h'], 2, qr/must begin with/],
    ['a bad store name', ['--store', 'redis://h', '--store-name', 'x'], 2,
     qr/store-name must be/],
    ['a bad edge', ['--store', 'redis://h', '--edge', 'x' x 65], 2,
     qr/edge must be/],
    ['an empty edge', ['--store', 'redis://h', '--edge='], 2, qr/edge must be/],
    ['a bad level', ['--store', 'redis://h', '--log-level', 'all'], 2,
     qr/log-level must be/],
    ['a long table', ['--store', 'redis://h', '--table', 'x' x 1001], 2,
     qr/table must be/],
    ['a state directory', ['-t', '--store', 'redis://h', '--state', '/tmp'], 0,
     qr/is good/],
    ['an empty state', ['--store', 'redis://h', '--state='], 2,
     qr/state must be a path/],
    ['a user and a password', ['-t', '--store', 'redis://h', '--user', 'u',
     '--password-file', $secret], 0, qr/is good/],
    ['a user alone', ['--store', 'redis://h', '--user', 'u'], 2,
     qr/user without a password/],
    ['two users', ['--store', 'redis://v@h', '--user', 'u'], 2,
     qr/the URL names a user too/],
    ['two passwords', ['--store', 'redis://:p@h', '--password-file', $secret],
     2, qr/the URL holds a password too/],
    ['an open password file', ['--store', 'redis://h', '--password-file',
     $open], 2, qr/password-file: .*\Q$open\E/],
    ['an empty password file', ['--store', 'redis://h', '--password-file',
     $empty], 2, qr/password-file: .*\Q$empty\E/],
    ['no password file', ['--store', 'redis://h', '--password-file',
     "$dir/none"], 2, qr/password-file: .*none.*No such file/],
    ['a canary', ['-t', '--store', 'redis://h', '--canary', 'key_' . 'a' x 20,
     '--canary-interval', '5m', '--canary-user', 'u', '--canary-password-file',
     $secret], 0, qr/is good/],
    ['a canary that is no id', ['-t', '--store', 'redis://h', '--canary',
     'mm_' . 'a' x 38], 2, qr/canary must be a key's id.*not the key itself/],
    ['a canary whose id is too long', ['-t', '--store', 'redis://h', '--canary',
     'key_' . 'a' x 21], 2, qr/canary must be a key's id/],
    ['an interval and no canary', ['-t', '--store', 'redis://h',
     '--canary-interval', '5m'], 2, qr/canary is missing/],
    (map { ["a canary-interval of $_", ['-t', '--store', 'redis://h',
     '--canary', 'key_' . 'a' x 20, '--canary-interval', $_], 2,
     qr/canary-interval must be 1s to 24h/] } '', '10', '999ms', '25h', '1 s',
     '-1s', '99999999999s'),
    ['a canary-user alone', ['-t', '--store', 'redis://h', '--canary',
     'key_' . 'a' x 20, '--canary-user', 'u'], 2, qr/need each other/],
    ['no canary-password-file', ['-t', '--store', 'redis://h', '--canary',
     'key_' . 'a' x 20, '--canary-user', 'u', '--canary-password-file',
     "$dir/none"], 2, qr/canary-password-file: .*none.*No such file/],
    ['no file', ['--config', "$dir/none"], 2, qr/none: No such file/],
    ['a directory', ['--config', $dir], 2, qr/cannot read/],
);

my @files = (
    ['an unknown name', "store = redis://h\nstor = x\n",
     qr/:2: unknown name 'stor'/],
    ['a file in a file', "config = x\n", qr/:1: unknown name 'config'/],
    ['no line', "\n\nhello\n", qr/:3: this is no `name = value` line/],
    ['a name twice', "edge = a\n\nedge = b\n",
     qr/:3: 'edge' was given in line 1/],
    ['a long line', 'edge = ' . ('x' x 3000) . "\n", qr/:1: the line is too/],
    ['a zero byte', "\0\n", qr/:1: the line is too long, or holds a zero/],
    ['a bad value', "store = redis://h\nlog-level = x\n",
     qr/log-level must be/],
);

for (@files) {
    my ($name, $text, $want) = @$_;
    my $file = write_file("file" . scalar @rows, $text);

    push @rows, ["file: $name", ['-t', '--config', $file], 2, $want];
}

for (@rows) {
    my ($name, $args, $want_exit, $want) = @$_;
    my ($exit, $text) = run(@$args);

    ok $exit == $want_exit && $text =~ $want, $name
        or diag "exit $exit: $text";
}

# ---- the table's directory -----------------------------------------------------

my $r = Apikey::Redis->start;

$r->load_library->init(lease => 1000);

my $k = $r->create(digest => sha256_hex('k'));

mkdir "$dir/loose", 0777 or die $!;
chmod 0777, "$dir/loose";
mkdir "$dir/foreign" or die $!;
write_file('foreign/notes.txt', "mine\n");

for (['none', qr/No such file/], ['secret', qr/Not a directory/],
     ['loose', qr/writ/], ['foreign', qr/./])
{
    my ($table, $want) = @$_;
    my ($exit, $text) = run('--store', $r->url, '--table', "$dir/$table");

    is $exit, 1, "table $table: exit 1";
    like $text, qr/level=error msg="the table cannot be used" table=\S+$table error=.*$want/,
        "table $table: told";
}

# ---- a daemon, by a file -------------------------------------------------------

sub conf {
    my ($url, $more) = @_;

    return write_file('conf', "store = $url\nedge = e1\n" . ($more // ''));
}

my $d = Apikey::Daemon->start(config => conf($r->url));

$d->wait_ready;
is $d->status($k->{digest}), 'enabled', 'a daemon by a file';

my ($exit, $text) = run('--store', $r->url, '--table', $d->table);

is $exit, 1, 'a second daemon: exit 1';
like $text, qr/the table cannot be used.*@{[ $d->pid ]}/,
    'a second daemon: told who has the table';
ok $d->live, 'a second daemon: the first goes on';

# ---- HUP -----------------------------------------------------------------------

sub hup {
    $d->process->signal('HUP');

    return;
}

conf($r->url, "nonsense = 1\n");
hup();
$d->wait_log(qr/the new configuration is refused; the old one goes on" error="\S+conf:3: unknown name 'nonsense'/);
ok $d->live, 'HUP, a bad configuration: the old one goes on';

unlike $d->log, qr/level=debug/, 'no debug lines yet';
conf($r->url, "log-level = debug\n");
hup();
$d->wait_log(qr/configuration read/);
is $d->control->{reconnects}, 0, 'HUP, the same store: no new connection';
$r->ok('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$d->wait_log(qr/level=debug/);
pass 'HUP: another log level';

write_file('conf', 'store = ' . $r->url . "\nedge = e2\n");
hup();
$d->wait_log(qr/change only with a restart.*edge=e1/);
pass 'HUP, another edge: told that this needs a restart';

# another store: its keys, and not the old ones
my $other = Apikey::Redis->start;

$other->load_library->init(epoch => 'f' x 32, lease => 1000);

my $k2 = $other->create(digest => sha256_hex('k2'));

conf($other->url);
hup();
$d->wait_for_status($k2->{digest}, 'enabled');
is $d->status($k->{digest}), 'unknown', 'HUP, another store: its keys';
Apikey::Process::wait_for(sub { $d->live }, 10, 'the lease');

# a store that is not there; then back
conf("unix://$dir/none.sock");
hup();
$d->wait_log(qr/cannot connect to the store.*none\.sock/);
conf($r->url);
hup();
$d->wait_for_status($k->{digest}, 'enabled');
Apikey::Process::wait_for(sub { $d->live }, 10, 'the lease');
pass 'HUP: from a store that is not there back to one that is';

# ---- INT, and systemd ----------------------------------------------------------

$d->process->signal('INT');
ok $d->process->wait(10), 'INT stops it';
is $d->process->exit_code, 0, 'INT: exit 0';

use IO::Socket::UNIX ();
use Socket qw(SOCK_DGRAM);

my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                   Local => "$dir/notify.sock") or die $!;
my $n = Apikey::Daemon->start(redis => $r, edge => 'e3',
                              env => { NOTIFY_SOCKET => "$dir/notify.sock" });

$notify->recv(my $message, 100);
is $message, 'READY=1', 'systemd is told that it is ready';
ok $n->live, 'which is when the table is live';

for (1 .. 3) {
    my $renewed = $n->control->{renewed};

    $n->wait_control('renewed', sub { $_ != $renewed });
}

$n->process->signal('TERM');
$notify->recv($message, 100);
is $message, 'STOPPING=1', 'systemd is told that it stops, and nothing between';
is $n->stop, 0, 'exit 0';

done_testing;
