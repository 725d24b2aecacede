# apikey-sync is killed at each step of its writer and of its protocol: no
# reader allows what it should not, and the next daemon heals everything.
#
# At each name that `APIKEY_FAILPOINT=list` tells a daemon is killed once.
# PASSES=200 in the environment is the soak: so often at each, when it comes by
# first and at later times by chance (SEED=N repeats them); how often it was
# comes last.  FAILPOINT=NAME takes this one alone.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Redis;
use Apikey::Watch;

my $STORE = '{apikey}';
my $LEASE = 1000;    # milliseconds
my $BASE  = 800;     # keys; a table with room for 1000
my $MORE  = 230;     # so that it has to grow
my $BUILD = Apikey::Process::build_dir();

my $passes = $ENV{PASSES} || 1;
my $seed   = srand($ENV{SEED} || time);

if ($passes > 1) {
    alarm 0;    # it takes as long as it takes
    diag "SEED=$seed";
}

# ---- the two builds --------------------------------------------------------------

for my $row ([ 'bin/apikey-sync', 0 ], [ 'failpoints/bin/apikey-sync', 1 ],
             [ 'nginx/ngx_http_apikey_module.so', 0 ])
{
    my ($file, $has) = @$row;

    is system("grep -qai failpoint '$BUILD/$file'") == 0 ? 1 : 0, $has,
        "$file: " . ($has ? 'has failpoints' : 'knows nothing of failpoints');
}

my @names = do {
    local $ENV{APIKEY_FAILPOINT} = 'list';
    my %once;

    grep { !$once{$_}++ } split /\n/, `$BUILD/failpoints/bin/apikey-sync`;
};

cmp_ok scalar @names, '>', 40, 'failpoints are listed';

{
    my $dir = Apikey::Process::tempdir();

    for my $wrong ('nonsense', "$names[0]:0", "$names[0]:", "$names[0]:x") {
        my $d = Apikey::Daemon->start(url => "unix://$dir/none",
                                      failpoint => $wrong);

        $d->process->wait(5);
        is $d->process->exit_code, 1, "$wrong: refused";
        like $d->log, qr/no failpoint of this name/, "$wrong: told";
    }
}

@names = $ENV{FAILPOINT} if $ENV{FAILPOINT};

# ---- the store, as each pass finds it --------------------------------------------

my $r = Apikey::Redis->start;

$r->load_library->init(lease => $LEASE);
create(1, $BASE);
$r->ok('SAVE');

# What each of them is for: revoked and unknown are revoked before the store
# forgets it; early before the daemon starts that dies, and late after it did;
# disabled is disabled, and ended revoked, while it runs.
my %key = (
    enabled  => 1,
    revoked  => 2,
    early    => 3,
    disabled => 4,
    ended    => 5,
    late     => 6,
    unknown  => 9000,
);
my %digest = map { $_ => digest($key{$_}) } keys %key;

sub id     { return Apikey::Redis::key_id($_[0]) }
sub digest { return sha256_hex("key $_[0]") }

sub create {
    my ($from, $n) = @_;

    my $client = $r->connect;

    $r->member('mem_1') if $from == 1;

    $client->send('FCALL', 'apikey_create', 1, $STORE, id($_), 'digest',
                  digest($_), 'pepper', "p1:$Apikey::Redis::FINGERPRINT",
                  'name', "Key $_", 'member', 'mem_1', 'actor', 't')
        for $from .. $from + $n - 1;
    $client->read_reply(10) for 1 .. $n;

    return;
}

sub revoke { return $r->set_status(id($key{ $_[0] }), 'revoked') }

# As a failover to a replica that lost all writes since.
sub forget { return $r->ok('DEBUG', 'RELOAD', 'NOSAVE') }

sub acked {
    return $r->acked('edge');
}

sub is_acked { return acked() >= $r->meta->{version} }

# ---- what the daemon that dies lives through -------------------------------------

