package Soak::Faults;

# What the soak does to a round: a table of faults by name.
#
#   weight   how often it is picked
#   place    what it meets: link, pushes, daemon, table or nginx of one edge;
#            admin, the link of those who make changes; store, for all
#   for      how long it lasts, seconds, from and to
#   begin, end
#            called with the round and the step of the schedule, which may keep
#            things for the end; begin answers 0 if it can't be done now (no answer
#            will do)
#   every    seconds; `tick` is called so often meanwhile
#   mended   answers 1 when nothing of it is left, after the end; asked again
#            until then
#   deadly   the daemon may die of it: a file that it has mapped is cut (SIGBUS),
#            or the Redis client library aborts
#   marks    records of the history (damage, breaks, closes) from its begin until
#            it is mended
#
# Each writes to the history what it makes impossible, from the moment at which
# it certainly is so until the moment before it may not be any more.

use strict;
use warnings;

use POSIX ();

use Apikey::Process ();
use Soak::History ();

our %FAULT;

# ---- an edge's link ------------------------------------------------------------

sub link_rule {
    my ($round, $step, %rule) = @_;

    $round->edge($step)->link->set(%rule);

    return 1;
}

$FAULT{hole} = {
    weight => 6, place => 'link', for => [ 0.2, 3.5 ],
    begin  => sub {
        my ($round, $step) = @_;

        link_rule($round, $step, hole => 1);
        $round->edge($step)->dark('nothing passes its link');
    },
    end => sub {
        my ($round, $step) = @_;

        $round->edge($step)->bright('nothing passes its link');
        link_rule($round, $step, hole => 0);
    },
};

$FAULT{refuse} = {
    weight => 4, place => 'link', for => [ 0.1, 2.5 ],
    begin  => sub {
        my ($round, $step) = @_;

        link_rule($round, $step, refuse => 1);
        $round->edge($step)->dark('its link refuses');
    },
    end => sub {
        my ($round, $step) = @_;

        $round->edge($step)->bright('its link refuses');
        link_rule($round, $step, refuse => 0);
    },
};

$FAULT{reset} = {
    weight => 3, place => 'link', for => [ 0, 0 ],
    begin  => sub { $_[0]->edge($_[1])->link->reset },
};

# From a byte a second to ten thousand.
$FAULT{trickle} = {
    weight => 3, place => 'link', for => [ 0.5, 3 ],
    begin  => sub { link_rule(@_, slow => int 10 ** (4 * $_[1]{draw})) },
    end    => sub { link_rule(@_, slow => undef) },
};

# Answers that are none of the protocol.
$FAULT{garble} = {
    weight => 2, place => 'link', for => [ 0.05, 1 ], deadly => 1,
    begin  => sub { link_rule(@_, garble => 1) },
    end    => sub { link_rule(@_, garble => 0) },
};

$FAULT{deaf} = {
    weight => 3, place => 'pushes', for => [ 1, 5 ],
    begin  => sub { link_rule(@_, lose => 1) },
    end    => sub { link_rule(@_, lose => 0) },
};

$FAULT{lossy} = {
    weight => 4, place => 'pushes', for => [ 2, 6 ],
    begin  => sub { link_rule(@_, lose => 0.1, repeat => 0.1, swap => 0.1) },
    end    => sub { link_rule(@_, lose => 0, repeat => 0, swap => 0) },
};

# ---- an edge's daemon ----------------------------------------------------------

$FAULT{kill} = {
    weight => 6, place => 'daemon', for => [ 0, 2.5 ],
    begin  => sub {
        my ($round, $step) = @_;

        $round->edge($step)->kill_daemon;
        $round->edge($step)->dark('its daemon is dead');
    },
    end => sub {
        my ($round, $step) = @_;

        $round->edge($step)->bright('its daemon is dead');
        $round->edge($step)->start_daemon;
    },
};

