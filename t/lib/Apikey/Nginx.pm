package Apikey::Nginx;

# A private nginx with the module in it.
#
#   my $n = Apikey::Nginx->start(table => $t, workers => 2, http => <<'END');
#       server { listen %%PORT%%; location / { apikey on; return 204; } }
#   END
#   $n->get('/', 'X-API-Key' => $key)->status;
#   $n->request("GET / HTTP/1.0\r\n\r\n");
#   $n->reload; $n->workers; $n->error_log; $n->file('access.log');
#   $n->stop;
#
# In `http` and `main`, %%PORT%% (and %%PORT_1%% to 9) are free ports of
# 127.0.0.1, %%DIR%% is nginx's own directory.  table is an Apikey::Table, or
# a directory beside which `pepper` names the file.
#
# stop() asserts that the error log holds no [alert], [emerg] or [crit],
# except lines that `expect_log` matches, so call it before done_testing; end()
# asserts nothing.  env adds to its environment.  upgradable => 1: USR2 starts
# another master beside it, which nginx refuses to the child of a parent that
# lives.
#
# APIKEY_NGINX in the environment names a binary with the module linked in,
# APIKEY_NGINX_WRAP a command to run it under.

use strict;
use warnings;

use Carp qw(croak);
use IO::Socket::INET ();
use Test::More ();

use Apikey::HTTP ();
use Apikey::Process ();

# Runs a command as the child of a parent that goes; stays until it is stopped,
# with all that the command left behind.
my @ORPHANED = ('sh', '-c', '( "$@" & sleep 1 ); exec sleep 600', 'sh');

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        dir => Apikey::Process::tempdir(),
        workers => delete $opt{workers} // 1,
        http => delete $opt{http},
        main => delete $opt{main} // '',
        level => delete $opt{level} // 'info',
        user => delete $opt{user} // 'root',
        expect_log => delete $opt{expect_log},
        env => delete $opt{env},
        upgradable => delete $opt{upgradable},
        owner => $$,
    }, $class;

    if (ref(my $table = delete $opt{table})) {
        @$self{qw(table pepper)} = ($table->dir, $table->pepper);

    } else {
        @$self{qw(table pepper)} = ($table, delete $opt{pepper});
    }

    croak 'nginx: unknown ' . join ' ', sort keys %opt if %opt;

    return $self;
}

sub start {
    my ($class, %opt) = @_;

    my $self = $class->new(%opt);

    for my $try (1 .. 5) {
        $self->write_conf;
        $self->launch;

        return $self if $self->wait_ready;

        # somebody was faster to take the port
        last if $self->error_log !~ /Address already in use/;

        delete $self->{ports};
        unlink $self->file_path('error.log');
    }

    $self->{stopped} = 1;

    croak 'nginx did not start: ' . $self->error_log;
}

# (exit code, output) of `nginx -t`
sub check {
    my ($class, %opt) = @_;

    my $self = $class->new(%opt);

    $self->{stopped} = 1;
    $self->write_conf;

    my $process = Apikey::Process->start(
        cmd => [ $self->command('stderr'), '-t' ],
        log => $self->file_path('check.log'));

    $process->wait(10);

    return ($process->exit_code, $self->file('check.log'));
}

