package Stack;

# A whole edge under one directory: Redis on a unix socket, apikey-sync, and
# nginx with two workers in front of a small upstream that echoes the identity
# it was told.  Started detached, so that it outlives who started it; a later
# process finds it again by its pid files, and never mistakes another process
# for one of its own.

use strict;
use warnings;

use Cwd ();
use Fcntl qw(:flock O_CREAT O_RDWR);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

# a unix socket's path may have 107 bytes (unix(7))
use constant SOCKET_PATH_MAX => 107;

# in the order in which they are started
use constant PROCESSES => qw(redis sync nginx);

my $ROOT = Cwd::abs_path(dirname(__FILE__) . '/..');

# dir: where everything lies; conf: nginx configuration for the gate's server
# block; workers: of nginx; lease: as for `apikeyctl init`; table: a directory
# for the table, if not below dir.
sub new {
    my ($class, %self) = @_;

    my $build = $ENV{APIKEY_BUILD} || "$ROOT/build";

    $self{workers} //= 2;
    $self{lease}   //= '5s';
    $self{build} = Cwd::abs_path($build) || $build;

    return bless \%self, $class;
}

# Dies with a sentence if another process holds the stack's lock.  Held until
# this process ends.
sub lock {
    my ($self) = @_;

    make_path($self->{dir});

    my $file = "$self->{dir}.lock";

    sysopen $self->{lock}, $file, O_CREAT | O_RDWR or die "$file: $!\n";
    flock $self->{lock}, LOCK_EX | LOCK_NB
        or die "another make is at work in $self->{dir}; wait for it\n";

    return;
}

# ---- starting -------------------------------------------------------------

sub start {
    my ($self) = @_;

    $self->stop;
    remove_tree($self->{dir}, { keep_root => 1 });

    my $dir = $self->{dir};

    make_path(map { "$dir/$_" } qw(redis state nginx));
    chmod 0755, $dir or die "$dir: $!\n";

    if (!$self->{table}) {
        $self->{table} = "$dir/table";
        make_path($self->{table});
        chmod 0755, $self->{table} or die "$self->{table}: $!\n";
    }

    $self->{sockets} = $self->place_for_sockets;
    $self->{pepper}  = "$dir/pepper";
    $self->{redis}   = "$self->{sockets}/redis.sock";
    $self->{url}     = "unix://$self->{redis}";

    write_file("$dir/place", $self->{sockets} . "\n");

    my %env = $self->env;

    @ENV{ keys %env } = values %env;

    $self->start_redis;
    $self->ctl('init', '--lease', $self->{lease});
    $self->start_sync;
    $self->start_nginx;

    return;
}

sub place_for_sockets {
    my ($self) = @_;

    my $longest = "$self->{dir}/upstream.sock";

    return $self->{dir} if length $longest <= SOCKET_PATH_MAX;
    return File::Temp::tempdir('apikey-XXXXXX', DIR => '/tmp');
}

sub start_redis {
    my ($self) = @_;

    my $dir = "$self->{dir}/redis";

    $self->spawn('redis', 'redis-server', '--port', 0, '--unixsocket',
        $self->{redis}, '--dir', $dir, '--appendonly', 'yes', '--save', '');

    $self->wait_until('Redis answers', 10, sub {
        my $answer = `redis-cli -s '$self->{redis}' ping 2>&1`;

        return $answer =~ /^PONG/;
    }, 'redis');

    return;
}

sub start_sync {
    my ($self) = @_;

    $self->spawn('sync', "$self->{build}/bin/apikey-sync", '--store',
        $self->{url}, '--table', $self->{table}, '--state',
        "$self->{dir}/state", '--edge', 'demo');

    return;
}