$FAULT{stop} = {
    weight => 4, place => 'daemon', for => [ 0.1, 3 ],
    begin  => sub {
        my ($round, $step) = @_;

        freeze($round->edge($step)->daemon->pid) or return 0;
        $round->edge($step)->dark('its daemon is stopped');
    },
    end => sub {
        my ($round, $step) = @_;

        $round->edge($step)->bright('its daemon is stopped');
        kill 'CONT', $round->edge($step)->daemon->pid;
    },
};

# The second one of a directory has to see that, and to end.
$FAULT{second} = {
    weight => 2, place => 'daemon', for => [ 1, 3 ],
    begin  => sub {
        my ($round, $step) = @_;

        $step->{second} = $round->edge($step)->new_daemon;
    },
    end => sub {
        my ($round, $step) = @_;

        my $process = delete($step->{second})->process;

        $round->complain('second', "a second daemon on the table of "
                         . "$step->{edge} did not end with 1")
            if !$process->wait(15) || $process->exit_code != 1;
        $process->stop;
    },
};

# Kills itself somewhere in the middle of what it does.
$FAULT{failpoint} = {
    weight => 6, place => 'daemon', for => [ 0.5, 3 ],
    begin  => sub {
        my ($round, $step) = @_;

        my @names = $round->failpoints or return 0;
        my $edge  = $round->edge($step);
        my $at    = $step->{draw} * @names;
        my $name  = $names[$at];
        my $count = 1 + int(($at - int $at) ** 2 * 30);

        $edge->kill_daemon;
        $edge->start_daemon(failpoint => "$name:$count");
        $step->{name} = $name;
    },
    end => sub {
        my ($round, $step) = @_;

        my $edge = $round->edge($step);

        $round->count("failpoint $step->{name}")
            if !$edge->daemon->process->alive;
        $edge->kill_daemon;
        $edge->start_daemon;
    },
};

# ---- an edge's table -----------------------------------------------------------

# Does the harm, and is over when a daemon has published anew.  An operator, if
# there is one, does something at the end.
sub damage {
    my ($weight, $harm, $breaks, $operator) = @_;

    return {
        weight => $weight, place => 'table', for => [ 0.2, 1.5 ],
        marks  => [ 'damage', $breaks ? 'breaks' : () ],
        deadly => $breaks,
        begin  => sub {
            my ($round, $step) = @_;

            my $edge = $round->edge($step);

            $step->{daemon}    = $edge->daemon;
            $step->{published} = published($edge->daemon);
            $harm->($edge->table);

            return 1;
        },
        end    => sub { $operator->($_[0]->edge($_[1])->table) if $operator },
        mended => sub {
            my ($round, $step) = @_;

            my $edge = $round->edge($step);
            my $old  = $edge->daemon == $step->{daemon};

            return $edge->live
                && published($edge->daemon) > ($old ? $step->{published} : 0);
        },
    };
}

sub published {
    my ($daemon) = @_;

    return scalar(() = $daemon->log =~ /msg="snapshot published"/g);
}

# The file of the current generation, or none.
sub generation {
    my ($table) = @_;

    my @files = sort { ($a =~ /(\d+)$/)[0] <=> ($b =~ /(\d+)$/)[0] }
                glob "$table/keys.*";

    return $files[-1] // ();
}

sub overwrite {
    my ($path, $bytes) = @_;

    open my $file, '+<', $path or return;
    print {$file} $bytes;
    close $file;

    return;
}

# Puts another file in the place of one.
sub replace {
    my ($path, $bytes) = @_;

    my $new = "$path.new" =~ s{/table/([^/]+)$}{/$1}r;

    open my $file, '>', $new or die "$new: $!";
    print {$file} $bytes;
    close $file;
    chmod 0640, $new;
    rename $new, $path or die "$path: $!";

    return;
}

sub content {
    my ($path) = @_;

    open my $file, '<:raw', $path or return '';
    local $/;

    return readline($file) // '';
}

