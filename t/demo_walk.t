#!/usr/bin/perl

# make demo: succeeds, shows what it promises, and leaves nothing running; and
# also from a directory whose path is too long for a unix socket.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use File::Path qw(make_path);
use Test::More;

my $root  = Apikey::Process::root_dir();
my $build = build_dir('a-rather-long-path/' x 6);
my $log   = "$build/walk.log";

my $walk = Apikey::Process->start(
    cmd => [ $^X, "$root/demo/walk.pl" ],
    env => { APIKEY_BUILD => $build },
    log => $log,
);

my @pids = started();

ok($walk->wait(120), 'it ends');
is($walk->exit_code, 0, 'with status 0') or diag(slurp($log));

my $text = slurp($log);

like($text, $_->[1], "it shows $_->[0]") for (
    [ 'an acceptance',                 qr/^ +200 +with it$/m ],
    [ 'X-API-Key',                     qr/^ +200 +as X-API-Key$/m ],
    [ 'a disable and its time',        qr/apikeyctl disable.*^ +401 disabled .*refusal/ms ],
    [ 'an enable and its time',        qr/apikeyctl enable.*^ +200 .*acceptance/ms ],
    [ 'a revoke and its time',         qr/apikeyctl revoke.*^ +401 revoked .*refusal/ms ],
    [ 'the proof of a revoke',         qr/apikeyctl revoke.*^ +proven\b.*\bdemo\b.* ms/ms ],
    [ 'that a silent edge is named',   qr/kill -KILL apikey-sync.*^ +proven\b.*\bdemo\b/ms ],
    [ 'and that it answers 503',       qr/^ +503 stale \d\.\d s after the kill/m ],
    [ 'that revoked is for ever',      qr/^ +401 revoked still, after that$/m ],
    [ 'an import',                     qr/27 characters.*^ +200 +with it$/ms ],
    [ 'that Redis may stop',           qr/^ +200 +at once$/m ],
    [ 'but no longer than the lease',  qr/^ +503 stale \d\.\d s later$/m ],
    [ 'and is taken up again',         qr/^ +200 +\d\.\d s later$/m ],
);
unlike($text, qr/\e/, 'no colours where there is no terminal');

is(join(' ', alive(@pids)), '', 'nothing is left running');

# interrupted in the middle
$walk = Apikey::Process->start(
    cmd => [ $^X, "$root/demo/walk.pl" ],
    env => { APIKEY_BUILD => $build },
    log => $log,
);
@pids = started();
$walk->signal('INT');
ok($walk->wait(30), 'ctrl-c ends it');
isnt($walk->exit_code, 0, 'not with status 0');
is(join(' ', alive(@pids)), '', 'and leaves nothing running');

done_testing();

# A build directory of its own that refers to what was built.
sub build_dir {
    my ($path) = @_;

    my $dir = Apikey::Process::tempdir() . "/$path/build";

    make_path($dir);
    symlink Apikey::Process::build_dir() . "/$_", "$dir/$_" for qw(bin nginx);

    return $dir;
}

# The pids of the stack, once all of it is started.
sub started {
    my @found;

    Apikey::Process::wait_for(sub {
        @found = map { slurp($_) =~ /^(\d+)/ } glob("$build/demo/walk/*.pid");

        return @found == 3;
    }, 30, 'the stack');

    return @found;
}

# A zombie has ended, even where nobody reaps it.
sub alive { return grep { slurp("/proc/$_/stat") =~ /\) [^ZX] / } @_ }

sub slurp {
    my ($path) = @_;

    open my $file, '<', $path or return '';
    local $/;

    return readline($file) // '';
}
