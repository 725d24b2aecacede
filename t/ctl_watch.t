#!/usr/bin/perl

# apikeyctl watch and log --follow: every change once, in order, as it
# happens; whatever becomes of pushes, connections and the store.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha1_hex);

use Apikey::Ctl;
use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use JSON::PP ();
use Test::More;

my $TIME  = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $redis = Apikey::Redis->start(conf => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);
my $ctl   = Apikey::Ctl->new(url => $redis->url);

$ctl->ok('init', '--lease=1s');

my $key = $ctl->key->{id};
my $on  = 1;

# One change; its version.
sub change {
    my (%arg) = @_;

    $on = !$on;

    return $redis->set_status($key, $on ? 'enabled' : 'disabled', %arg)->{version};
}

# ---- watch -------------------------------------------------------------------

my $watch = start('watch');
my @versions;

Apikey::Process::wait_for(sub { out($watch) =~ /^VERSION/ }, 10, 'the head');
change(reason => 'first');
Apikey::Process::wait_for(sub { out($watch) =~ /first$/m }, 10, 'a change');
like(out($watch), qr/\AVERSION +TIME +OP +OF +STATUS +ACTOR +REASON\n4 +$TIME  set_status  $key  disabled +test +first\n\z/, 'a change is shown as it happens');

change() for 1 .. 50;
seen($watch, 54, 'a burst');

# what is pushed twice, or was pushed before
my $entry = $redis->ok('XREVRANGE', '{apikey}:log', '+', '-', 'COUNT', 1)->[0][1];

$redis->ok('PUBLISH', '{apikey}:events', "54 $entry->[1] $entry->[1] $entry->[3]") for 1 .. 3;
$redis->ok('PUBLISH', '{apikey}:events', 'nonsense');
seen($watch, change(), 'pushes that are doubled, and one that is nonsense');

# a subscription that is lost, and a change before it is back
$redis->ok('CLIENT', 'KILL', 'TYPE', 'pubsub');
seen($watch, change(), 'the subscription is cut');

# a push that never comes
{
    my $meta  = $redis->meta;
    my $next  = $meta->{version} + 1;
    my $silent = qq({"op":"silent","at":$meta->{time},"actor":"test","reason":""});
    my $chain = sha1_hex("$meta->{chain}\n$silent");

    $redis->ok('XADD', '{apikey}:log', "$next-0", 'chain', $chain, 'entry', $silent);
    $redis->ok('HSET', '{apikey}:meta', 'version', $next, 'chain', $chain);
    seen($watch, $next, 'a push that never comes');
}

# all connections
$redis->ok('CLIENT', 'KILL', 'TYPE', 'normal');
seen($watch, change(), 'all connections are cut');

# the store is away, and comes back with a change that nobody has heard
$redis->kill9;
Apikey::Process::wait_for(sub { err($watch) =~ /^apikeyctl watch: (?:the connection was lost|cannot reach the store)/m }, 10, 'that it is away');
$redis->start_again;
seen($watch, change(), 'the store was away');
like(err($watch), qr/^apikeyctl watch: the store is back$/m, 'and it says that it is back');

# another history
my $version = $redis->meta->{version};

