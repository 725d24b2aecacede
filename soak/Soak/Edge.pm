package Soak::Edge;

# One edge: apikey-sync on its link to the store, its table and its state, and
# nginx with two workers.  What it takes part in is written to the history.
#
#   my $e = Soak::Edge->start(name => 'e1', store => $store,
#                             pepper => $file, history => $log);
#   $e->port; $e->name; $e->table;
#   $e->kill_daemon; $e->start_daemon;
#   $e->dark('its daemon is dead'); $e->bright;     # marks of the history
#   $e->live;                                       # has it a lease?
#   $e->stop;

use strict;
use warnings;

use Apikey::Daemon ();
use Apikey::Nginx ();
use Apikey::Process ();
use Soak::History ();

# The gate tells which key it took the caller for, and which worker it is.
my $CONF = <<'END';
    keepalive_requests 100000;
    server {
        listen %%PORT%%;
        location / {
            apikey on;
            add_header X-Worker $pid always;
            add_header X-Key-Id $apikey_id;
            empty_gif;
        }
    }
END

sub start {
    my ($class, %opt) = @_;

    my $home = Apikey::Process::tempdir();
    my $self = bless {
        name    => $opt{name},
        history => $opt{history},
        link    => $opt{store}->link,
        home    => $home,
        table   => "$home/table",
        state   => "$home/state",
    }, $class;

    for my $dir (@$self{qw(table state)}) {
        mkdir $dir, 0755 or die "$dir: $!";
    }

    $self->start_daemon;
    $self->{nginx} = Apikey::Nginx->start(
        table => $self->{table}, pepper => $opt{pepper}, workers => 2,
        level => 'warn', http => $CONF);

    return $self;
}

sub name   { return $_[0]{name} }
sub table  { return $_[0]{table} }
sub link   { return $_[0]{link} }
sub nginx  { return $_[0]{nginx} }
sub port   { return $_[0]{nginx}->port }
sub daemon { return $_[0]{daemon} }
sub live   { return $_[0]{daemon}->process->alive && $_[0]{daemon}->live }

sub start_daemon {
    my ($self, %opt) = @_;

    $self->{daemon} = $self->new_daemon(%opt);
    push @{ $self->{logs} }, $self->{daemon}->log_file;

    return;
}

# A daemon of this edge's name; on its own table, unless another is given.
sub new_daemon {
    my ($self, %opt) = @_;

    return Apikey::Daemon->start(
        url   => $self->{link}->url,
        table => $self->{table},
        edge  => $self->{name},
        args  => [ '--state', $self->{state} ],
        %opt,
    );
}

# What all daemons of this edge have logged, and its nginx.
sub all_logs {
    my ($self) = @_;

    my $text = '';

    for my $file (@{ $self->{logs} }, $self->{nginx}->file_path('error.log')) {
        open my $log, '<', $file or next;
        local $/;
        $text .= "==== $file\n" . (readline($log) // '');
    }

    return $text;
}

sub kill_daemon {
    my ($self) = @_;

    $self->{daemon}->kill9;

    return;
}

# ---- marks of the history --------------------------------------------------------

# From now on, and until it is told otherwise, no lease can be renewed; why is
# its name among the reasons that there may be at a time.
sub dark {
    my ($self, $why) = @_;

    $self->{dark}{$why} //= Soak::History::now();

    return;
}

# Call it before whatever lets renewals through again.
sub bright {
    my ($self, $why) = @_;

    my $begin = delete $self->{dark}{$why} // return;

    $self->mark(dark => $begin, $why);

    return;
}

sub mark {
    my ($self, $kind, $begin, $why, $end) = @_;

    $self->{history}->put($kind => {
        edge  => $self->{name},
        begin => $begin,
        end   => $end // Soak::History::now(),
        why   => $why,
    });

    return;
}

sub stop {
    my ($self) = @_;

    $self->{daemon}->process->signal('CONT');
    $self->{daemon}->stop;
    $self->{nginx}->end;

    return;
}

1;
