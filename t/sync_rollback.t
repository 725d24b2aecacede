# A store that loses its last changes, and uses their versions again, while
# apikey-sync is in the middle of something: what it had taken of the lost
# history counts for nothing.  Row S2_CLOSE of the model (model/README.md).

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;

use Apikey::Daemon;
use Apikey::Process;
use Apikey::Proxy;
use Apikey::Redis;

my $STORE = '{apikey}';
my $dir   = Apikey::Process::tempdir();
my $r     = Apikey::Redis->start;

$r->load_library->init(lease => 3000);

# more than a page of them: the records of the last come after the log was asked
my @keys = map { $r->create(digest => sha256_hex("k$_"), status => "disabled") } 1 .. 600;
my $key  = $keys[-1];

sub touch {
    my ($name) = @_;

    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!";
    close $fh;

    return;
}

sub wait_touched {
    my ($name) = @_;

    return Apikey::Process::wait_for(sub { -e "$dir/$name" }, 20, $name);
}

sub dump_store {
    return { map { $_ => $r->ok('DUMP', $_) } @{ $r->ok('KEYS', "$STORE:*") } };
}

# What a failover to a replica that was behind does.
sub lose {
    my ($dump) = @_;

    $r->ok('MULTI');
    $r->ok('DEL', "$STORE:log", keys %$dump);
    $r->ok('RESTORE', $_, 0, $dump->{$_}) for sort keys %$dump;
    $r->ok('EXEC');

    return;
}

sub acked {
    return $r->acked('e1');
}

# ---- S2: a snapshot has read a record that is newer than its first page --------

# The last page's records wait for the change, the log for the failover; pushes
# are lost.
my $proxy = Apikey::Proxy->start(redis => $r, hook => sub {
    my ($from, $bytes, $conn) = @_;

    return if $from ne 'c' || -e "$dir/over";

    if ($bytes =~ /HMGET.*$key->{id}/s) {
        touch('paged');
        $conn->{hold} = sub { -e "$dir/changed" };

    } elsif ($bytes =~ /apikey_since/ && -e "$dir/changed") {
        touch('asked');
        $conn->{hold} = sub { -e "$dir/over" };
    }
});

$proxy->set(lose => 1);

my $d = Apikey::Daemon->start(url => $proxy->url, edge => 'e1');

wait_touched('paged');

my $before = dump_store();
my $lost   = $r->set_status($key->{id}, 'enabled');

touch('changed');
wait_touched('asked');
lose($before);

my $again = $r->set_status($key->{id}, 'revoked');

is $again->{version}, $lost->{version}, 'the version is used again';
touch('over');
$proxy->reset;
$proxy->set(lose => 0);
Apikey::Process::wait_for(sub { acked() >= $again->{version} }, 20,
                          'the acknowledgement');
is $d->status($key->{digest}), 'revoked',
    'what is acknowledged is the change that the store has now';
is $d->stop, 0, 'exit 0';

done_testing;