sub start_nginx {
    my ($self) = @_;

    # a port that is free now can be taken before nginx has it
    for my $try (1 .. 5) {
        $self->{port} = free_port();
        unlink "$self->{sockets}/upstream.sock";
        write_file("$self->{dir}/nginx.conf", $self->nginx_conf);

        $self->spawn('nginx', nginx(), '-p', "$self->{dir}/nginx", '-e',
            "$self->{dir}/error.log", '-c', "$self->{dir}/nginx.conf");

        my $up = eval {
            $self->wait_until('nginx answers', 10,
                sub { $self->answers }, 'nginx');
            1;
        };

        return if $up;

        die $@ if $try == 5 || $self->log_of('nginx') !~ /bind\(\)/;
    }
}

sub nginx {
    return -x '/usr/sbin/nginx' ? '/usr/sbin/nginx' : 'nginx';
}

sub nginx_conf {
    my ($self) = @_;

    my $user = $> == 0 ? 'user root;    # the checkout may be root\'s alone' : '';
    my $gate = $self->{conf} // $self->gate_conf;

    return <<"CONF";
load_module $self->{build}/nginx/ngx_http_apikey_module.so;

$user
daemon off;
worker_processes $self->{workers};
pid nginx.pid;
error_log $self->{dir}/error.log notice;

events {
    worker_connections 512;
}

http {
    access_log $self->{dir}/access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 100000000;

    apikey_table $self->{table};
    apikey_pepper $self->{pepper};

    server {
        listen 127.0.0.1:$self->{port} reuseport;

$gate
        location = /open {
            return 200 "no key needed\\n";
        }
    }

    # The upstream: says who it was told is calling.
    server {
        listen unix:$self->{sockets}/upstream.sock;
        access_log off;

        location / {
            default_type text/plain;
            return 200 "id \$http_x_apikey_id
member \$http_x_apikey_member
tenant \$http_x_apikey_tenant
scopes \$http_x_apikey_scopes
credential \$http_authorization\$http_x_api_key
";
        }
    }
}
CONF
}

sub gate_conf {
    my ($self) = @_;

    return <<"CONF";
        location / {
            apikey on;

            proxy_pass http://unix:$self->{sockets}/upstream.sock;
            proxy_set_header X-Apikey-Id     \$apikey_id;
            proxy_set_header X-Apikey-Member \$apikey_member;
            proxy_set_header X-Apikey-Tenant \$apikey_tenant;
            proxy_set_header X-Apikey-Scopes \$apikey_scopes;
        }

CONF
}

sub answers {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}")
        or return 0;

    syswrite $socket, "GET /open HTTP/1.0\r\n\r\n";

    return (readline($socket) // '') =~ m{^HTTP/1.1 200};
}

# ---- using ----------------------------------------------------------------

# What a shell, and apikeyctl, need to know.
sub env {
    my ($self) = @_;

    return (
        APIKEY_URL    => 'http://127.0.0.1:' . ($self->{port} // 0) . '/',
        APIKEY_REDIS  => $self->{url},
        APIKEY_PEPPER => $self->{pepper},
        APIKEY_TABLE  => $self->{table},
        APIKEYCTL     => "$self->{build}/bin/apikeyctl",
        NGINX_CONF    => "$self->{dir}/nginx.conf",
    );
}

# What apikeyctl printed; dies if it failed.
sub ctl {
    my ($self, @args) = @_;

    open my $pipe, '-|', "$self->{build}/bin/apikeyctl", @args
        or die "apikeyctl: $!\n";

    my $out = do { local $/; readline $pipe } // '';

    close $pipe or die "apikeyctl $args[0] failed\n";

    return $out;
}

# Makes a key for a member; returns its id and its text once nginx accepts it.
sub make_key {
    my ($self) = @_;

    $self->ctl('member', 'add', 'bench', '--name', 'bench', '--tenant', 'bench');

    my $out = $self->ctl('create', '--member', 'bench', '--name', 'bench', '--json');
    my ($id)   = $out =~ /"id"\s*:\s*"(key_\w+)"/ or die "no id in $out\n";
    my ($text) = $out =~ /"key"\s*:\s*"([^"]+)"/   or die "no key in its answer\n";

    return ($id, $text);
}

# ---- stopping -------------------------------------------------------------

sub running {
    my ($self) = @_;

    return !grep { !$self->alive($_) } PROCESSES;
}

