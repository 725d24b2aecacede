package Soak::Feed;

# Where clients hear of keys: a file that several processes append lines to.

use strict;
use warnings;

use Fcntl qw(O_APPEND O_CREAT O_WRONLY);

sub new {
    my ($class, $path) = @_;

    sysopen my $file, $path, O_WRONLY | O_APPEND | O_CREAT or die "$path: $!";

    return bless { path => $path, file => $file }, $class;
}

sub path { return $_[0]{path} }

sub name {
    my ($self, $key) = @_;

    return $self->line("$key->{id}\t$key->{text}");
}

sub end { return $_[0]->line('end') }

# One write, which no other process can part.
sub line {
    my ($self, $line) = @_;

    defined syswrite $self->{file}, "$line\n" or die "$self->{path}: $!";

    return;
}

1;
