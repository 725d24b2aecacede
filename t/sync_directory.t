# One daemon writes a table, and only one of its own layout: a second is turned
# away whatever was done to the lock; what a daemon of another layout left is
# replaced, and workers of another layout refuse what this one makes.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Edge;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

my $STORE = '{apikey}';
my $LEASE = 500;    # milliseconds

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);

my @keys = map { $r->create(digest => sha256_hex("k$_")) } 1 .. 5;

sub acked {
    return $r->acked('edge');
}

# ---- two daemons ------------------------------------------------------------------

my $first = Apikey::Daemon->start(redis => $r, edge => 'edge');
my $dir   = $first->table;

$first->wait_ready;

# Another one ends at once, with a line that says why, and has changed nothing.
sub turned_away {
    my ($what, $why) = @_;

    my $second = Apikey::Daemon->start(redis => $r, edge => 'other',
                                       table => $dir);

    ok $second->process->wait(5), "$what: the second ends";
    is $second->process->exit_code, 1, "$what: exit 1";
    like $second->log, $why, "$what: it says why";
    is scalar(() = $second->log =~ /\n/g), 1, "$what: in one line";

    return;
}

sub first_goes_on {
    my ($what) = @_;

    my $v = $r->set_status($keys[0]{id},
                           $first->status($keys[0]{digest}) eq 'enabled'
                           ? 'disabled' : 'enabled')->{version};

    Apikey::Process::wait_for(sub { $first->live && acked() >= $v }, 10,
                              "$what: the first one goes on");
    pass "$what: the first goes on";

    return;
}

my $pid = $first->pid;

turned_away('a second', qr/another apikey-sync \(pid $pid\) writes this table/);
first_goes_on('a second');

$first->process->signal('STOP');
turned_away('a second while the first is stopped',
            qr/another apikey-sync \(pid $pid\) writes this table/);
$first->process->signal('CONT');
first_goes_on('a second while the first is stopped');

unlink "$dir/lock" or die $!;
turned_away('the lock file removed',
            qr/another apikey-sync holds its control page, though its lock file was removed; stop that one/);
first_goes_on('the lock file removed');

$first->process->signal('STOP');
unlink "$dir/lock" or die $!;
turned_away('the lock file removed, the first stopped',
            qr/another apikey-sync holds its control page/);
$first->process->signal('CONT');
first_goes_on('the lock file removed, the first stopped');

# lock and control page removed: the second makes its own, and the first, when
# it finds out, may not take it back
$first->process->signal('STOP');
unlink "$dir/lock", "$dir/control";

{
    my $watch  = Apikey::Watch->start($dir, map { ($_ => $keys[$_]{digest}) } 1);
    my $second = Apikey::Daemon->start(redis => $r, edge => 'other',
                                       table => $dir);

    $second->wait_ready;

    my $v = $r->set_status($keys[1]{id}, 'revoked')->{version};

    Apikey::Process::wait_for(sub { $second->status($keys[1]{digest}) eq 'revoked' },
                              10, 'the second to follow');

    my $over = Apikey::Watch::now() + $LEASE * 1.02e6 + 100e6;

    $first->process->signal('CONT');
    $first->wait_log(qr/the table cannot be opened.*another apikey-sync/, 15);
    pass 'lock and page removed: the first finds the second, and says so';
    $first->process->signal('STOP');
    Apikey::Process::wait_for(sub { Apikey::Watch::now() > $over + 1e9 }, 10, 'a lease');
    $watch->stop;
    is join(' ', grep { $_ eq 'enabled' } $watch->after(1, $over)), '',
        'lock and page removed: nobody allows the revoked key';
    is $second->status($keys[1]{digest}), 'revoked',
        'lock and page removed: the table is the second\'s';
    $first->process->signal('CONT');
    is $second->stop, 0, 'exit 0';
}

first_goes_on('the second is gone');
is $first->status($keys[1]{digest}), 'revoked', 'it knows of the revocation';
is $first->stop, 0, 'exit 0';