sub stop {
    my ($self) = @_;

    $self->stop_process($_) for reverse PROCESSES;

    # sockets that did not fit into the directory
    if (open my $file, '<', "$self->{dir}/place") {
        chomp(my $place = readline $file);
        remove_tree($place) if $place =~ m{^/tmp/apikey-\w{6}$};
        unlink "$self->{dir}/place";
    }

    return;
}

# signal: TERM if none is given.
sub stop_process {
    my ($self, $name, $signal) = @_;

    my $pid = $self->alive($name);

    if ($pid) {
        kill $signal // 'TERM', $pid;

        if (!eval { wait_for(10, sub { !$self->alive($name) }); 1 }) {
            kill 'KILL', $pid;
            wait_for(10, sub { !$self->alive($name) });
        }
    }

    unlink "$self->{dir}/$name.pid";

    return;
}

# ---- processes ------------------------------------------------------------

# Starts a command detached: a session of its own, no terminal, its output in
# NAME.log, its pid and identity in NAME.pid.
sub spawn {
    my ($self, $name, @cmd) = @_;

    pipe my $read, my $write or die "pipe: $!\n";
    defined(my $child = fork) or die "fork: $!\n";

    if ($child == 0) {
        POSIX::setsid();
        defined(my $pid = fork) or POSIX::_exit(127);
        POSIX::_exit(0) if $pid;

        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        syswrite $write, "$$\n";

        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$self->{dir}/$name.log";
        open STDERR, '>&', \*STDOUT;

        no warnings 'exec';
        exec { $cmd[0] } @cmd;
        print STDERR "cannot run $cmd[0]: $!\n";
        POSIX::_exit(127);
    }

    close $write;
    waitpid $child, 0;
    chomp(my $pid = readline $read);
    write_file("$self->{dir}/$name.pid", "$pid " . identity($pid) . "\n");

    return;
}

# Its pid if the process that the pid file means is alive, else 0.
sub alive {
    my ($self, $name) = @_;

    open my $file, '<', "$self->{dir}/$name.pid" or return 0;

    my ($pid, $identity) = (readline($file) // '') =~ /^(\d+) (\S+)$/
        or return 0;

    return identity($pid) eq $identity ? $pid : 0;
}

# What no later process with the same pid has: when it was started (clock
# ticks since the boot, proc(5)) and the boot.  "gone" if it has ended.
sub identity {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/stat" or return 'gone';

    my ($state, $rest) = (readline($file) // '') =~ /^.*\) (\S) (.*)$/
        or return 'gone';

    return 'gone' if $state =~ /[ZX]/;

    open my $boot, '<', '/proc/sys/kernel/random/boot_id' or die "/proc: $!\n";
    chomp(my $boot_id = readline $boot);

    return (split ' ', $rest)[18] . "/$boot_id";
}

sub wait_until {
    my ($self, $what, $seconds, $sub, $name) = @_;

    return if eval {
        wait_for($seconds, sub {
            die "ended\n" if !$self->alive($name);
            return $sub->();
        });
        1;
    };

    die "$what: not within $seconds s, or it has ended.  Its last words, in"
        . " $self->{dir}:\n" . $self->log_of($name);
}

# The last lines of a process's logs.
sub log_of {
    my ($self, $name) = @_;

    my @files = ("$self->{dir}/$name.log",
        $name eq 'nginx' ? "$self->{dir}/error.log" : ());
    my @lines;

    for my $path (@files) {
        open my $file, '<', $path or next;
        push @lines, readline $file;
    }

    return join '', @lines > 10 ? @lines[-10 .. -1] : @lines;
}

sub wait_for {
    my ($seconds, $sub) = @_;

    my $end = time + $seconds;

    while (!$sub->()) {
        die "waited $seconds s in vain\n" if time > $end;
        sleep 0.01;
    }

    return;
}

sub free_port {
    my $socket = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 1,
    ) or die "no free port: $!\n";

    return $socket->sockport;
}

sub write_file {
    my ($path, $text) = @_;

    open my $file, '>', "$path.new" or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";

    return;
}

1;
