#!/usr/bin/perl

# apikeyctl init and library: what they make, what they leave alone, and what
# an operator reads when the store is not as it should be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Redis;
use Test::More;

my $redis  = Apikey::Redis->start;
my $ctl    = Apikey::Ctl->new(url => $redis->url);
my $pepper = $ctl->pepper;
my ($exit, $out, $err);

sub library_code { return @{ $redis->ok('FUNCTION', 'LIST', 'WITHCODE') } }

# ---- before -----------------------------------------------------------------

for my $verb ([ 'list' ], [ 'status' ], [ 'member', 'list' ]) {
    ($exit, $out, $err) = $ctl->run(@$verb);

    is($exit, 1, "@$verb on an empty server");
    like($err, qr/library is not loaded in this server \(NOLIBRARY\)\n  for a new store: apikeyctl init;/, 'says what to do');
    is($out, '', 'and nothing else');
}

($exit, $out) = $ctl->run('library', '--check');
is($exit, 7, 'library --check: missing');
like($out, qr/was missing$/, 'says so');
is(scalar library_code(), 0, 'and loads nothing');
is($ctl->json('library')->{loaded}, JSON::PP::true, 'library loads it');
is($ctl->json('library')->{loaded}, JSON::PP::false, 'once');

($exit, $out, $err) = $ctl->run('list');
is($exit, 1, 'list on a store that is not initialised');
like($err, qr/\(NOINIT\)\n  for a new store: apikeyctl init; one that was emptied/, 'says what to do');

$redis->ok('FUNCTION', 'FLUSH');

# ---- init -------------------------------------------------------------------

# mistakes change nothing
($exit) = $ctl->run('init', '--lease=1ms');
is($exit, 2, 'a bad lease');
ok(!-e $pepper, 'makes no pepper file');
is(scalar library_code(), 0, 'loads no library');

$out = $ctl->ok('init', '--lease=1500ms', '--prefix=acme_', '--log-length', '5000', '--actor=me', '--reason=begin');

like($out, qr/^The store is initialised\.\nStore +\{apikey\} at unix:\S+\nEpoch +[0-9a-f]{32}\nPrefix +acme_\nLease +1500 ms\nLibrary +loaded\nPepper +p1:[0-9a-f]{16} in \Q$pepper\E\n/, 'init');
like($out, qr/The pepper file is new\.  Copy it to every edge/, 'and what to do with the pepper');
is(sprintf('%04o', (stat $pepper)[2] & 07777), '0600', "the pepper file's mode");

my $meta = $redis->meta;

is($meta->{lease}, 1500, 'the lease');
is($meta->{prefix}, 'acme_', 'the prefix');
is($meta->{log_length}, 5000, 'the length of the log');
like($ctl->key->{text}, qr/\Aacme_/, 'keys have the prefix');

# ---- again ------------------------------------------------------------------

my $ring   = Apikey::Ctl::read_file($pepper);
my $before = $redis->fingerprint;

for my $how ('as it is', 'without a pepper file', 'without a library', 'with another library') {
    unlink $pepper if $how eq 'without a pepper file';
    $redis->ok('FUNCTION', 'FLUSH') if $how eq 'without a library';
    other_library() if $how eq 'with another library';

    my @code = library_code();

    ($exit, $out, $err) = $ctl->run('init', '--prefix=x');

    is($exit, 1, "init again, $how");
    like($err, qr/store \{apikey\} at unix:\S+ is initialised already \(INITED\)\n  nothing was changed; .*apikeyctl library\n/, 'is refused');
    is($redis->fingerprint, $before, 'changes nothing in the store');
    is_deeply([ library_code() ], \@code, 'nor the library');
    ok(!-e $pepper, 'nor makes a pepper file') if $how eq 'without a pepper file';
    Apikey::Ctl::write_file($pepper, $ring);
    chmod 0600, $pepper or die;
}

# ---- library ----------------------------------------------------------------

($exit, $out) = $ctl->run('library', '--check', '--json');
is($exit, 7, 'library --check: another one');
is(JSON::PP->new->decode($out)->{library}, 'different', 'says so');
like($ctl->ok('library'), qr/was another one: loaded$/, 'library replaces it');
is($ctl->ok('library', '--check'), "The function library in unix:" . $redis->socket . " is current\n", 'then it is current');
is($ctl->ok('library', '--quiet'), '', 'library --quiet');
is(scalar @{ $ctl->json('list') }, 1, 'and the store is as it was');
is($redis->fingerprint, $before, 'to the byte');

# ---- the pepper file --------------------------------------------------------

my $second = Apikey::Redis->start;
my $other  = Apikey::Ctl->new(url => $second->url, pepper => $pepper);
my $made   = $other->json('init');

is($made->{pepper}{made}, JSON::PP::false, 'a second store takes the pepper file that is there');
is(Apikey::Ctl::read_file($pepper), $ring, 'as it is');
is_deeply([ sort keys %$made ], [qw(epoch lease_ms library_loaded pepper prefix store version)], 'init --json');
is_deeply([ sort keys %{ $made->{pepper} } ], [qw(file made name)], 'and of the pepper');
isnt($made->{epoch}, $meta->{epoch}, 'every store has its own epoch');

for my $row (
    [ 'open to others', sub { chmod 0644, $pepper }, qr/pepper file/ ],
    [ 'not a file',     sub { unlink $pepper; mkdir $pepper }, qr/pepper file/ ],
    [ 'empty',          sub { rmdir $pepper; Apikey::Ctl::write_file($pepper, ''); chmod 0600, $pepper }, qr/pepper file/ ],
    [ 'absent',         sub { unlink $pepper }, qr/No such file.*\n.*copy the one of an edge/ ],
) {
    my ($what, $break, $says) = @$row;

    $break->();
    ($exit, $out, $err) = $ctl->run('create', '--member=ada', '--name=x');
    is($exit, 6, "create with a pepper file that is $what");
    like($err, $says, 'says so');
}

# another pepper than the store's
my $third = Apikey::Ctl->new(url => $redis->url);
$second->ok('FLUSHALL');
Apikey::Ctl->new(url => $second->url, pepper => $third->pepper)->ok('init');
($exit, $out, $err) = $third->run('create', '--member=ada', '--name=x');
is($exit, 1, 'create with the pepper of another store');
like($err, qr/\(PEPPER\)\n  compare: apikeyctl status/, 'is refused');

# a directory that is not there
$second->ok('FLUSHALL');
($exit, $out, $err) = Apikey::Ctl->new(url => $second->url, pepper => '/nowhere/pepper')->run('init');
is($exit, 6, 'init where the pepper file cannot be made');
like($err, qr{/nowhere}, 'says so');
is($second->ok('DBSIZE'), 0, 'and the store is not initialised');

# what was left of a store without its meta
$redis->ok('DEL', '{apikey}:meta');
Apikey::Ctl::write_file($pepper, $ring);
chmod 0600, $pepper;
($exit, $out, $err) = $ctl->run('init');
is($exit, 1, 'init on what is left of a store');
like($err, qr/meta is gone.*\(BADSTORE\)/, 'is refused');

done_testing;

# A library of this name whose text differs.
sub other_library {
    open my $fh, '<:raw', $redis->library or die $!;
    my $code = do { local $/; readline $fh };

    $redis->ok('FUNCTION', 'LOAD', 'REPLACE', "$code\n-- an older one\n");

    return;
}