$redis->ok('XDEL', '{apikey}:log', "$version-0");
$redis->ok('XSETID', '{apikey}:log', ($version - 1) . '-0');
$redis->ok('XADD', '{apikey}:log', "$version-0", 'chain', 'f' x 40, 'entry', '{}');
$redis->ok('HSET', '{apikey}:meta', 'chain', 'f' x 40);
Apikey::Process::wait_for(sub { err($watch) =~ /the store's history is another one than before, now at version $version: what was shown may be lost$/m }, 10, 'that the history is another one');
seen($watch, change(), 'another history');

$watch->{process}->signal('INT');
ok($watch->{process}->wait(10), 'Ctrl-C ends it');
is($watch->{process}->exit_code, 0, 'with exit 0');

# ---- for programs ------------------------------------------------------------

$watch = start('watch', '--json');
subscribed();
change(reason => 'json');
Apikey::Process::wait_for(sub { out($watch) =~ /"json"/ }, 10, 'a change');

my ($line) = split /\n/, out($watch);
my $json = JSON::PP->new->utf8->decode($line);

is_deeply([ sort keys %$json ], [qw(actor at chain key op reason version)], 'an object a line');
is($json->{key}{id}, $key, 'of the key');
$redis->kill9;
Apikey::Process::wait_for(sub { out($watch) =~ /^\{"event":"away","text":".+"\}$/m }, 10, 'that it is away');
$redis->start_again;
Apikey::Process::wait_for(sub { out($watch) =~ /^\{"event":"back","text":"the store is back"\}$/m }, 10, 'that it is back');
is(err($watch), '', 'all in one stream');
$watch->{process}->signal('TERM');
$watch->{process}->wait(10);
is($watch->{process}->exit_code, 0, 'TERM ends it with exit 0');

# ---- acknowledgements --------------------------------------------------------

my @daemons = map { Apikey::Daemon->start(redis => $redis, edge => "edge-$_") } 1, 2;

$_->wait_ready for @daemons;
$watch = start('watch', '--acks');
Apikey::Process::wait_for(sub { out($watch) =~ /^VERSION/ }, 10, 'the head');
$version = change();
Apikey::Process::wait_for(sub { out($watch) =~ /^$version  edge-1 \d+ ms, edge-2 \d+ ms$/m }, 10, 'the acknowledgements');
pass('--acks: each edge with its milliseconds');
$daemons[1]->process->signal('STOP');
$version = change();
Apikey::Process::wait_for(sub { out($watch) =~ /^$version  edge-1 \d+ ms, edge-2 silent$/m }, 10, 'one that is silent');
pass('and one that is silent by name');
$watch->{process}->signal('INT');
$watch->{process}->wait(10);

$watch = start('watch', '--acks', '--json');
subscribed(1 + @daemons);
$daemons[1]->process->signal('CONT');
$daemons[1]->wait_ready;
$version = change();
Apikey::Process::wait_for(sub { out($watch) =~ /"acks":\{"version":$version,/ }, 10, 'the acknowledgements');

my ($acks) = map { $_->{acks} || () } map { JSON::PP->new->utf8->decode($_) } split /\n/, out($watch);

is($acks->{verdict}, 'ok', 'with --json');
is_deeply([ map { "$_->{name} $_->{state}" } @{ $acks->{edges} } ], [ 'edge-1 acknowledged', 'edge-2 acknowledged' ], 'each edge');
like($acks->{edges}[0]{ms}, qr/\A\d+\z/, 'and its milliseconds');
$watch->{process}->signal('INT');
$watch->{process}->wait(10);
$_->stop for @daemons;

# ---- log --follow ------------------------------------------------------------

change(actor => 'night');
$watch = start('log', '--follow', '--limit=2', '--quiet', "--key=$key");
$version = $redis->meta->{version};
Apikey::Process::wait_for(sub { out($watch) =~ /^$version$/m }, 10, 'what was before');
is(out($watch), ($version - 1) . "\n$version\n", 'log --follow begins with what was');
$ctl->ok('member', 'put', 'ada', '--name=Ada');
change();
Apikey::Process::wait_for(sub { out($watch) =~ /^@{[ $version + 2 ]}$/m }, 10, 'what comes');
is(out($watch), join('', map { "$_\n" } $version - 1, $version, $version + 2), 'goes on with what comes, of those that are wanted');
$watch->{process}->signal('INT');
$watch->{process}->wait(10);
is($watch->{process}->exit_code, 0, 'and ends with exit 0');

$watch = start('log', '--follow', '--json', "--since=$version");
change(reason => 'last');
Apikey::Process::wait_for(sub { out($watch) =~ /"last"/ }, 10, 'what comes');
is_deeply([ map { JSON::PP->new->utf8->decode($_)->{version} } split /\n/, out($watch) ], [ $version .. $version + 3 ], 'with --json an object a line');
$watch->{process}->signal('INT');
$watch->{process}->wait(10);

# ---- who may not -------------------------------------------------------------

$redis->ok('ACL', 'SETUSER', 'deaf', 'on', '>secret', 'allkeys', '+@all', '-subscribe');

my ($exit, $out, $err) = $ctl->run('watch', '--store', 'unix://deaf:secret@' . $redis->socket);

is($exit, 1, 'a user who may not subscribe');
like($err, qr/\(NOPERM\)/, 'is told so');

# nobody reads on
pipe my $reader, my $writer or die "pipe: $!";
$watch = start('watch', { stdout => $writer });
close $_ for $writer, $reader;
Apikey::Process::wait_for(sub { change(); !$watch->{process}->alive }, 10, 'it to end');
pass('nobody reads on: it ends');

done_testing;

sub out { return Apikey::Ctl::read_file("$_[0]{dir}/out") }
sub err { return Apikey::Ctl::read_file("$_[0]{dir}/err") }

sub start {
    my (@words) = @_;

    my $opt = ref $words[-1] ? pop @words : {};
    my $dir = Apikey::Process::tempdir();

    my $stdout = $opt->{stdout};

    if (!$stdout) {
        open $stdout, '>', "$dir/out" or die "$dir/out: $!";
    }

    my $process = Apikey::Process->start(cmd => [ $ctl->program, @words ], env => $ctl->env, stdout => $stdout, log => "$dir/err");

    return { dir => $dir, process => $process };
}

# So many listen.
sub subscribed {
    my ($count) = @_;

    return Apikey::Process::wait_for(sub { $redis->ok('PUBSUB', 'NUMSUB', '{apikey}:events')->[1] >= ($count // 1) }, 10, 'it to subscribe');
}

# Until it has shown this version; each from the fourth on once, in order.
sub seen {
    my ($run, $last, $what) = @_;

    Apikey::Process::wait_for(sub { out($run) =~ /^$last /m }, 15, "version $last");

    my @shown = out($run) =~ /^(\d+) /mg;

    is("@shown", join(' ', 4 .. $last), "$what: every change, once, in order");

    return;
}
