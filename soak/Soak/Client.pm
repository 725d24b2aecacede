package Soak::Client;

# A client of one gate, in a process of its own: asks without end, over
# connections that it keeps and over new ones, for keys that it hears of
# through a feed, and most often for those that it heard of last.
#
#   my $c = Soak::Client->start(edge => 'e1', port => $port, feed => $file,
#                               history => "$dir/client-1", pause => 0.002);
#   $c->finish;
#
#   Soak::Client->new(..., text => { ID => TEXT }, log => $history)->ask($id);
#
# The feed is a file that others append lines to: id, a tab, the key's text;
# or `end`, and the client ends.

use strict;
use warnings;

use IO::Handle ();
use POSIX ();
use Time::HiRes ();

use Apikey::HTTP ();
use Soak::History ();

use constant {
    HOT      => 6,      # keys that were named last
    FRESH    => 0.3,    # of the requests go over a new connection
    PATIENCE => 30,     # seconds for an answer
};

sub new {
    my ($class, %opt) = @_;

    return bless {%opt}, $class;
}

sub start {
    my ($class, %opt) = @_;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        @SIG{qw(HUP INT ALRM TERM PIPE)} = (('DEFAULT') x 4, 'IGNORE');

        my $done = eval { $class->new(%opt)->run; 1 };

        print {*STDERR} "a client of $opt{edge}: $@" if !$done;
        POSIX::_exit($done ? 0 : 1);
    }

    return bless { pid => $pid }, $class;
}

# Waits for its end; 1 if all it did is in its history.
sub finish {
    my ($self) = @_;

    waitpid $self->{pid}, 0;

    return $? == 0;
}

sub kill { return CORE::kill 'KILL', $_[0]{pid} }

sub run {
    my ($self) = @_;

    $self->{log} = Soak::History->new($self->{history});

    open $self->{in}, '<', $self->{feed} or die "$self->{feed}: $!\n";
    srand $self->{seed};

    while ($self->hear) {
        my $key = $self->choose;

        $self->ask($key) if $key;
        Time::HiRes::sleep($self->{pause});
    }

    $self->{log}->flush;

    return;
}

# 0 if that is the end.
sub hear {
    my ($self) = @_;

    seek $self->{in}, 0, 1;    # what was appended since

    while (defined(my $line = readline $self->{in})) {
        if ($line !~ /\n\z/) {
            seek $self->{in}, -length $line, 1;
            last;
        }

        return 0 if $line eq "end\n";

        my ($id, $text) = $line =~ /^(\S+)\t(\S+)/ or next;

        push @{ $self->{ids} }, $id if !$self->{text}{$id};
        $self->{text}{$id} = $text;
        $self->{hot} = [ $id, grep { $_ ne $id } @{ $self->{hot} || [] } ];
        splice @{ $self->{hot} }, HOT if @{ $self->{hot} } > HOT;
    }

    return 1;
}

sub choose {
    my ($self) = @_;

    my $list = rand() < 0.6 ? $self->{hot} : $self->{ids};

    return $list && $list->[ rand @$list ];
}

sub ask {
    my ($self, $id) = @_;

    if (rand() < FRESH) {
        close_connection(delete $self->{kept});
    }

    local $Apikey::HTTP::TIMEOUT = PATIENCE;

    my $begin = Soak::History::now();
    my ($response, $why);

    my $ok = eval {
        $self->{kept} //= {
            opened => $begin,
            http   => Apikey::HTTP->connect($self->{port}),
        };
        $self->{kept}{http}->send("GET / HTTP/1.1\r\nHost: gate\r\n"
            . "Authorization: Bearer $self->{text}{$id}\r\n\r\n");
        $response = $self->{kept}{http}->response;
        1;
    };
    my $end = Soak::History::now();

    if (!$ok) {
        $why = $@ =~ /no answer within/ ? 'timeout'
             : $@ =~ /cannot connect/   ? 'connect' : 'broken';

    } elsif (!$response || !$response->status) {
        $why = 'broken';

    } elsif (length $response->body
             < ($response->header('Content-Length') // 0))
    {
        $why = 'cut';
    }

    my %check = (
        edge   => $self->{edge},
        key    => $id,
        begin  => $begin,
        end    => $end,
        opened => $self->{kept} ? $self->{kept}{opened} : $begin,
        status => 0,
        code   => $why,
    );

    if (!defined $why) {
        %check = (
            %check,
            status => $response->status,
            code   => $response->body =~ /"code":\s*"(\w+)"/ ? $1 : '',
            id     => $response->header('X-Key-Id') // '',
            worker => $response->header('X-Worker') // '',
        );
    }

    $self->{log}->put(check => \%check);

    close_connection(delete $self->{kept})
        if defined $why
        || ($response->header('Connection') // '') eq 'close';

    return;
}

sub close_connection {
    my ($kept) = @_;

    $kept->{http}->close if $kept && $kept->{http};

    return;
}

1;
