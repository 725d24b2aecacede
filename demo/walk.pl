#!/usr/bin/perl

# make demo: the life of a key through real HTTP, on an nginx, a daemon and a
# Redis of its own.  Each step prints the command, what a caller gets and how
# long that took; the first one that is not as promised ends it with status 1.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Caller;
use IO::Handle;
use IO::Select;
use POSIX ();
use Stack;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant {
    LEASE       => 2,     # seconds
    CONNECTIONS => 4,     # enough to meet both workers, most times
    PATIENCE    => 10,    # seconds, for any step
};

my $build = $ENV{APIKEY_BUILD} || "$FindBin::Bin/../build";
my $stack = Stack->new(dir => "$build/demo/walk", lease => LEASE . 's');
my $owner = $$;
my $kept  = 0;    # the directory is left for whoever asks why

STDOUT->autoflush;
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';

END {
    if ($$ == $owner && $stack->{lock}) {
        my $status = $?;

        $stack->stop;
        $? = $status;
    }
}

exit(eval { walk(); 1 } ? 0 : failed($@));

sub walk {
    title('Starting Redis, apikey-sync and nginx (2 workers) in ' . $stack->{dir});
    $stack->lock;
    $stack->start;

    title('A key is made, for a member of a tenant');
    command('member', 'add', 'ada', '--name', 'Ada', '--tenant', 'ten_acme');

    my $made = create('SDK', '--member', 'ada', '--scopes', 'checks:write');
    my $bearer = "Authorization: Bearer $made->{text}";

    accepted('with it', $bearer, $made->{id});
    accepted('as X-API-Key', "X-API-Key: $made->{text}", $made->{id});
    refused('without a key', '', 401, 'missing');
    refused('with another key', 'X-API-Key: ' . ('x' x 40), 401, 'unknown');
    refused('with two', "$bearer\r\nX-API-Key: " . ('x' x 40), 400, 'malformed');

    title('It is disabled, enabled, and revoked for ever');
    change($bearer, 401, 'disabled', 'disable', $made->{id}, '--reason', 'suspicious');
    change($bearer, 200, '', 'enable', $made->{id});
    change($bearer, 401, 'revoked', 'revoke', $made->{id}, '--reason', 'lost', '--wait');
    command_fails(qr/revoked/i, 'enable', $made->{id});
    refused('still, after that', $bearer, 401, 'revoked');

    title('A key that was made elsewhere, of 27 characters, is imported');
    my $old = random_text(27);
    my $imported = create('from before', '--member', 'ada', '--stdin', { stdin => $old });
    my $header = "X-API-Key: $old";

    accepted('with it', $header, $imported->{id});
    change($header, 401, 'disabled', 'disable', $imported->{id});
    change($header, 200, '', 'enable', $imported->{id});

    title('The daemon is killed: a change is proven once its lease has run out');
    silence($header, $imported->{id});

    title('Redis is stopped, and started again');
    outage($header, $bearer);

    title('All as promised');

    return;
}

sub failed {
    my ($why) = @_;

    chomp $why;
    print red("\nNot as promised: $why\n");
    print "The logs are in $stack->{dir}\n";

    return 1;
}

# ---- steps ----------------------------------------------------------------

# Runs apikeyctl and shows it; dies unless it succeeds.  Returns what it said.
sub command {
    my (@args) = @_;

    my $opt = ref $args[-1] ? pop @args : {};
    my ($status, $out) = run(\@args, $opt->{stdin});

    show_command(@args);
    show($out) if !$opt->{quiet};
    die "apikeyctl $args[0] ended with status $status\n" if $status != 0;

    return $out;
}

sub command_fails {
    my ($like, @args) = @_;

    my ($status, $out) = run(\@args);

    show_command(@args);
    show($out . "(status $status)");
    die "apikeyctl $args[0] did not refuse\n" if $status == 0 || $out !~ $like;

    return;
}

