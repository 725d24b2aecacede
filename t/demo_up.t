#!/usr/bin/perl

# make up, make down: one stack however often, an env file that a shell can
# read, and no harm to a process that happens to have a pid of ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use Test::More;

my $root  = Apikey::Process::root_dir();
my $build = Apikey::Process::tempdir();
my $env   = "$build/demo/env";

symlink Apikey::Process::build_dir() . "/$_", "$build/$_" for qw(bin nginx);

END { stack('down') if $build && -d "$build/demo" }

like(stack('down'), qr/^Nothing is running\.\n0$/, 'down where nothing is: content');

my $first = stack('up');

like($first, qr/0$/, 'up') or diag($first);

my $shell = slurp($env);
my $pids  = pids();

for my $name (qw(APIKEY_URL APIKEY_REDIS APIKEY_PEPPER APIKEY_TABLE APIKEYCTL NGINX_CONF)) {
    like(sh("printf %s \"\$$name\""), qr/./, "the env file sets $name");
}

is(sh('$APIKEYCTL list > /dev/null; echo $?'), "0\n", 'apikeyctl needs nothing else');
like(sh('test -f "$NGINX_CONF" -a -d "$APIKEY_TABLE" -a -f "$APIKEY_PEPPER"; echo $?'), qr/^0$/, 'its files are there');
like(sh('key=$($APIKEYCTL create --member ada --name try --quiet);
         for i in $(seq 100); do
             answer=$(curl -s -o /dev/null -w "%{http_code}" -H "X-API-Key: $key" $APIKEY_URL)
             [ $answer != 401 ] && break; sleep 0.05
         done; echo $answer'), qr/^200$/, 'what it says to try works');

like(stack('up'), qr/Running already\..*0$/s, 'up again: the same stack');
is(slurp($env), $shell, 'the same env');
is(pids(), $pids, 'the same processes');

# one process was killed: half a stack is none
kill 'KILL', $pids =~ /sync (\d+)/;
like(stack('up'), qr/Starting.*0$/s, 'up after the daemon was killed');
isnt(pids(), $pids, 'new processes');
is(sh('$APIKEYCTL list > /dev/null; echo $?'), "0\n", 'and it works');

# after a reboot our pids may be those of others
my $other = Apikey::Process->start(cmd => [ 'sleep', 1000 ]);
my $real  = slurp("$build/demo/up/sync.pid");

write_file("$build/demo/up/sync.pid", $real =~ s/^\d+/$other->pid/er);
like(stack('down'), qr/Stopped\.\n0$/, 'down, with a pid file that is stale');
ok($other->alive, 'a process that has our old pid lives on');
kill 'TERM', $real =~ /^(\d+)/;

ok(!-e $env, 'no env file is left');
like(stack('down'), qr/^Nothing is running\.\n0$/, 'down again: content');

done_testing();

sub stack {
    my ($verb) = @_;

    local $ENV{APIKEY_BUILD} = $build;
    my $out = `$^X '$root/demo/stack.pl' $verb 2>&1 < /dev/null`;

    return $out . ($? >> 8);
}

sub sh {
    my ($text) = @_;

    open my $pipe, '-|', 'sh', '-c', ". '$env'; $text" or die "sh: $!";
    local $/;

    return readline($pipe) // '';
}

sub pids {
    return join ' ', map { /(\w+)\.pid$/, slurp($_) =~ /^(\d+)/ } sort glob("$build/demo/up/*.pid");
}

sub slurp {
    my ($path) = @_;

    open my $file, '<', $path or return '';
    local $/;

    return readline($file) // '';
}

sub write_file {
    my ($path, $text) = @_;

    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";

    return;
}