sub command {
    my ($self, $log) = @_;

    return (split(' ', $ENV{APIKEY_NGINX_WRAP} // ''),
            $ENV{APIKEY_NGINX} || '/usr/sbin/nginx',
            '-p', $self->{dir}, '-e', $log,
            '-c', $self->file_path('nginx.conf'));
}

sub launch {
    my ($self) = @_;

    $self->{process} = Apikey::Process->start(
        cmd => [
            ($self->{upgradable} ? @ORPHANED : ()),
            $self->command($self->file_path('error.log')),
        ],
        env => $self->{env},
        log => $self->file_path('stderr.log'));

    return;
}

sub wait_ready {
    my ($self) = @_;

    my $slow = $ENV{APIKEY_NGINX_WRAP} ? 10 : 1;

    return eval {
        Apikey::Process::wait_for(sub {
            die "ended\n" if !$self->{process}->alive;
            return $self->workers >= $self->{workers};
        }, 10 * $slow, 'nginx to start');
    };
}

sub write_conf {
    my ($self, $http) = @_;

    $self->{http} = $http if defined $http;

    my $module = Apikey::Process::build_dir()
               . '/nginx/ngx_http_apikey_module.so';
    my $load = $ENV{APIKEY_NGINX} ? '' : "load_module $module;";
    my $user = $> == 0 ? "user $self->{user};" : '';

    my $conf = <<"END";
$load
$user
daemon off;
worker_processes $self->{workers};
worker_shutdown_timeout 5s;
pid nginx.pid;
error_log error.log $self->{level};
$self->{main}
events { worker_connections 256; }
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
END

    $conf .= "    access_log off;\n" if $self->{http} !~ /access_log/;
    $conf .= "    apikey_table $self->{table};\n"   if defined $self->{table};
    $conf .= "    apikey_pepper $self->{pepper};\n" if defined $self->{pepper};
    $conf .= "$self->{http}\n}\n";

    $conf =~ s/%%DIR%%/$self->{dir}/g;
    $conf =~ s/%%PORT(?:_(\d))?%%/'127.0.0.1:' . $self->port($1)/ge;

    open my $file, '>', $self->file_path('nginx.conf') or die $!;
    print $file $conf;
    close $file or die $!;

    return;
}

sub port {
    my ($self, $n) = @_;

    return $self->{ports}[$n // 0] //= free_port();
}

sub free_port {
    my $socket = IO::Socket::INET->new(Proto => 'tcp', Listen => 1,
                                       LocalAddr => '127.0.0.1')
        or die "cannot listen: $@";

    return $socket->sockport;
}

sub dir     { return $_[0]{dir} }
sub process { return $_[0]{process} }

sub file_path { return "$_[0]{dir}/$_[1]" }

sub file {
    my ($self, $name) = @_;

    open my $file, '<', $self->file_path($name) or return '';
    local $/;

    return readline($file) // '';
}

sub error_log { return $_[0]->file('error.log') }

# ---- requests --------------------------------------------------------------

sub request {
    my ($self, @what) = @_;

    my $bytes = @what == 1 ? $what[0] : Apikey::HTTP::compose(@what);

    return Apikey::HTTP::request($self->port, $bytes);
}

sub get {
    my ($self, $path, @headers) = @_;

    return Apikey::HTTP::get($self->port, $path, @headers);
}

sub connect { return Apikey::HTTP->connect($_[0]->port($_[1])) }

# ---- processes -------------------------------------------------------------

# The master's pid; after an upgrade, the newest one's.
sub master {
    my ($self) = @_;

    return $self->{process}->pid if !$self->{upgradable};

    chomp(my $pid = $self->file('nginx.pid'));

    return $pid || 0;
}

# The pids of the workers that serve; those that shut down are not among them.
sub workers {
    my ($self) = @_;

    my @pids = grep { title($_) =~ /^nginx: worker process$/ } $self->children;

    # under a wrapper, processes cannot change their titles
    @pids = $self->children if !@pids && $ENV{APIKEY_NGINX_WRAP};

    return @pids;
}

sub children {
    my ($self) = @_;

    my $pid = $self->master;
    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $file, '<', $stat or next;
        my $line = readline($file) // next;

        push @pids, $1 if $line =~ /^(\d+) \(.*\) \S+ $pid /;
    }

    return @pids;
}

sub title {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/cmdline" or return '';
    my $title = do { local $/; readline $file } // '';

    return $title =~ s/\0.*//sr;
}

# Waits for new workers, and for the old ones to be gone unless keep_old.
# With http, changes the configuration.
sub reload {
    my ($self, %opt) = @_;

    my %old = map { $_ => 1 } $self->children;

    $self->write_conf($opt{http});
    kill HUP => $self->master;

    Apikey::Process::wait_for(sub {
        my @new = grep { !$old{$_} } $self->workers;
        my @rest = grep { $old{$_} } $self->children;

        return @new == $self->{workers} && (!@rest || $opt{keep_old});
    }, 15, 'new workers');

    return;
}

# Waits until the error log matches.
sub wait_log {
    my ($self, $pattern) = @_;

    return Apikey::Process::wait_for(
        sub { $self->error_log =~ $pattern }, 5, "error log: $pattern");
}

# Without a word about the error log; 0 if there was nothing to stop.
sub end {
    my ($self) = @_;

    return 0 if $self->{stopped} || $self->{owner} != $$;

    $self->{stopped} = 1;

    if ($self->{process}) {
        kill QUIT => $self->master if $self->{process}->alive;
        $self->{process}->wait(6) if !$self->{upgradable};
        $self->{process}->stop;
    }

    return 1;
}

sub stop {
    my ($self) = @_;

    return if !$self->end;

    my $expected = $self->{expect_log};
    my @bad = grep { !$expected || !/$expected/ }
              grep { /\[(?:alert|emerg|crit)\]/ }
              split /\n/, $self->error_log . $self->file('stderr.log');

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is("@bad", '', 'no alerts in the error log');

    return;
}

sub DESTROY {
    my ($self) = @_;

    local ($@, $!, $?);

    $self->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT';

    return;
}

1;
