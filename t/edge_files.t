# What somebody does to the files of a table under a daemon and workers that
# run: nothing is ever allowed that should not be, and the daemon makes the
# table anew by itself.

use strict;
use warnings;

use lib 't/lib';

use File::Copy qw(copy);
use File::Path qw(remove_tree);
use Test::More;

use Apikey::Edge;
use Apikey::Load;
use Apikey::Process;

my $LEASE = 300;    # milliseconds

# a worker that looks behind the end of a file dies, and nginx starts another
my $e = Apikey::Edge->start(workers => 2, lease => $LEASE,
                            expect_log => qr/exited on signal 7/);
my $dir  = $e->table;
my $mode = (stat $dir)[2] & 07777;
my $home = Apikey::Process::tempdir();

my $good     = $e->key(name => 'good');
my $revoked  = $e->key(name => 'revoked');
my $disabled = $e->key(name => 'disabled');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->ctl->ok('disable', $disabled->{id});
$e->wait_status($revoked, 401, 'revoked');
$e->wait_status($disabled, 401, 'disabled');

sub generation { return (glob "$dir/keys.*")[-1] }

sub overwrite {
    my ($path, $bytes) = @_;

    open my $file, '+<:raw', $path or die "$path: $!";
    syswrite $file, $bytes;
    close $file;

    return;
}

# In place of what is there, with another inode.
sub replace {
    my ($path, $bytes) = @_;

    open my $file, '>:raw', "$home/new" or die "$home/new: $!";
    print {$file} $bytes;
    close $file;
    copy("$home/new", "$dir/control.new") or die $!;
    chmod 0640, "$dir/control.new";
    rename "$dir/control.new", $path or die "$path: $!";

    return;
}

sub bytes {
    my ($path) = @_;

    open my $file, '<:raw', $path or die "$path: $!";
    local $/;

    return scalar readline $file;
}

# As systemd would.
sub restart_dead_daemon {
    return if $e->daemon->process->alive;

    is $e->daemon->process->status & 127, 7, 'the daemon died of SIGBUS';
    $e->start_daemon;

    return;
}

my $n = 0;

# Does it, under load; `mend` is what an operator has to do about it, if that
# is more than nothing, and `lost` is set where requests may die with a worker.
sub row {
    my ($name, $do, %opt) = @_;

    my $load = Apikey::Load->start($e, 1, good => $good, revoked => $revoked,
                                   disabled => $disabled);
    my $snapshots = $e->daemon->control->{snapshots};
    my $fresh     = $e->ctl->key(name => 'fresh ' . ++$n);

    $e->wait_status($fresh, 200);
    $do->();
    $e->ctl->ok('disable', $fresh->{id});

    if ($opt{mend}) {
        $e->daemon->wait_log($opt{told}, 10);
        Apikey::Process::wait_for(sub { $e->get($good)->status == 503 }, 10,
                                  "$name: 503");
        $opt{mend}->();
    }

    # by the workers that saw it, and by those that attach later
    for my $who ('these workers', 'new workers') {
        my $healed = Apikey::Process::poll(sub {
            restart_dead_daemon();

            return eval {
                '200' eq join(' ', keys %{ $e->answers($good, 6) })
                    && $e->get($fresh)->code eq 'disabled';
            };
        }, 15);

        ok $healed, "$name: healed, $who";
        $e->nginx->reload if $who eq 'these workers';
    }

    like $e->daemon->log, $opt{told}, "$name: told" if $opt{told};

    my $seen  = $load->stop;
    my $may   = qr/good 200|\S+ 503 (?:stale|unavailable)|revoked 401 revoked|disabled 401 disabled/;
    my $lost  = $opt{lost} ? qr/\S+ lost/ : qr/(?!)/;
    my $empty = $opt{empty} ? qr/\S+ 401 unknown/ : qr/(?!)/;
    my @wrong = grep { !/^(?:$may|$lost|$empty)$/ } sort keys %$seen;

    is "@wrong", '', "$name: nothing wrong" or diag explain $seen;

    # a generation that was replaced goes in slices
    my $files;

    ok Apikey::Process::poll(sub {
        $files = join ' ', map { s{.*/}{}r =~ s/\d+/N/r } sort glob "$dir/*";
        return $files eq 'control keys.N lock';
    }, 5), "$name: nothing is left behind" or diag $files;

    return;
}

my $lost = qr/the table was lost; it is made anew/;

# ---- the control page ----------------------------------------------------------

row('control unlinked', sub { unlink "$dir/control" or die $! },
    told => $lost);
row('control zeroed', sub { overwrite("$dir/control", "\0" x 4096) },
    told => qr/$lost.*overwritten/);
row('control replaced by a copy of itself',
    sub { replace("$dir/control", bytes("$dir/control")) }, told => $lost);
row('control replaced by a foreign file',
    sub { replace("$dir/control", 'x' x 5000) },
    told => qr/not the control page of a table; remove it/,
    mend => sub { unlink "$dir/control" or die $! });
row('control truncated', sub { truncate "$dir/control", 0 or die $! },
    lost => 1);
row('control that others may write', sub { chmod 0666, "$dir/control" },
    told => qr/$lost.*others may write/);

# ---- the generation ------------------------------------------------------------

row('generation unlinked', sub { unlink generation() or die $! },
    told => $lost);
row('generation replaced by a copy of itself',
    sub { replace(generation(), bytes(generation())) }, told => $lost);
row('generation replaced by a foreign file',
    sub { replace(generation(), 'x' x 100_000) }, told => $lost);
row('generation zeroed',
    sub { overwrite(generation(), "\0" x (-s generation())) },
    told => $lost, empty => 1);
row('generation truncated to its head',
    sub { truncate generation(), 4096 or die $! }, lost => 1);
row('generation truncated', sub { truncate generation(), 0 or die $! },
    lost => 1);
row('generation that others may write', sub { chmod 0660, generation() },
    told => qr/$lost.*others may write/);

# ---- the directory -------------------------------------------------------------

row('directory that others may write', sub { chmod 0777, $dir or die $! },
    told => qr/cannot be opened.*its group or others may write it/,
    mend => sub { chmod $mode, $dir or die $! });
row('directory removed, and made again', sub { remove_tree($dir) },
    told => qr/cannot be opened.*No such file/,
    mend => sub { mkdir $dir, $mode or die $! });
row('directory moved away, and a new one in its place', sub {
    rename $dir, "$home/elsewhere" or die $!;
    mkdir $dir, $mode or die $!;
}, told => $lost);

$e->stop;

done_testing;
