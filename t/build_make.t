#!/usr/bin/perl

# The Makefile, on a copy of the checkout with a long path: builds, knows what
# depends on what, installs, and cleans up after itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use File::Path qw(make_path);
use Test::More;
use Time::HiRes ();

my $root = Apikey::Process::root_dir();
my $top  = Apikey::Process::tempdir();
my $dir  = "$top/" . ('a-rather-long-path/' x 5) . 'checkout';

delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES BUILD)};

make_path($dir);
system("cd '$root' && tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C '$dir'") == 0
    or BAIL_OUT('cannot copy the checkout');

my @before = files();

my ($status, $out) = make('all');

is($status, 0, 'it builds') or diag($out);
ok(-e "$dir/build/$_", "build/$_")
    for qw(bin/apikey-sync bin/apikeyctl nginx/ngx_http_apikey_module.so);
is_deeply([ grep { !m{^build/} } files() ], \@before, 'and writes nowhere else');

rebuilt('nothing was edited');
rebuilt('a header of the module alone', touch => 'ngx_http_apikey_module/ngx_http_apikey_module.h',
    built => ['nginx'], not => [ 'sync', 'ctl' ]);
rebuilt('a header of key/', touch => 'key/key.h', built => [ 'nginx', 'ctl' ], not => ['sync']);
rebuilt('the table\'s contract', touch => 'table/apikey_table.h', built => [ 'nginx', 'sync' ]);
rebuilt('the function library', touch => 'store/apikey.lua', built => ['ctl'], not => [ 'nginx', 'sync' ]);
rebuilt('`config`', touch => 'config', built => ['nginx'], not => [ 'sync', 'ctl' ]);
rebuilt('a flag', make => ['EXTRA_CFLAGS=-DANOTHER_FLAG'], built => [ 'nginx', 'sync', 'ctl' ]);

($status, $out) = make('install', "DESTDIR=$top/root", 'PREFIX=/opt/apikey', 'EXTRA_CFLAGS=-DANOTHER_FLAG');
is($status, 0, 'it installs') or diag($out);
ok(-s "$top/root/$_", "installed: $_") for qw(
    usr/lib/nginx/modules/ngx_http_apikey_module.so
    usr/share/nginx/modules-available/mod-http-apikey.conf
    opt/apikey/sbin/apikey-sync
    opt/apikey/bin/apikeyctl
    opt/apikey/share/apikey/apikey.lua
    opt/apikey/share/doc/ngx-http-apikey-module/LICENSE
    opt/apikey/share/doc/ngx-http-apikey-module/store.md
);

for my $name (qw(lib/nginx/modules/ngx_http_apikey_module.so sbin/apikey-sync bin/apikeyctl)) {
    my ($file) = grep { -e } map { "$top/root/$_/$name" } qw(usr opt/apikey);

    is(system("grep -qaF '$top' $file") >> 8, 1, "$name does not tell where it was built");
}

for my $variable (qw(BUILD DESTDIR PREFIX)) {
    ($status, $out) = make('install', "'$variable=$top/a blank'");
    is($status, 2, "a blank in $variable: refused");
    like($out, qr/$variable is "\Q$top\E\/a blank": a path with a blank will not do/, 'and told why');
}

ok(!-e "$top/a", 'and nothing was written');

($status, $out) = make('help');
like($out, qr/^  make $_ /m, "help names $_")
    for qw(all deps demo up down test install lint format clean);

($status, $out) = make('clean');
is_deeply([ files() ], \@before, 'clean leaves what was there before');

done_testing();

sub make {
    my (@args) = @_;

    # what is built here is not run: the quickest flags will do
    my $text = `make -C '$dir' -j2 'CFLAGS=-O0 -g' @args 2>&1 < /dev/null`;

    return ($? >> 8, $text);
}

sub files {
    my @files = `cd '$dir' && find . -type f`;

    chomp @files;
    s{^\./}{} for @files;

    return sort @files;
}

# Runs make and looks which results are newer than before.
sub rebuilt {
    my ($what, %opt) = @_;

    my %path = (
        nginx => 'nginx/ngx_http_apikey_module.so',
        sync  => 'bin/apikey-sync',
        ctl   => 'bin/apikeyctl',
    );
    my %was = map { $_ => age("build/$path{$_}") } keys %path;

    # the clock of a file system's time stamps may tick but every 10 ms
    Time::HiRes::sleep(0.05);
    utime undef, undef, "$dir/$opt{touch}" if $opt{touch};

    my ($code, $text) = make('all', @{ $opt{make} || [] });

    my @new = grep { age("build/$path{$_}") ne $was{$_} } sort keys %path;
    my %new = map { $_ => 1 } @new;
    my @not = $opt{built} ? @{ $opt{not} || [] } : keys %path;

    ok($code == 0
            && !grep({ !$new{$_} } @{ $opt{built} || [] })
            && !grep({ $new{$_} } @not),
        "rebuilt after an edit of $what: " . join(' ', @new))
        or diag($text);

    return;
}

sub age {
    my ($path) = @_;

    return join '/', (Time::HiRes::stat("$dir/$path"))[ 1, 9 ];
}