# Each runs until the daemon has done it or is dead; $pass holds what has to be
# remembered.
my @phases = (
    # a table of a killed daemon with a lease that lasts, rubbish beside it, and
    # a store that has forgotten revocations
    start => sub {
        my ($d) = @_;

        until_done($d, sub {
            my $c = $d->control;

            return ($c->{pid} // 0) == $d->pid && $c->{snapshots}
                && $c->{deadline_ms} > 0;
        });
    },

    # one key gets another name as well, past the library: no function of the
    # store changes a key's texts
    change => sub {
        my ($d, $pass) = @_;

        $r->ok('HSET', "$STORE:key:" . id($key{disabled}), 'name', 'renamed');
        $r->set_status(id($key{disabled}), 'disabled');
        revoke('ended');
        $pass->{changed} = Apikey::Watch::now();
        until_done($d, sub { is_acked() });
    },

    growth => sub {
        my ($d, $pass) = @_;

        create($BASE + 1, $MORE);
        $pass->{grown} = 1;
        until_done($d, sub { $d->control->{growths} && is_acked() });
    },

    # what only this table knew goes with its control page, but for what is in
    # the state directory
    loss => sub {
        my ($d, $pass) = @_;

        $pass->{lost} = 1;
        unlink $d->table . '/control' or die $!;
        until_done($d, sub {
            $d->log =~ /the table was lost/ && $d->live && is_acked();
        });
    },
);

sub until_done {
    my ($d, $done) = @_;

    Apikey::Process::wait_for(sub { !$d->process->alive || $done->() }, 20,
                              'the daemon to be done or dead');

    return;
}

# ---- one pass -----------------------------------------------------------------

# 1 if the daemon died at the failpoint.
sub kill_at {
    my ($name, $n) = @_;

    my $what = $n > 1 ? "$name:$n" : $name;
    my $pass = { phase => 'start' };
    my @bad;

    forget();

    my $state  = Apikey::Process::tempdir();
    my @how    = (redis => $r, edge => 'edge', args => [ '--state', $state ]);
    my $before = Apikey::Daemon->start(@how);

    $before->wait_ready;
    create($key{unknown}, 1);
    revoke($_) for qw(revoked unknown);
    Apikey::Process::wait_for(\&is_acked, 10, 'the acknowledgement');

    my $revoked = Apikey::Watch::now();
    my $watch   = Apikey::Watch->start($before->table, %digest);

    $before->kill9;
    forget();
    revoke('early');

    my $early = Apikey::Watch::now();

    rubbish($before->table, $_) for 'keys.99', 'control.new';
    rubbish($state, 'revoked.new');

    my $dying = Apikey::Daemon->start(@how, table => $before->table,
                                      failpoint => "$name:$n");

    for (my $i = 0; $i < @phases && $dying->process->alive; $i += 2) {
        $pass->{phase} = $phases[$i];
        $phases[ $i + 1 ]->($dying, $pass);
    }

    my $died = !$dying->process->alive;

    if ($died) {
        push @bad, 'it ended otherwise: ' . $dying->log
            if $dying->process->status != 9
            || $dying->log !~ /^failpoint \Q$name\E\n\z/m;
    } else {
        $dying->kill9;
    }

    revoke('late');

    my $late   = Apikey::Watch::now();
    my $healer = Apikey::Daemon->start(@how, table => $before->table);

    $healer->wait_ready;
    Apikey::Process::wait_for(\&is_acked, 10, 'the acknowledgement');
    $watch->stop;

    # no wrong allow: seen revoked is for ever; whatever else is changed, for
    # a lease at most
    my $over = $LEASE * 1.02e6 + 100e6;

    for my $row (
        [ 'revoked',  $revoked ],
        [ 'unknown',  $revoked ],
        [ 'early',    $early + $over ],
        [ 'late',     $late + $over ],
        $pass->{changed}
            ? map { [ $_, $pass->{changed} + $over ] } qw(disabled ended)
            : ())
    {
        push @bad, "the key \"$row->[0]\" was allowed"
            if grep { $_ eq 'enabled' } $watch->after($row->[0], $row->[1]);
    }

    # nor a wrong refusal: past the lease at most, and with a page to look at
    my $cannot_know = $pass->{lost} ? qr/stale|unavailable/ : qr/stale/;
    my @wrong = grep { !/^(?:enabled|$cannot_know)$/ }
        sort keys %{ $watch->seen('enabled') };

    push @bad, "the enabled key was called @wrong" if @wrong;

    push @bad, equal($healer, $pass),
        left_over($healer->table, 'control keys.N lock'),
        left_over($state, 'revoked');
    push @bad, 'the daemon that heals: ' . $healer->log if $healer->stop != 0;
    push @bad, rebooted($pass, @how) if $name =~ /^journal/;

    is join("\n", @bad), '', "$what" . ($died ? " ($pass->{phase})" : '');

    return $died;
}

sub rubbish {
    my ($dir, $name) = @_;

    open my $file, '>', "$dir/$name" or die "$dir/$name: $!";
    print {$file} 'left behind' x 1000;
    close $file;

    return;
}

# Every key is in the table as it is in the store, but for what the store has
# forgotten.
sub equal {
    my ($d, $pass) = @_;

    my %expect = map { $_ => 'enabled' } 1 .. $BASE,
        $pass->{grown} ? $BASE + 1 .. $BASE + $MORE : ();

    $expect{ $key{$_} } = 'revoked'
        for qw(revoked early late unknown), $pass->{changed} ? 'ended' : ();
    $expect{ $key{disabled} } = 'disabled' if $pass->{changed};

    my @keys  = sort { $a <=> $b } keys %expect;
    my @lines = $d->table_get(map { digest($_) } @keys);
    my @bad   = grep { $lines[$_] !~ /^(?:$expect{ $keys[$_] })\b/ } 0 .. $#keys;

    return map { "key $keys[$_]: $lines[$_]" } @bad;
}

# The machine is booted anew, and the store has forgotten everything: what the
# edge has acknowledged as revoked is in the state directory.
sub rebooted {
    my ($pass, @how) = @_;

    forget();

    my $d = Apikey::Daemon->start(@how);

    $d->wait_ready;

    my @bad = grep { $d->status($digest{$_}) ne 'revoked' }
        qw(revoked early late unknown), $pass->{changed} ? 'ended' : ();

    $d->stop;

    return map { "after a reboot \"$_\" is not revoked" } @bad;
}

sub left_over {
    my ($path, $expect) = @_;

    my $names;

    # a generation that was replaced goes in slices
    my $clean = Apikey::Process::poll(sub {
        opendir my $dir, $path or die "$path: $!";
        $names = join ' ', map { s/^keys\.\d+$/keys.N/r }
            sort grep { !/^\.\.?$/ } readdir $dir;

        return $names eq $expect;
    }, 5);

    return $clean ? () : "left behind: $names";
}

# ---- all of them -----------------------------------------------------------------

my (%killed, %latest);

for my $name (@names) {
    my ($tries, %missed) = 0;

    $latest{$name} = 1;

    while (($killed{$name} // 0) < $passes && $tries < 10 * $passes) {
        # any time up to twice as late as ever, but those that never come
        my $n = $tries++ ? 1 + int rand 2 * $latest{$name} : 1;

        $n = 1 if ($missed{$n} // 0) > 1;

        if (kill_at($name, $n)) {
            $killed{$name}++;
            $latest{$name} = $n if $n > $latest{$name};

        } elsif ($n == 1) {
            last;    # nothing in here comes by it

        } else {
            $missed{$n}++;
        }
    }

    is $killed{$name}, $passes, "$name: killed so often, in $tries tries";
}

if ($passes > 1) {
    diag sprintf '%-20s killed %d times, at the %d. time that it came by at most',
        $_, $killed{$_} // 0, $latest{$_} for sort @names;
}

done_testing;