$FAULT{unlink_control} = damage(1, sub { unlink "$_[0]/control" });
$FAULT{unlink_all}     = damage(1, sub { unlink glob "$_[0]/control $_[0]/keys.*" });
$FAULT{zero_control}   = damage(1, sub { overwrite("$_[0]/control", "\0" x 4096) });
$FAULT{zero_keys}      = damage(1, sub {
    my ($file) = generation(@_) or return;
    overwrite($file, "\0" x -s $file);
});

# a file that never was one of its own is the operator's to remove
$FAULT{garble_control} = damage(1, sub {
    replace("$_[0]/control", 'none of ours' x 400);
}, 0, sub {
    unlink "$_[0]/control" if content("$_[0]/control") =~ /^none of ours/;
});
$FAULT{copy_control}   = damage(1, sub {
    replace("$_[0]/control", content("$_[0]/control"));
});
$FAULT{copy_all}       = damage(1, sub {
    my $keys = generation(@_);

    replace($keys, content($keys)) if $keys;
    replace("$_[0]/control", content("$_[0]/control"));
});
$FAULT{cut_keys}       = damage(1, sub {
    my ($file) = generation(@_) or return;
    truncate $file, 4096;
}, 1);
$FAULT{cut_control}    = damage(1, sub { truncate "$_[0]/control", 0 }, 1);

# ---- an edge's nginx -----------------------------------------------------------

$FAULT{reload} = {
    weight => 4, place => 'nginx', for => [ 0.5, 3 ], every => 0.2,
    marks  => ['closes'],
    begin  => sub { 1 },
    tick   => sub {
        my ($round, $step) = @_;

        my $nginx = $round->edge($step)->nginx;

        $step->{before} = { map { $_ => 1 } $nginx->children };
        $nginx->process->signal('HUP');
    },
    end => sub { 1 },

    # until the last workers of before are gone, and not only until they are
    # counted before nginx has taken the signal
    mended => sub {
        my ($round, $step) = @_;

        my @workers = $round->edge($step)->nginx->children;

        return @workers == 2 && !grep { $step->{before}{$_} } @workers;
    },
};

$FAULT{worker_kill} = {
    weight => 3, place => 'nginx', for => [ 0, 0.5 ],
    marks  => ['breaks'],
    begin  => sub {
        my ($round, $step) = @_;

        my ($pid) = $round->edge($step)->nginx->workers or return 0;

        kill 'KILL', $pid;
    },
    end    => sub { 1 },
    mended => sub {
        my ($round, $step) = @_;

        return $round->edge($step)->nginx->workers == 2;
    },
};

$FAULT{worker_stop} = {
    weight => 3, place => 'nginx', for => [ 0.1, 2.5 ],
    begin  => sub {
        my ($round, $step) = @_;

        my ($pid) = $round->edge($step)->nginx->workers or return 0;

        return freeze($step->{pid} = $pid);
    },
    end => sub { kill 'CONT', $_[1]{pid} },
};

# ---- those who make changes ----------------------------------------------------

$FAULT{admin_hole} = {
    weight => 2, place => 'admin', for => [ 0.1, 1.5 ],
    begin  => sub { $_[0]->admin->set(hole => 1) },
    end    => sub { $_[0]->admin->set(hole => 0) },
};

$FAULT{admin_reset} = {
    weight => 3, place => 'admin', for => [ 0, 0 ],
    begin  => sub { $_[0]->admin->reset },
};

# ---- the store -----------------------------------------------------------------

# Fails over when it ends; what was written meanwhile is lost, unless the draw
# has it that the replica keeps up.
$FAULT{failover} = {
    weight => 5, place => 'store', for => [ 0.5, 3 ],
    begin  => sub {
        my ($round, $step) = @_;

        return 0 if !$round->store->replica_ready;

        $round->store->replication->set(hole => 1) if $step->{draw} < 0.7;

        return 1;
    },
    end => sub {
        my ($round) = @_;

        $round->lost($round->store->failover);
    },
    mended => sub { $_[0]->store->replica_ready },
};

