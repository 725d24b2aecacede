package Apikey::Edge;

# A whole edge, all of it real: a private Redis with an initialised store, the
# daemon, nginx in front of an upstream that echoes what it was told, and
# apikeyctl.
#
#   my $e = Apikey::Edge->start(workers => 2, lease => 2000, http => '...');
#   my $key = $e->key(name => 'ci');          # { id, text }
#   $e->ctl->ok('disable', $key->{id});
#   $e->get($key)->status;                    # through the gate
#   $e->wait_status($key, 401, 'disabled');
#   $e->redis, $e->daemon, $e->nginx
#
# The gate is "/" of %%PORT%%; `main`, `http` and `server` add directives to
# the configuration.  daemon => 0 leaves the daemon out until start_daemon();
# redis_env and nginx_env add to their environments; upgradable is as for
# Apikey::Nginx.

use strict;
use warnings;

use Apikey::Ctl ();
use Apikey::Daemon ();
use Apikey::Nginx ();
use Apikey::Process ();
use Apikey::Redis ();

sub start {
    my ($class, %opt) = @_;

    my $redis = Apikey::Redis->start(
        conf => [ qw(--appendonly yes --appendfsync always) ],
        env => $opt{redis_env});
    my $table = Apikey::Process::tempdir();
    my $ctl   = Apikey::Ctl->new(url => $redis->url);

    my $self = bless {
        redis => $redis,
        table => $table,
        ctl   => $ctl,
    }, $class;

    $ctl->ok('init', '--lease=' . ($opt{lease} || 5000) . 'ms');

    my $http   = $opt{http}   // '';
    my $server = $opt{server} // '';

    $self->{nginx} = Apikey::Nginx->start(
        table   => $table,
        pepper  => $ctl->pepper,
        workers => $opt{workers} || 2,
        env     => $opt{nginx_env},
        upgradable => $opt{upgradable},
        main    => $opt{main},
        (defined $opt{expect_log} ? (expect_log => $opt{expect_log}) : ()),
        http => <<"END");
    $http
    server {
        listen %%PORT%%;
        $server
        location / {
            apikey on;
            proxy_pass http://unix:%%DIR%%/upstream.sock;
            proxy_set_header X-Key-Id \$apikey_id;
            proxy_set_header X-Tenant \$apikey_tenant;
            proxy_set_header X-Member \$apikey_member;
            proxy_set_header X-Scopes \$apikey_scopes;
        }
    }
    server {
        listen unix:%%DIR%%/upstream.sock;
        location / {
            return 200 "id=\$http_x_key_id member=\$http_x_member tenant=\$http_x_tenant scopes=\$http_x_scopes credential=\$http_authorization\$http_x_api_key";
        }
    }
END

    $self->start_daemon if $opt{daemon} // 1;

    return $self;
}

sub redis  { return $_[0]{redis} }
sub nginx  { return $_[0]{nginx} }
sub daemon { return $_[0]{daemon} }
sub table  { return $_[0]{table} }

# Starts one, or another one, and waits until it has a lease.
sub start_daemon {
    my ($self, %opt) = @_;

    $self->{daemon} = Apikey::Daemon->start(
        redis => $self->{redis},
        table => $self->{table},
        edge  => 'edge-1',
        %opt,
    );
    eval { $self->{daemon}->wait_ready; 1 } or die $@ . $self->{daemon}->log;

    return $self->{daemon};
}

sub ctl    { return $_[0]{ctl} }

# A key made by apikeyctl that the gate knows already, if there is a daemon.
sub key {
    my ($self, %opt) = @_;

    my $key = $self->{ctl}->key(%opt);

    $self->wait_status($key, $opt{disabled} ? 401 : 200) if $self->{daemon};

    return $key;
}

# A key's digest, as the daemon's table and the store know it.
sub digest {
    my ($self, $key) = @_;

    return $self->{redis}->fcall_hash('get', $key->{id})->{digest};
}

sub get {
    my ($self, $key, $path) = @_;

    return $self->{nginx}->get($path // '/',
                               Authorization => "Bearer $key->{text}");
}

# Waits until the gate answers so, at once or within the seconds given (5).
sub wait_status {
    my ($self, $key, $status, $code, $seconds) = @_;

    return Apikey::Process::wait_for(sub {
        my $response = $self->get($key);

        return $response && $response->status == $status
            && (!defined $code || $response->code eq $code) && $response;
    }, $seconds // 5, "$status " . ($code // ''));
}

# The gate's answers as "status code", one for each new connection of n.
sub answers {
    my ($self, $key, $n) = @_;

    my %seen;

    for (1 .. $n) {
        my $r = $self->get($key);

        $seen{ $r->status . ($r->status == 200 ? '' : ' ' . $r->code) }++;
    }

    return \%seen;
}

sub stop {
    my ($self) = @_;

    $self->{daemon}->stop if $self->{daemon};
    $self->{nginx}->stop;
    $self->{redis}->stop;

    return;
}

1;
