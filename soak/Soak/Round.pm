package Soak::Round;

# One round of the soak: a store, edges, clients and changers; faults by the
# seed's schedule; in the end everything is healed, and the history is judged.
#
#   my $result = Soak::Round->run(seed => 7, seconds => 60, edges => 3,
#                                 dir => 'build/soak', say => sub { ... });
#   # { seed, checks => { '200' => n, ... }, changes => {...}, faults => {...},
#   #   healing => {...}, violations => [...] }
#
# The history goes to `dir` if there was a violation, lines of text to `say`.
# More options: clients (of an edge), changers, pause (seconds between two
# requests of a client), bound (seconds in which an edge has to heal), faults
# (the names of those that may happen, blanks between; all if it is empty).

use strict;
use warnings;

use List::Util qw(first);
use Time::HiRes ();

use Apikey::Ctl ();
use Apikey::HTTP ();
use Apikey::Process ();
use Soak::Changer ();
use Soak::Client ();
use Soak::Edge ();
use Soak::Faults ();
use Soak::Feed ();
use Soak::Healing ();
use Soak::History ();
use Soak::Oracle ();
use Soak::Schedule ();
use Soak::Store ();

use constant LEASE => 1;    # seconds

sub run {
    my ($class, %opt) = @_;

    my $self = bless {
        clients  => 2,
        changers => 3,
        pause    => 0.002,
        bound    => 10,
        faults   => '',
        say      => sub { },
        %opt,
        names    => [ map { "e$_" } 1 .. $opt{edges} ],
        work     => Apikey::Process::tempdir(),
        counts   => {},
        complaints => [],
    }, $class;

    $self->{plan} = [ Soak::Schedule::plan(
        seed    => $self->{seed},
        seconds => $self->{seconds},
        edges   => $self->{names},
        faults  => $self->faults,
    ) ];

    my $result = eval {
        $self->begin;
        $self->go_through;
        $self->heal;
        $self->conclude;
    };
    my $error = $@;

    $self->end;
    die $error if !$result;

    return $result;
}

# By name: all, or those that were asked for.
sub faults {
    my ($self) = @_;

    my @names = split ' ', $self->{faults};
    my @wrong = grep { !$Soak::Faults::FAULT{$_} } @names;

    die "no fault is named @wrong; there are: "
        . join(' ', sort keys %Soak::Faults::FAULT) . "\n" if @wrong;

    return { map { $_ => $Soak::Faults::FAULT{$_} }
             @names ? @names : keys %Soak::Faults::FAULT };
}

sub admin { return $_[0]{admin} }
sub store { return $_[0]{store} }
sub edges { return @{ $_[0]{edge} || [] } }

sub edge {
    my ($self, $step) = @_;

    return first { $_->name eq $step->{edge} } $self->edges;
}

sub count {
    my ($self, $name) = @_;

    $self->{counts}{$name}++;

    return;
}

# What is wrong beyond what a history can show.
sub complain {
    my ($self, $rule, $text) = @_;

    push @{ $self->{complaints} }, { rule => $rule, text => $text };

    return;
}

# ---- before --------------------------------------------------------------------

sub begin {
    my ($self) = @_;

    my $work = $self->{work};

    $self->{log}   = Soak::History->new("$work/driver");
    $self->{store} = Soak::Store->start($self->{seed});
    $self->{admin} = $self->{store}->link;

    my $ctl   = $self->ctl;
    my $begin = Soak::History::now();

    $ctl->ok('init', '--lease=' . 1000 * LEASE . 'ms');
    $ctl->ok(qw(member add ada --name=Ada --tenant=ten_1));
    $self->{log}->put(lease => { seconds => LEASE });

    $self->{edge} = [ map {
        Soak::Edge->start(name => $_, store => $self->{store},
                          pepper => $ctl->pepper, history => $self->{log})
    } @{ $self->{names} } ];
    $self->{feed} = Soak::Feed->new("$work/feed");
    $self->steady_key($ctl);
    $self->{log}->put(fault => {
        edge => '*', begin => $begin, end => Soak::History::now(),
        why  => 'they start',
    });

    for my $n (1 .. $self->{changers}) {
        push @{ $self->{changer} }, Soak::Changer->start(
            name => "changer-$n", seed => $self->{seed}, feed => $self->{feed},
            ctl  => $self->ctl, member => 'ada', until => "$work/stop",
            history => "$work/changer-$n");
    }

    for my $edge ($self->edges) {
        for my $n (1 .. $self->{clients}) {
            push @{ $self->{client} }, Soak::Client->start(
                edge  => $edge->name, port => $edge->port,
                feed  => $self->{feed}->path, pause => $self->{pause},
                seed  => $self->{seed} + @{ $self->{client} || [] },
                history => "$work/client-" . $edge->name . "-$n");
        }
    }

    return;
}

