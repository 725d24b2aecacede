package Apikey::Table;

# A table without a store: a real writer, driven by hand, and the pepper file
# that goes with it.
#
#   my $t = Apikey::Table->start;              # empty, with a lease
#   my $k = $t->key(member => 'mem_1');        # { text, id, ... }, published
#   $t->set($k, status => 'revoked');
#   $t->renew(60_000); $t->command('publish');
#   $t->dir; $t->pepper;                       # paths, for nginx.conf
#   $t->stop;                                  # the writer; the table stays
#
# start(bare => 1) makes no generation; dir => PATH takes a directory that is
# there; pepper => PATH takes a file that is there.

use strict;
use warnings;

use Carp qw(croak);
use IPC::Open2 qw(open2);

use Apikey::Process ();

my $serial = 0;

sub start {
    my ($class, %opt) = @_;

    my $home = Apikey::Process::tempdir();
    my $self = bless {
        home    => $home,
        dir     => $opt{dir} // "$home/table",
        pepper  => $opt{pepper} // "$home/pepper",
        version => $opt{version} // 0,
    }, $class;

    $self->pepper_file($self->{pepper}, 'p1') if !-e $self->{pepper};

    if (!-d $self->{dir}) {
        mkdir $self->{dir}, 0755 or die "$self->{dir}: $!";
    }

    $self->writer;
    $self->fresh if !$opt{bare};

    return $self;
}

sub dir    { return $_[0]{dir} }
sub pepper { return $_[0]{pepper} }

# A generation for this many keys, the pepper named, a lease of an hour.
sub fresh {
    my ($self, $keys) = @_;

    $self->command('begin', $keys // 1000, 1_000_000);
    $self->command('publish');
    $self->command('peppers', ($self->fingerprints)[0]);
    $self->renew(3_600_000);

    return $self;
}

# Starts the writer, which takes the lock of the directory.
sub writer {
    my ($self) = @_;

    my $tool = Apikey::Process::build_dir() . '/t/tools/tablectl';

    pipe my $in,  $self->{to}  or die "pipe: $!";
    pipe $self->{from}, my $out or die "pipe: $!";

    $self->{to}->autoflush(1);
    $self->{process} = Apikey::Process->start(
        cmd => [ $tool, $self->{dir} ], stdin => $in, stdout => $out);

    close $in;
    close $out;
    $self->answer("$tool $self->{dir}");

    return $self;
}

sub command {
    my ($self, @words) = @_;

    local $SIG{PIPE} = 'IGNORE';

    print { $self->{to} } join("\t", @words), "\n";

    return $self->answer("@words");
}

sub answer {
    my ($self, $to) = @_;

    my $answer = readline $self->{from};

    croak "tablectl: $to: " . ($answer // 'it ended')
        if !defined $answer || $answer !~ /^ok/;

    return $self;
}

sub renew { return $_[0]->command('renew', $_[1]) }

# A new key, enabled unless said otherwise.
sub key {
    my ($self, %key) = @_;

    $serial++;

    $key{text}    //= sprintf 'mm_test%033d', $serial;
    $key{id}      //= sprintf 'key_%020d', $serial;
    $key{status}  //= 'enabled';
    $key{expires} //= 0;
    $key{member}  //= "mem_$serial";
    $key{tenant}  //= 'ten_1';
    $key{name}    //= "key $serial";
    $key{scopes}  //= '';
    $key{digest}  //= $self->digest($key{text});

    return $self->set(\%key);
}

# Changes a key, and raises its version.
sub set {
    my ($self, $key, %change) = @_;

    @$key{ keys %change } = values %change;
    $key->{version} = ++$self->{version};

    $self->command('put', map { $_ eq '' ? '-' : $_ }
        @$key{qw(digest status version expires id member tenant name scopes)});

    return $key;
}

sub digest {
    my ($self, $text, $pepper) = @_;

    return keydigest("$text\n", $pepper // $self->{pepper});
}

sub fingerprints {
    my ($self, $pepper) = @_;

    return split /\n/, keydigest('', '-f', $pepper // $self->{pepper});
}

sub keydigest {
    my ($input, @args) = @_;

    my $tool = Apikey::Process::build_dir() . '/t/tools/keydigest';
    my $pid  = open2(my $out, my $in, $tool, @args);

    print $in $input;
    close $in;

    my $answer = do { local $/; readline $out };

    waitpid $pid, 0;
    croak "keydigest @args: failed" if $?;
    chomp $answer;

    return $answer;
}

# Writes a pepper file with fixed secrets, one for each id.
sub pepper_file {
    my ($self, $path, @ids) = @_;

    require MIME::Base64;

    open my $file, '>', $path or die "$path: $!";

    for my $id (@ids) {
        my $secret = substr "pepper $id of the tests" . '.' x 32, 0, 32;

        print $file "$id:", MIME::Base64::encode_base64($secret, ''), "\n";
    }

    close $file or die "$path: $!";
    chmod 0600, $path or die "$path: $!";

    return $path;
}

# Ends the writer, cleanly; the table stays as it is.
sub stop {
    my ($self) = @_;

    close delete $self->{to} if $self->{to};

    if (my $process = delete $self->{process}) {
        $process->wait(5);
        $process->stop;
    }

    return;
}

sub process { return $_[0]{process} }

1;
