#!/usr/bin/perl

# No key text but where it belongs: once, on stdout.  Not in a command line,
# an environment, a message to Redis, an error or a core dump; and a key that
# nobody could see is no success.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Cut;
use Apikey::Process;
use Apikey::Redis;
use Test::More;

my $redis = Apikey::Redis->start;
my $ctl   = Apikey::Ctl->new(url => $redis->url);
my ($exit, $out, $err);

$ctl->ok('init');
$ctl->key;

# ---- what Redis gets to see -------------------------------------------------

my $text    = 'imported-secret-0123456789';
my $monitor = $redis->connect;

$monitor->ok('MONITOR');

my $made = $ctl->key(name => 'made')->{text};

$ctl->ok('create', '--member=ada', '--name=imported', '--stdin', { stdin => $text });
$redis->ok('ECHO', 'that is all');

my $seen = '';

while (defined(my $line = $monitor->read_reply(5))) {
    $seen .= "$line\n";
    last if $line =~ /that is all/;
}

like($seen, qr/apikey_create/, 'Redis saw the commands');
like($seen, qr/"digest" "[0-9a-f]{64}"/, 'with digests');
unlike($seen, qr/\Q$made\E|\Q$text\E/, 'and no key text');
unlike($seen, qr/@{[ substr $made, 3, 20 ]}/, 'nor the better part of one');

# ---- what other processes get to see ----------------------------------------

# It hangs after the key was read and digested.
my $cut = Apikey::Cut->start(redis => $redis, at => 'apikey_create', how => 'hang');
my $dir = Apikey::Process::tempdir();

Apikey::Ctl::write_file("$dir/in", "another-$text\n");
open my $stdin, '<', "$dir/in" or die $!;

my $process = Apikey::Process->start(
    cmd   => [ $ctl->program, 'create', '--member=ada', '--name=hangs', '--stdin' ],
    env   => $ctl->env({ APIKEY_REDIS => $cut->url }),
    stdin => $stdin,
    log   => "$dir/log",
);

Apikey::Process::wait_for(sub { $redis->meta->{enabled} == 4 }, 5, 'the key to be created');

my $proc = '/proc/' . $process->pid;

unlike(Apikey::Ctl::read_file("$proc/$_"), qr/\Q$text\E/, "$_ of the process has no key text") for qw(cmdline environ);
like(Apikey::Ctl::read_file("$proc/limits"), qr/^Max core file size +0 +0 /m, 'it leaves no core dump');

$process->stop;
$cut->stop;
unlike(Apikey::Ctl::read_file("$dir/log"), qr/secret/, 'nor is it in its errors');

# As another user, with what belongs to him: the kernel lets him not attach,
# for it is not dumpable.
SKIP: {
    skip 'not root', 1 if $> != 0;
    skip 'no setpriv, or the build is for root alone', 1
        if system('setpriv --reuid=65534 --regid=65534 --clear-groups test -x ' . $ctl->program . ' 2>/dev/null') != 0;

    my $fifo = "$dir/fifo";

    POSIX::mkfifo($fifo, 0666) or die $!;
    chmod 0666, $fifo;
    chmod 0777, $dir;

    my $own = Apikey::Process->start(
        cmd => [ 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c',
                 'exec "$0" create --member=ada --name=x --stdin <"$1"', $ctl->program, $fifo ],
        env => $ctl->env,
        log => "$dir/own",
    );

    open my $write, '>', $fifo or die $!;
    # it has come so far when its files in /proc are root's
    Apikey::Process::wait_for(sub { (readlink("/proc/@{[ $own->pid ]}/exe") // '') =~ /apikeyctl$/
                                    && (stat "/proc/@{[ $own->pid ]}/environ")[4] == 0 }, 5, 'apikeyctl to protect itself');
    system('setpriv --reuid=65534 --regid=65534 --clear-groups cat /proc/' . $own->pid . '/environ >/dev/null 2>&1');
    isnt($?, 0, 'not even its own user may look into it');
    $own->stop;
}

# ---- output that does not get there -----------------------------------------

for my $how ([], ['--quiet'], ['--json']) {
    my $before = $redis->meta->{enabled};

    ($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=unseen', @$how, { stdout => '/dev/full' });

    is($exit, 5, "create @$how >/dev/full");
    is($redis->meta->{enabled}, $before + 1, 'the key exists');
    like($err, qr/the key (key_\w{20}) was created, but its text could not be written \(No space left on device\): nobody has seen it/, 'nobody has seen it');

    my ($id) = $err =~ /(key_\w{20})/;

    like($err, qr/revoke it: apikeyctl revoke $id/, 'what to do');
    unlike($err, qr/mm_/, 'and not its text');
    is($ctl->json('show', $id)->{name}, 'unseen', 'the id is right');
}

sub shell {
    my ($line) = @_;

    my $env = $ctl->env;

    local @ENV{ keys %$env } = values %$env;
    local $ENV{CTL} = $ctl->program;

    my $said = qx($line);

    return ($? >> 8, $said);
}

($exit, $out) = shell('"$CTL" create --member=ada --name=x --quiet 2>&1 >&-');
is($exit, 5, 'create >&-');
like($out, qr/nobody has seen it/, 'is not written to whatever has its number');

($exit, $out) = shell('{ { "$CTL" create --member=ada --name=x --quiet 2>&3; echo $? >&3; } | true; } 3>&1');
like($out, qr/nobody has seen it.*\n5\n\z|\A0\n\z/s, 'create | true: seen, or not') or diag $out;

($exit, $out) = shell('"$CTL" create --member=ada --name=x --stdin <&- 2>&1');
is($exit, 6, 'create --stdin <&-');
like($out, qr/cannot read the key from standard input: Bad file descriptor/, 'says so');

($exit, $out) = shell('"$CTL" create --member=ada --name=x --quiet 2>&-');
is($exit, 0, 'create 2>&-');
like($out, qr/\Amm_\w{38}\n\z/, 'does its work');

for my $words ([ 'list' ], [ 'list', '--json' ], [ 'status' ], [ 'member', 'list' ], [ '--help' ], [ 'disable', $ctl->key->{id} ]) {
    ($exit, $out, $err) = $ctl->run(@$words, { stdout => '/dev/full' });
    is($exit, 5, "@$words >/dev/full");
    like($err, qr/the output could not be written: No space left on device/, 'says so');
}

($exit, $out) = shell('{ { "$CTL" list 2>&3; echo $? >&3; } | true; } 3>&1');
like($out, qr/\A[05]\n\z/, 'list | true: no fuss') or diag $out;

done_testing;
