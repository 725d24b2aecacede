package Apikey::Ctl;

# Runs apikeyctl.
#
#   my $ctl = Apikey::Ctl->new(url => $redis->url, pepper => "$dir/pepper");
#   my ($exit, $out, $err) = $ctl->run('create', '--member', 'ada', ...);
#   my ($exit, $out, $err) = $ctl->run(@args, { stdin => "text\n" });
#   my $out  = $ctl->ok('init', '--lease=1s');   # dies unless it exits with 0
#   my $data = $ctl->json('list');               # the same, with --json
#   my $key  = $ctl->key(name => 'ci');          # { id => ..., text => ... }
#
# Options of a run: stdin (text; nothing otherwise), stdout (a path, in place
# of what is returned), env (added; undef removes), seconds (default 30; then
# it is killed, and the exit is -1).  Texts are bytes.

use strict;
use warnings;

use Carp qw(croak);
use JSON::PP ();

use Apikey::Process ();

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        url    => delete $opt{url},
        pepper => delete $opt{pepper},
        dir    => Apikey::Process::tempdir(),
    }, $class;

    croak 'new: unknown ' . join ' ', sort keys %opt if %opt;

    $self->{pepper} //= "$self->{dir}/pepper";

    return $self;
}

sub program { return Apikey::Process::build_dir() . '/bin/apikeyctl' }
sub pepper  { return $_[0]{pepper} }
sub url     { return $_[0]{url} }

# The environment of a run: what the test's own holds for apikeyctl is not
# looked at; an empty variable counts as none.
sub env {
    my ($self, $more) = @_;

    return {
        APIKEY_REDIS         => $self->{url} // '',
        APIKEY_PEPPER        => $self->{pepper},
        APIKEY_ACTOR         => '',
        APIKEY_STORE_NAME    => '',
        APIKEY_PASSWORD_FILE => '',
        %{ $more || {} },
    };
}

sub run {
    my ($self, @args) = @_;

    my $opt = ref $args[-1] ? pop @args : {};
    my $out = $opt->{stdout} // "$self->{dir}/out";
    my $err = "$self->{dir}/err";

    write_file("$self->{dir}/in", $opt->{stdin} // '');
    unlink $err;

    open my $stdin, '<', "$self->{dir}/in" or die "$self->{dir}/in: $!";
    open my $stdout, '>', $out or die "$out: $!";

    my $process = Apikey::Process->start(
        cmd    => [ $self->program, @args ],
        env    => $self->env($opt->{env}),
        stdin  => $stdin,
        stdout => $stdout,
        log    => $err,
    );
    my $exit = $process->wait($opt->{seconds} // 30) ? $process->exit_code
             : -1;

    $process->stop;

    return ($exit, $opt->{stdout} ? '' : read_file($out), read_file($err));
}

sub ok {
    my ($self, @args) = @_;

    my ($exit, $out, $err) = $self->run(@args);

    croak "apikeyctl @args: exit $exit: $err" if $exit != 0;

    return $out;
}

sub json {
    my ($self, @args) = @_;

    return JSON::PP->new->utf8->decode($self->ok('--json', @args));
}

# Makes a key; the member is created if it is not there.  Takes name, member,
# tenant, scopes, expires, disabled.
sub key {
    my ($self, %opt) = @_;

    my $member   = delete $opt{member} // 'ada';
    my $tenant   = delete $opt{tenant} // 'ten_1';
    my $disabled = delete $opt{disabled};

    if (!$self->{members}{$member}++) {
        $self->ok('member', 'add', $member, "--name=Member $member",
                  "--tenant=$tenant");
    }

    $opt{name} //= 'Key';

    my $key = $self->json(
        'create', "--member=$member",
        (map {"--$_=$opt{$_}"} sort keys %opt),
        $disabled ? '--disabled' : (),
    );

    return { id => $key->{id}, text => $key->{key} };
}

sub write_file {
    my ($path, $text) = @_;

    open my $fh, '>:raw', $path or die "$path: $!";
    print {$fh} $text or die "$path: $!";
    close $fh or die "$path: $!";

    return;
}

sub read_file {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;
    return readline($fh) // '';
}

1;