# Makes or imports a key; returns its id, and its text if it is a new one.
sub create {
    my ($name, @args) = @_;

    my $opt = ref $args[-1] ? pop @args : {};
    my $out = command('create', '--name', $name, @args, '--json', { %$opt, quiet => 1 });
    my ($id) = $out =~ /"id"\s*:\s*"(key_\w+)"/ or die "no id in: $out\n";
    my ($text) = $out =~ /"key"\s*:\s*"([^"]+)"/;

    show("$id" . ($text ? ", the key (shown once): $text" : ''));

    return { id => $id, text => $text };
}

# The key is good a moment after it was made; at most PATIENCE.
sub accepted {
    my ($what, $header, $id) = @_;

    my $caller = Caller->new($stack->{port}, 1, $header);
    my $begin  = now();
    my $response;

    do { $response = $caller->get }
        while $response->{status} != 200 && now() - $begin < PATIENCE;

    report($what, $response);
    die "expected 200\n" if $response->{status} != 200;

    my ($told) = $response->{body} =~ /^id (.*)$/m;
    my ($leak) = $response->{body} =~ /^credential (.+)$/m;

    die "the upstream was told the id '$told', not $id\n" if $told ne $id;
    die "the credential went upstream\n" if defined $leak;

    return;
}

sub refused {
    my ($what, $header, $status, $code) = @_;

    my $response = Caller->new($stack->{port}, 1, $header)->get;

    report($what, $response);
    die "expected $status $code\n"
        if $response->{status} != $status || $response->{code} ne $code;

    return;
}

# Runs apikeyctl while callers ask without a pause, and tells how long after
# its answer the first caller was treated accordingly, and whether any request
# sent after that was not.
sub change {
    my ($header, $status, $code, @args) = @_;

    my $caller = Caller->new($stack->{port}, CONNECTIONS, $header);
    my $run    = begin(\@args);
    my $select = IO::Select->new($run->{out});
    my %line   = map { fileno $_->{socket} => $_ } $caller->lines;
    my ($answer, $first, $response) = ('');
    my ($late, $done, $answered) = (0, 0);

    for my $line ($caller->lines) {
        $caller->ask($line);
        $select->add($line->{socket});
    }

    my $end = now() + PATIENCE;

    while ($done < CONNECTIONS || !$run->{over}) {
        die "after $args[0], a caller still does not get $status\n" if now() > $end;

        for my $handle ($select->can_read(0.1)) {
            if ($handle == $run->{out}) {
                $answered //= now();
                $select->remove($handle) if !take_output($run);
                next;
            }

            my $line = $line{ fileno $handle };
            my $got  = $caller->take($line) or next;

            if ($got->{status} == $status) {
                $first //= $got->{at};
                $response //= $got;
                $done++ if !$line->{done}++;
            }
            elsif (defined $first && $got->{asked} > $first) {
                $late++;
            }

            if ($done < CONNECTIONS || !$run->{over}) {
                $caller->ask($line);
            }
        }
    }

    show_command(@args);
    show($run->{text});
    die "apikeyctl $args[0] ended with status $run->{status}\n" if $run->{status};

    my $ms = ($first - $answered) * 1e3;
    my $word = $status == 200 ? 'acceptance' : 'refusal';

    report('on all ' . CONNECTIONS . ' connections', $response,
        sprintf "first $word %.2f ms %s the answer", abs $ms,
            $ms < 0 ? 'before apikeyctl had printed' : 'after');

    die "$late requests sent after the first $word were treated otherwise\n" if $late;
    die "expected $status $code\n" if $response->{code} ne $code;

    return;
}

# A disable that no edge can hear of; --wait says when it holds all the same.
sub silence {
    my ($header, $id) = @_;

    my $caller = Caller->new($stack->{port}, 1, $header);

    show_text('kill -KILL apikey-sync');
    $stack->stop_process('sync', 'KILL');

    my $begin = now();

    command('disable', $id, '--wait');

    my $response = $caller->get;

    report(sprintf('%.1f s after the kill, once apikeyctl had ended', now() - $begin), $response);
    die "expected 503 stale\n" if $response->{code} ne 'stale';

    show_text('apikey-sync ...');
    $stack->start_sync;
    $response = ask_until($caller, 401, 'until it has healed');
    report('when it has healed', $response);
    die "expected 401 disabled\n" if $response->{code} ne 'disabled';

    change($header, 200, '', 'enable', $id, '--wait');

    return;
}