# Of the admins: one pepper for all.
sub ctl {
    my ($self) = @_;

    my $ctl = Apikey::Ctl->new(url => $self->{admin}->url, pepper => $self->{pepper});

    $self->{pepper} //= $ctl->pepper;

    return $ctl;
}

# A key that nobody changes, and one that nobody ever made.
sub steady_key {
    my ($self, $ctl) = @_;

    my $sent = Soak::History::now();
    my $key  = $ctl->json(qw(create --member=ada --name=steady));

    Apikey::Process::wait_for(sub { $self->{store}->replica_ready }, 60,
                              'the replica');
    Apikey::Process::wait_for(sub {
        for my $edge ($self->edges) {
            return 0 if !$edge->live || $self->gate($edge, $key->{key}) != 200;
        }
        return 1;
    }, 60, 'the edges');

    my $now = Soak::History::now();

    $self->{log}->put(change => {
        key => $key->{id}, kind => 'create', sent => $sent, answered => $now,
        version => $key->{version}, outcome => 'ok', proven => $now,
        replicas => 0, acked => join ',', @{ $self->{names} },
    });
    $self->{steady} = $key->{key};
    $self->{feed}->name({ id => $key->{id}, text => $key->{key} });
    $self->{feed}->name({ id => 'none', text => 'mm_' . 'x' x 38 });

    return;
}

# The status that a gate answers with; 0 for none.
sub gate {
    my ($self, $edge, $text) = @_;

    my $r = eval {
        Apikey::HTTP::get($edge->port, '/', Authorization => "Bearer $text");
    };

    return $r ? $r->status : 0;
}

# ---- the faults ----------------------------------------------------------------

sub go_through {
    my ($self) = @_;

    my $begin = Soak::History::now();
    my @plan  = map { {%$_} } @{ $self->{plan} };

    $self->{on}       = [];
    $self->{progress} = 5;

    for (;;) {
        my $at = Soak::History::now() - $begin;

        last if $at > $self->{seconds};

        # on a busy machine one may still be on where the next is to begin
        my $step = first { $_->{at} <= $at && !$self->busy($_) } @plan;

        if ($step) {
            @plan = grep { $_ != $step } @plan;
            $self->fault_begins($step);
            next;
        }

        $self->turn;

        if ($at >= $self->{progress}) {
            $self->progress($at);
            $self->{progress} += 5;
        }

        Time::HiRes::sleep(0.01);
    }

    return;
}

# Is a fault of the same place on?
sub busy {
    my ($self, $step) = @_;

    return grep { place($_) eq place($step) } @{ $self->{on} };
}

sub place {
    my ($step) = @_;

    return "$Soak::Faults::FAULT{ $step->{fault} }{place} $step->{edge}";
}

sub fault_begins {
    my ($self, $step) = @_;

    my $fault = $Soak::Faults::FAULT{ $step->{fault} };

    $step->{began} = Soak::History::now();

    my $begun = $fault->{begin}->($self, $step);

    if (defined $begun && !$begun) {
        $self->count("$step->{fault}, left out");
        return;
    }

    $self->count($step->{fault});
    push @{ $self->{on} }, $step;
    $self->{deadly}{ $step->{edge} } = 'inf' if $fault->{deadly};

    return;
}

