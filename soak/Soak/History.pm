package Soak::History;

# What happened in a round of the soak, as lines of a file: the kind of the
# record, then its fields, with tabs between.  Any process may write; the
# order of the lines means nothing, only the times in them do.
#
#   my $log = Soak::History->new("$dir/history.client-1");
#   $log->put(check => { edge => 'e1', key => $id, begin => now(), ... });
#   my $history = Soak::History::read(@files);     # { check => [ {}, ... ] }
#   Soak::History::write($file, $history);         # one file, ordered by time
#
# Times are seconds of CLOCK_BOOTTIME, one clock for all processes of the
# machine, and the table's own.  What is not known is empty.
#
#   lease   seconds
#   check   one request: `begin` is taken before its first byte is sent, `end`
#           after its last one was read.  `opened`: when its connection was.
#           status 0: no answer, and `code` says why.  `id`: which key the
#           gate took it for.  `worker`: the pid that answered
#   change  one change of a key: kind is create (enabled), create_disabled,
#           enable, disable or revoke.  outcome: ok, refused (it was not
#           made), unknown.  `proven`: when the wait had come to its end with
#           success.  `replicas`: how many had it by then.  `acked`: the edges
#           that acknowledged it, commas between; the others were silent for
#           longer than a lease
#   loss    the store lost what came after version `kept`: failover, truncate
#           or restore.  At no time between `begin` and `end` could a client
#           change anything
#   dark    no lease of this edge could be renewed in this time
#   breaks  connections of this edge may have been broken
#   closes  connections of this edge that were open before may have been closed
#           between two requests
#   damage  files of this edge's table were damaged, and not mended yet
#   fault   a fault was on (of this edge, or * for all)
#   truth   what the store says at the end, when every edge has applied all of
#           it: enabled, disabled, revoked or absent

use strict;
use warnings;

use Carp qw(croak);
use IO::Handle ();
use Time::HiRes qw(clock_gettime CLOCK_BOOTTIME);

my %FIELDS = (
    lease  => [qw(seconds)],
    check  => [qw(edge worker key begin end status code opened id)],
    change => [
        qw(key kind sent answered version outcome proven replicas acked)],
    loss   => [qw(kind begin end kept)],
    dark   => [qw(edge begin end why)],
    breaks => [qw(edge begin end why)],
    closes => [qw(edge begin end why)],
    damage => [qw(edge begin end why)],
    fault  => [qw(edge begin end why)],
    truth  => [qw(key status at)],
);

sub now { return clock_gettime(CLOCK_BOOTTIME) }

sub new {
    my ($class, $path) = @_;

    open my $file, '>>', $path or croak "$path: $!";

    return bless { file => $file, path => $path }, $class;
}

sub path { return $_[0]{path} }

sub put {
    my ($self, $kind, $record) = @_;

    print { $self->{file} } line($kind, $record);

    return $self;
}

sub flush { return $_[0]{file}->flush }

sub line {
    my ($kind, $record) = @_;

    my $fields = $FIELDS{$kind} or croak "no record of the kind $kind";

    return join("\t", $kind, map { text($record->{$_}) } @$fields) . "\n";
}

sub text {
    my ($value) = @_;

    return '' if !defined $value;
    return $value =~ /^\d+\.\d+$/ ? sprintf '%.6f', $value : $value;
}

# A history with an empty list for each kind.
sub none {
    return { map { $_ => [] } keys %FIELDS };
}

sub read {
    my (@paths) = @_;

    my $history = none();

    for my $path (@paths) {
        open my $file, '<', $path or croak "$path: $!";

        while (defined(my $line = readline $file)) {
            next if $line =~ /^(?:#|$)/;
            chomp $line;

            my ($kind, @values) = split /\t/, $line, -1;
            my $fields = $FIELDS{$kind}
                or croak "$path:$.: no record of the kind $kind";

            croak "$path:$.: $kind has " . @$fields . ' fields'
                if @values != @$fields;

            my %record;

            @record{@$fields} = @values;
            push @{ $history->{$kind} }, \%record;
        }
    }

    return $history;
}

# notes: lines for the head of the file.
sub write {
    my ($path, $history, @notes) = @_;

    my @lines;

    for my $kind (keys %$history) {
        push @lines,
            map { [ $_->{begin} // $_->{sent} // $_->{at} // 0,
                    line($kind, $_) ] } @{ $history->{$kind} };
    }

    open my $file, '>', $path or croak "$path: $!";
    print {$file} (map { "# $_\n" } @notes),
                  map { $_->[1] } sort { $a->[0] <=> $b->[0] } @lines;
    close $file or croak "$path: $!";

    return;
}

1;