# ---- no control page: the generation still knows what was revoked -------------------

# also behind a next one that was being built
$r->ok('SAVE');
$first = Apikey::Daemon->start(redis => $r, edge => 'edge', table => $dir);
$first->wait_ready;
$r->set_status($keys[2]{id}, 'revoked');
Apikey::Process::wait_for(sub { acked() >= $r->meta->{version} }, 10,
                          'the acknowledgement');
$first->kill9;

for my $file ("$dir/keys.999", "$dir/keys.9999") {
    open my $fh, '>', $file or die "$file: $!";
    print {$fh} "\0" x 100_000;
    close $fh;
}

unlink "$dir/control" or die $!;
$r->ok('DEBUG', 'RELOAD', 'NOSAVE');
is $r->fcall_hash('get', $keys[2]{id})->{status}, 'enabled',
    'no control page: and the store has forgotten a revocation';
$first = Apikey::Daemon->start(redis => $r, edge => 'edge', table => $dir);
$first->wait_ready;
is $first->status($keys[2]{digest}), 'revoked', 'no control page: the edge has not';
is $first->control->{conflicts}, 1, 'no control page: it is a conflict';
is $first->stop, 0, 'exit 0';

# ---- another layout -------------------------------------------------------------------

# The check over the first bytes of a file: apikey_check() of the contract.
sub check {
    my ($bytes) = @_;

    use integer;

    my $h = unpack('q', pack 'Q', hex_number('6a09e667f3bcc908')) ^ length $bytes;

    for my $word (unpack 'q*', $bytes) {
        $h = ($h ^ $word) * unpack 'q', pack 'Q', hex_number('9e3779b97f4a7c15');
        $h ^= $h >> 29 & (1 << 35) - 1;
    }

    return pack 'q', $h;
}

# 16 hex digits: perl takes such a literal for a mistake
sub hex_number { return unpack 'Q>', pack 'H*', $_[0] }

# As a daemon of another version would have left it: sound, but for us to read.
sub relayout {
    my ($file) = @_;

    my $size = $file =~ /control$/ ? 56 : 112;

    my ($head, $check);

    open my $fh, '+<:raw', $file or die "$file: $!";
    sysread $fh, $head, $size;
    sysread $fh, $check, 8;

    die "$file: the check is not what is computed here\n"
        if check($head) ne $check;

    substr $head, 16, 4, pack 'V', 99;
    sysseek $fh, 0, 0;
    syswrite $fh, $head . check($head);
    close $fh;

    return;
}

my $e = Apikey::Edge->start(workers => 2, lease => $LEASE);

my $good    = $e->key(name => 'good');
my $revoked = $e->key(name => 'revoked');

$e->ctl->ok('revoke', '--yes', $revoked->{id});
$e->wait_status($revoked, 401, 'revoked');

for my $row ([ 'control page and generation', 'control', 'keys.*' ],
             [ 'control page', 'control' ],
             [ 'generation', 'keys.*' ])
{
    my ($what, @files) = @$row;

    $e->daemon->stop;
    relayout($_) for map { glob $e->table . "/$_" } @files;
    $e->nginx->reload;

    is_deeply $e->answers($good, 10), { '503 unavailable' => 10 },
        "another layout, $what: workers answer 503";
    like $e->nginx->error_log,
        qr/not a table of this layout: nginx module and apikey-sync must be of the same version/,
        "another layout, $what: and say why";

    $e->start_daemon;
    $e->wait_status($good, 200, undef, 10);
    is $e->get($revoked)->code, 'revoked',
        "another layout, $what: replaced by one of ours";
    is scalar(() = glob $e->table . '/keys.*'), 1,
        "another layout, $what: and nothing of it is left";

    my $told = qr/the table that was left is damaged, of another layout, or not ours alone to write: what it knew of revocations/;

    $what =~ /generation/
        ? like $e->daemon->log, $told, "another layout, $what: the daemon says so"
        : unlike $e->daemon->log, $told,
            "another layout, $what: what the generation knew is carried over";
}

$e->stop;

done_testing;
