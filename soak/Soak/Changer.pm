package Soak::Changer;

# Makes and changes keys of its own through apikeyctl, one change after the
# other, in a process of its own.  What it does follows from the seed; when,
# from how long each takes.
#
#   my $c = Soak::Changer->start(name => 'c1', seed => 7, ctl => $ctl,
#                                feed => $feed, history => "$dir/changer-1",
#                                member => 'ada', until => "$dir/stop");
#   $c->finish;
#
# It ends when the file `until` is there.

use strict;
use warnings;

use JSON::PP ();
use POSIX ();

use Soak::History ();
use Soak::Random ();

use constant {
    KEYS  => 8,     # alive at a time
    WAIT  => '4s',  # for the proof
};

my %WEIGHT = (disable => 4, enable => 4, revoke => 2, create => 1);
my %FROM   = (disable => 'enabled', enable => 'disabled');
my %TO     = (disable => 'disabled', enable => 'enabled', revoke => 'revoked');

sub start {
    my ($class, %opt) = @_;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        @SIG{qw(HUP INT ALRM TERM PIPE)} = (('DEFAULT') x 4, 'IGNORE');

        my $done = eval { bless({%opt}, $class)->run; 1 };

        print {*STDERR} "$opt{name}: $@" if !$done;
        POSIX::_exit($done ? 0 : 1);
    }

    return bless { pid => $pid }, $class;
}

sub finish {
    my ($self) = @_;

    waitpid $self->{pid}, 0;

    return $? == 0;
}

sub kill { return CORE::kill 'KILL', $_[0]{pid} }

sub run {
    my ($self) = @_;

    $self->{log}    = Soak::History->new($self->{history});
    $self->{random} = Soak::Random->new($self->{seed}, $self->{name});
    $self->{keys}   = [];

    until (-e $self->{until}) {
        $self->step;
        $self->{log}->flush;
    }

    return;
}

sub step {
    my ($self) = @_;

    my $random = $self->{random};
    my $kind   = $random->weighted(\%WEIGHT);
    my @keys   = grep { !$FROM{$kind} || $_->{status} eq $FROM{$kind} }
                 grep { $_->{status} ne 'revoked' } @{ $self->{keys} };

    return $self->create if $kind eq 'create' || !@keys
                         || @{ $self->{keys} } < KEYS / 2;

    my $key    = $random->pick(@keys);
    my $change = $self->change($kind, $key, $kind,
                               $kind eq 'revoke' ? '--yes' : (), $key->{id});

    # what may happen at any time later is of no use any more for a proof
    if ($change->{outcome} eq 'unknown' || $kind eq 'revoke') {
        $self->{keys} = [ grep { $_ != $key } @{ $self->{keys} } ];
    } elsif ($change->{outcome} eq 'ok') {
        $key->{status} = $TO{$kind};
    }

    $self->{feed}->name($key);

    return;
}

sub create {
    my ($self) = @_;

    my $disabled = $self->{random}->number < 0.2;
    my $key      = { status => $disabled ? 'disabled' : 'enabled' };
    my $change   = $self->change(
        $disabled ? 'create_disabled' : 'create', $key,
        'create', "--member=$self->{member}", "--name=of $self->{name}",
        $disabled ? '--disabled' : ());

    return if !defined $key->{text};

    push @{ $self->{keys} }, $key;
    shift @{ $self->{keys} } if @{ $self->{keys} } > KEYS;
    $self->{feed}->name($key);

    return;
}

# Runs apikeyctl, and writes down what came of it.
sub change {
    my ($self, $kind, $key, @args) = @_;

    my $replicas = $self->{random}->number < 0.4 ? 1 : 0;

    $self->{feed}->name($key) if defined $key->{text};

    my $sent = Soak::History::now();
    my ($exit, $out, $err) = $self->{ctl}->run(
        '--json', '--timeout=1s', @args, '--wait=' . WAIT,
        $replicas ? '--replicas=1' : ());
    my $answered = Soak::History::now();

    my $answer = eval { JSON::PP::decode_json($out) } || {};

    $answer = $answer->[0] if ref $answer eq 'ARRAY';

    # a new key's text is known with the answer alone
    if (!defined $key->{id} && defined $answer->{key}) {
        @$key{qw(id text)} = @$answer{qw(id key)};
    }

    my $change = {
        kind     => $kind,
        key      => $key->{id} // '',
        sent     => $sent,
        answered => $answered,
        outcome  => outcome($exit),
        version  => $answer->{version},
        replicas => $replicas,
        acked    => acked($answer),
    };

    $change->{proven} = $answered if $exit == 0;
    $self->{log}->put(change => $change);

    die "apikeyctl @args: exit $exit: $err"
        if $exit !~ /^(?:0|1|3|4|8)$/;

    return $change;
}

# The edges that have acknowledged it.
sub acked {
    my ($answer) = @_;

    return join ',', map { $_->{name} } grep { $_->{state} eq 'acknowledged' }
                     @{ $answer->{receipt}{edges} || [] };
}

# By the exit code (docs/admin.md).
sub outcome {
    my ($exit) = @_;

    return $exit == 0 || $exit == 8 ? 'ok'
         : $exit == 4               ? 'unknown' : 'refused';
}

1;