sub outage {
    my ($good, $revoked) = @_;

    my $caller = Caller->new($stack->{port}, 1, $good);

    show_text('kill -TERM redis-server');
    $stack->stop_process('redis');

    my $begin = now();
    my $response = $caller->get;

    report('at once', $response);
    die "expected 200: the lease has not run out\n" if $response->{status} != 200;

    $response = ask_until($caller, 503, 'until the lease of ' . LEASE . ' s ends');

    my $served = now() - $begin;

    report(sprintf('%.1f s later', $served), $response);
    die "the lease ended after $served s, not within " . LEASE . " s\n"
        if $served > LEASE + 0.2;
    die "expected 503 stale\n" if $response->{code} ne 'stale';

    my ($status, $out) = run([ 'list' ]);

    show_command('list');
    show($out . "(status $status)");
    die "apikeyctl did not say that there is no Redis\n" if $status == 0;

    show_text('redis-server ...');
    $begin = now();
    $stack->start_redis;
    $response = ask_until($caller, 200, 'until it has healed');

    report(sprintf('%.1f s later', now() - $begin), $response);
    refused('with the revoked key', $revoked, 401, 'revoked');

    return;
}

sub ask_until {
    my ($caller, $status, $what) = @_;

    my $begin = now();
    my $dots  = 0;
    my $response;

    while (($response = $caller->get)->{status} != $status) {
        my $waited = now() - $begin;

        die "no $status within " . PATIENCE . " s\n" if $waited > PATIENCE;
        print $dots++ ? '.' : "    waiting $what ." if $waited > 0.5 * (1 + $dots);
        select undef, undef, undef, 0.002;
    }

    print "\n" if $dots;

    return $response;
}

# ---- apikeyctl ------------------------------------------------------------

sub begin {
    my ($args, $stdin) = @_;

    my %run = (over => 0, text => '');

    pipe my $in, my $give or die "pipe: $!\n";
    defined($run{pid} = open $run{out}, '-|') or die "fork: $!\n";

    if ($run{pid} == 0) {
        close $give;
        open STDIN,  '<&', $in;
        open STDERR, '>&', \*STDOUT;
        exec "$stack->{build}/bin/apikeyctl", @$args or POSIX::_exit(127);
    }

    close $in;
    syswrite $give, "$stdin\n" if defined $stdin;
    close $give;

    return \%run;
}

# Reads what has come; 0 once the command has ended.
sub take_output {
    my ($run) = @_;

    return 1 if sysread $run->{out}, $run->{text}, 65536, length $run->{text};

    close $run->{out};
    $run->{status} = $? >> 8 || $? & 127;
    $run->{over}   = 1;

    return 0;
}

sub run {
    my ($args, $stdin) = @_;

    my $run = begin($args, $stdin);

    1 while take_output($run);

    return @$run{qw(status text)};
}

# ---- what is printed ------------------------------------------------------

sub title { print "\n" . bold($_[0]) . "\n"; return }

sub show_command { return show_text(join ' ', 'apikeyctl', map { /[^\w:.-]/ ? "'$_'" : $_ } @_) }

sub show_text { print '  $ ' . $_[0] . "\n"; return }

sub show {
    my ($text) = @_;

    print map { "    $_\n" } split /\n/, $text;

    return;
}

sub report {
    my ($what, $response, $more) = @_;

    my $line = "$response->{status} $response->{code}";

    printf "    %s %s%s\n", ($response->{status} == 200 ? green($line) : yellow($line)), $what,
        defined $more ? ": $more" : '';

    return;
}

sub colour { return -t STDOUT ? "\e[$_[0]m$_[1]\e[0m" : $_[1] }
sub bold   { return colour(1,  @_) }
sub red    { return colour(31, @_) }
sub green  { return colour(32, @_) }
sub yellow { return colour(33, @_) }

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub random_text {
    my ($length) = @_;

    open my $random, '<', '/dev/urandom' or die "/dev/urandom: $!\n";

    my @letters = ('a' .. 'z', 0 .. 9);
    my $text    = '';

    while (length $text < $length) {
        sysread $random, my $byte, 1;
        $text .= $letters[ ord($byte) % @letters ];
    }

    return $text;
}