$FAULT{truncate} = {
    weight => 3, place => 'store', for => [ 0, 0.5 ],
    begin  => sub { 1 },
    end    => sub {
        my ($round, $step) = @_;

        $round->lost($round->store->truncate(int $step->{draw} * 6000));
    },
    mended => sub { $_[0]->store->replica_ready },
};

# Emptied, and some time later a backup of before is put in its place.
$FAULT{flush} = {
    weight => 3, place => 'store', for => [ 0.5, 4 ], every => 0.05,
    begin  => sub {
        my ($round, $step) = @_;

        $step->{backup} = $round->store->backup;
    },
    tick => sub {
        my ($round, $step) = @_;

        return if $step->{flushed}
               || Soak::History::now() < $step->{began} + $step->{for} * $step->{draw};

        $step->{flushed} = Soak::History::now();
        $round->store->flush;
        $_->dark('its store is empty') for $round->edges;
    },
    end => sub {
        my ($round, $step) = @_;

        return if !$step->{flushed};

        $_->bright('its store is empty') for $round->edges;
        $round->store->restore($step->{backup});
        $round->lost({
            kind  => 'restore',
            begin => $step->{flushed},
            end   => Soak::History::now(),
            kept  => $step->{backup}{version},
        });
    },
};

$FAULT{pause} = {
    weight => 3, place => 'store', for => [ 0.1, 2.5 ],
    begin  => sub {
        my ($round, $step) = @_;

        freeze($step->{pid} = $round->store->primary->pid) or return 0;
        $_->dark('its store is stopped') for $round->edges;

        return 1;
    },
    end => sub {
        my ($round, $step) = @_;

        $_->bright('its store is stopped') for $round->edges;
        kill 'CONT', $step->{pid};
    },
};

# Refuses every write, and a renewal is one.
$FAULT{read_only} = {
    weight => 2, place => 'store', for => [ 0.1, 2.5 ],
    begin  => sub {
        my ($round) = @_;

        $round->store->primary->ok(qw(CONFIG SET min-replicas-to-write 5));
        $_->dark('its store takes no writes') for $round->edges;

        return 1;
    },
    end => sub {
        my ($round) = @_;

        $_->bright('its store takes no writes') for $round->edges;
        $round->store->primary->ok(qw(CONFIG SET min-replicas-to-write 0));
    },
};

# Has no memory left: takes revokes and renewals all the same.
$FAULT{full} = {
    weight => 2, place => 'store', for => [ 0.1, 2.5 ],
    begin  => sub { $_[0]->store->primary->ok(qw(CONFIG SET maxmemory 1mb)) },
    end    => sub { $_[0]->store->primary->ok(qw(CONFIG SET maxmemory 0)) },
};

$FAULT{trim} = {
    weight => 3, place => 'store', for => [ 0, 0 ],
    begin  => sub {
        my ($round) = @_;

        $round->store->primary->ok('XTRIM', '{apikey}:log', 'MAXLEN', 1);

        return 1;
    },
};

# A hundred changes a second.
$FAULT{bulk} = {
    weight => 3, place => 'store', for => [ 0.5, 4 ], every => 0.1,
    begin  => sub { 1 },
    tick   => sub { $_[0]->bulk_change(10) },
    end    => sub { 1 },
};

$FAULT{growth} = {
    weight => 1, place => 'store', for => [ 0, 0 ],
    begin  => sub { $_[0]->bulk_create(1500) },
};

# ---- processes -----------------------------------------------------------------

# SIGSTOP, and waits until none of its threads runs any more; 0 if it is gone.
sub freeze {
    my ($pid) = @_;

    kill 'STOP', $pid or return 0;

    my $state = Apikey::Process::wait_for(sub {
        open my $stat, '<', "/proc/$pid/stat" or return 'gone';

        return (readline($stat) // '') =~ /\) ([TZX])/ ? $1 : 0;
    }, 10, "process $pid to stop");

    return $state eq 'T';
}

1;