# Ticks, ends and sees to the mending of what is on. With `over`, all ends now.
sub turn {
    my ($self, $over) = @_;

    my @on;

    for my $step (@{ $self->{on} }) {
        my $fault = $Soak::Faults::FAULT{ $step->{fault} };
        my $now   = Soak::History::now();

        if (!$step->{ended}) {
            if ($fault->{tick} && $now >= ($step->{next} // 0)) {
                $step->{next} = $now + $fault->{every};
                $fault->{tick}->($self, $step);
            }

            if ($over || $now >= $step->{began} + $step->{for}) {
                $fault->{end}->($self, $step) if $fault->{end};
                $step->{ended} = Soak::History::now();
            }
        }

        if ($step->{ended} && $self->mended($step)) {
            $self->fault_ends($step);
        } else {
            push @on, $step;
        }
    }

    $self->{on} = \@on;
    $self->watch($_) for $self->edges;

    return;
}

sub mended {
    my ($self, $step) = @_;

    my $mended = $Soak::Faults::FAULT{ $step->{fault} }{mended} or return 1;
    my $now    = Soak::History::now();

    # it costs something to look
    return 0 if $now < ($step->{look} // 0);

    $step->{look} = $now + 0.05;

    return $mended->($self, $step);
}

# As a service manager does: starts the daemon again if it died.  It may only
# by a fault that does that, or right after it.
sub watch {
    my ($self, $edge) = @_;

    return if $edge->daemon->process->alive;

    my @on = grep { $_->{edge} eq $edge->name } @{ $self->{on} };

    return if grep { $Soak::Faults::FAULT{ $_->{fault} }{place} eq 'daemon' } @on;

    $self->complain('died', 'the daemon of ' . $edge->name . ' died')
        if Soak::History::now() > ($self->{deadly}{ $edge->name } // 0);
    $self->count('daemon restarted');
    $edge->start_daemon;

    return;
}

sub fault_ends {
    my ($self, $step) = @_;

    my $fault = $Soak::Faults::FAULT{ $step->{fault} };

    $self->{deadly}{ $step->{edge} } = Soak::History::now() + 2
        if $fault->{deadly};
    $self->edge($step)->mark($_ => $step->{began}, $step->{fault})
        for @{ $fault->{marks} || [] };
    $self->{log}->put(fault => {
        edge  => $step->{edge},
        begin => $step->{began},
        end   => Soak::History::now(),
        why   => $step->{fault},
    });

    return;
}

# What a fault lost, as Soak::Store tells it.
sub lost {
    my ($self, $loss) = @_;

    if (my $dark = delete $loss->{dark}) {
        $_->mark(dark => $dark->[0], $loss->{kind}, $dark->[1])
            for $self->edges;
    }

    $self->{log}->put(loss => $loss);

    return;
}

# The daemon's failpoints by name, if it was built with them.
sub failpoints {
    my ($self) = @_;

    $self->{failpoints} //= do {
        my $program = Apikey::Process::build_dir()
                    . '/failpoints/bin/apikey-sync';

        local $ENV{APIKEY_FAILPOINT} = 'list';
        [ -x $program ? map { /^(\S+)/ ? $1 : () } qx('$program' 2>&1) : () ];
    };

    return @{ $self->{failpoints} };
}

# ---- changes in bulk, of keys that nobody asks for -------------------------------

sub bulk_create {
    my ($self, $count) = @_;

    my $redis  = $self->{store}->primary;
    my $pepper = $redis->meta->{peppers};
    my $client = $redis->connect;
    my @new    = map { ++$self->{bulk_serial} } 1 .. $count;

    $client->send('FCALL', 'apikey_create', 1, '{apikey}',
        Apikey::Redis::key_id($_), 'digest', Apikey::Redis::hex_text(64, $_),
        'pepper', $pepper, 'name', "bulk $_", 'member', 'ada', 'actor', 'bulk')
        for @new;
    $client->read_reply(30) for @new;

    return 1;
}

sub bulk_change {
    my ($self, $count) = @_;

    $self->bulk_create(50) if !$self->{bulk_serial};

    my $client = $self->{store}->primary->connect;

    for (1 .. $count) {
        my $n = ++$self->{bulk_changes};

        $client->send('FCALL', 'apikey_set_status', 1, '{apikey}',
            Apikey::Redis::key_id(1 + $n % 50),
            int($n / 50) % 2 ? 'enabled' : 'disabled', 'actor', 'bulk');
    }

    $client->read_reply(30) for 1 .. $count;

    return 1;
}

# ---- after ---------------------------------------------------------------------

# Ends what is still on, and waits until every edge answers as it should.
sub heal {
    my ($self) = @_;

    my $end = Soak::History::now() + 2 * $self->{bound};

    for (;;) {
        $self->turn('over');
        last if !@{ $self->{on} } || Soak::History::now() > $end;
        Time::HiRes::sleep(0.02);
    }

    for my $step (@{ delete $self->{on} }) {
        $self->complain('unhealed', "$step->{fault} of $step->{edge} was not mended");
        $self->fault_ends($step);
    }

    for my $edge ($self->edges) {
        $self->complain('unhealed', $edge->name . ' does not allow what it should')
            if !$self->soon(sub { $self->gate($edge, $self->{steady}) == 200 });
    }

    # some changes while all is well
    my $changes = $self->lines('changer-*');

    $self->complain('unhealed', 'nothing is changed any more')
        if !$self->soon(sub { $self->lines('changer-*') >= $changes + 8 });

    return 1;
}

sub soon {
    my ($self, $sub) = @_;

    return eval { Apikey::Process::wait_for($sub, $self->{bound}, 'it'); 1 };
}

# Ends the changes, compares edges and store, ends the clients, and judges.
sub conclude {
    my ($self) = @_;

    my $work = $self->{work};

    open my $stop, '>', "$work/stop" or die "$work/stop: $!";

    for (@{ delete $self->{changer} }) {
        $self->complain('broken', 'a changer failed') if !$_->finish;
    }

    my $head = $self->{store}->head;

    for my $edge ($self->edges) {
        $self->complain('behind', $edge->name . " is not at $head")
            if !$self->soon(sub {
                $edge->live && ($edge->daemon->control->{version} // 0) == $head;
            });
    }

    $self->truth;
    Time::HiRes::sleep(0.5);
    $self->{feed}->end;

    for (@{ delete $self->{client} }) {
        $self->complain('broken', 'a client failed') if !$_->finish;
    }

    $self->{log}->flush;

    my $history = Soak::History::read(glob "$work/driver $work/c*-*");
    my @found   = (@{ $self->{complaints} },
                   Soak::Oracle::judge($history, bound => $self->{bound}));
    my %result  = (
        seed       => $self->{seed},
        faults     => $self->{counts},
        checks     => {},
        changes    => {},
        healing    => Soak::Healing::longest($history),
        violations => \@found,
    );

    $result{checks}{ $_->{status} . ($_->{code} ne '' ? " $_->{code}" : '') }++
        for @{ $history->{check} };
    $result{changes}{ $_->{kind} . ' ' . ($_->{proven} ne '' ? 'proven' : $_->{outcome}) }++
        for @{ $history->{change} };

    $self->keep($history, @found) if @found;

    return \%result;
}

# What is needed to look into what was found.
sub keep {
    my ($self, $history, @found) = @_;

    my ($seed, $say) = @$self{qw(seed say)};
    my $base = "$self->{dir}/$seed";

    Soak::History::write("$base.history", $history,
        "SEED=$seed ROUND=$self->{seconds} EDGES=" . $self->edges
            . " FAULTS='$self->{faults}'",
        'The schedule:', (map { Soak::Schedule::text($_) } @{ $self->{plan} }),
        'Violations:', map { $_->{text} } @found);

    for my $edge ($self->edges) {
        my $log = "$base." . $edge->name . '.log';

        open my $file, '>', $log or die "$log: $!";
        print {$file} $edge->all_logs;
    }

    my $n = @found > 10 ? 10 : @found;

    $say->("VIOLATION $_->{text}") for @found[ 0 .. $n - 1 ];
    $say->('... and ' . (@found - $n) . ' more') if @found > $n;
    $say->("SEED=$seed: see $base.history and the edges' logs beside it");

    return;
}

# What the store says of each key, and then each gate.
sub truth {
    my ($self) = @_;

    my %text;

    open my $feed, '<', $self->{feed}->path or die $!;
    while (defined(my $line = readline $feed)) {
        $text{$1} = $2 if $line =~ /^(\S+)\t(\S+)/;
    }

    my $redis = $self->{store}->primary;
    my $at    = Soak::History::now();

    for my $id (sort keys %text) {
        $self->{log}->put(truth => {
            key    => $id,
            status => $redis->ok('HGET', "{apikey}:key:$id", 'status') // 'absent',
            at     => $at,
        });
    }

    for my $edge ($self->edges) {
        my $client = Soak::Client->new(
            edge => $edge->name, port => $edge->port, text => \%text,
            log  => $self->{log});

        $client->ask($_) for sort keys %text;
    }

    return;
}

# Whatever happened, nothing is left.
sub end {
    my ($self) = @_;

    for (@{ $self->{on} || [] }) {
        kill 'CONT', $_->{pid} if $_->{pid};
    }

    $_->kill for @{ $self->{changer} || [] }, @{ $self->{client} || [] };
    $_->stop for $self->edges;
    $self->{store}->stop if $self->{store};

    return;
}

# ---- progress ------------------------------------------------------------------

sub progress {
    my ($self, $at) = @_;

    my $checks  = $self->lines('client-*');
    my $changes = $self->lines('changer-*');
    my $counts  = $self->{counts};

    $self->{say}->(sprintf 'SEED=%d %3d s  %5.0f checks/s  %4d changes  %s',
        $self->{seed}, $at, ($checks - ($self->{checks} // 0)) / 5, $changes,
        join ' ', map { "$_ $counts->{$_}" } sort keys %$counts);
    $self->{checks} = $checks;

    return;
}

# How many records these histories have so far.
sub lines {
    my ($self, $pattern) = @_;

    my $seen = \$self->{seen}{$pattern};

    for my $path (glob "$self->{work}/$pattern") {
        open my $file, '<', $path or next;
        sysseek $file, $$seen->{at}{$path} // 0, 0;

        while (sysread $file, my $bytes, 1 << 20) {
            $$seen->{lines} += $bytes =~ tr/\n//;
            $$seen->{at}{$path} += length $bytes;
        }
    }

    return $$seen->{lines} // 0;
}

1;
