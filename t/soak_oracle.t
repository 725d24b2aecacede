# The judge of the soak on histories that are made by hand: it finds each kind
# of violation, and lets pass what is none.

use strict;
use warnings;

use lib 't/lib', 'soak';

use Test::More;

use Apikey::Process;
use Soak::History;
use Soak::Oracle;

# ---- histories by hand ---------------------------------------------------------

# A key's change that took 0.1 s, and was proven 0.1 s later unless it says
# otherwise.
sub change {
    my ($kind, $sent, $version, %more) = @_;

    return [ change => {
        key => 'k', kind => $kind, sent => $sent, answered => $sent + 0.1,
        version => $version, outcome => 'ok', proven => $sent + 0.2,
        replicas => 0, acked => 'e1,e2', %more,
    } ];
}

# What was sent, and whose answer was lost.
sub unknown {
    my ($kind, $sent) = @_;

    return change($kind, $sent, '', outcome => 'unknown', proven => '',
                  acked => '');
}

# A check that took 0.01 s, over a connection of its own: answered "200",
# "401 revoked", "0 broken".
sub check {
    my ($begin, $answer, %more) = @_;

    my ($status, $code) = split / /, $answer;

    return [ check => {
        edge => 'e1', worker => 1, key => 'k', begin => $begin,
        end => $begin + 0.01, status => $status, code => $code // '',
        opened => $begin, id => $status == 200 ? 'k' : '', %more,
    } ];
}

sub span {
    my ($kind, $begin, $end, $edge) = @_;

    return [ $kind => { edge => $edge // 'e1', begin => $begin, end => $end,
                        why => 'the test' } ];
}

sub loss {
    my ($begin, $kept, $kind) = @_;

    return [ loss => { kind => $kind // 'failover', begin => $begin,
                       end => $begin + 0.5, kept => $kept } ];
}

sub truth {
    my ($at, $status) = @_;

    return [ truth => { key => 'k', status => $status, at => $at } ];
}

# The rules that were broken; the history goes through a file.
my $file = Apikey::Process::tempdir() . '/history';

sub rules {
    my (@records) = @_;

    my $log = Soak::History->new($file);

    $log->put(lease => { seconds => 1 });
    $log->put(@$_) for @records;
    $log->flush;

    my @found = Soak::Oracle::judge(Soak::History::read($file), bound => 5);

    unlink $file;

    return join ' ', map { $_->{rule} } @found;
}

my @rows;

sub row { push @rows, [@_]; return }

my $made    = change(create => 1, 1);
my $off     = change(disable => 2, 2);
my $revoked = change(revoke => 2, 2);
my $silent  = change(revoke => 2, 2, acked => 'e2');

# ---- allowed -------------------------------------------------------------------

row 'a key that is enabled', '', $made, check(2, '200');
row 'a key before its create was answered', '', $made, check(1.05, '200');
row 'a key that nobody made', 'never', check(2, '200');
row 'a key before its create was sent', 'never', $made, check(0.5, '200');
row 'a key that was made disabled', 'never',
    change(create_disabled => 1, 1), check(2, '200');
row 'made disabled, and enabled', '',
    change(create_disabled => 1, 1), change(enable => 2, 2), check(2.1, '200');
row 'made disabled, and an enable refused', 'never',
    change(create_disabled => 1, 1),
    change(enable => 2, '', outcome => 'refused', proven => ''),
    check(3, '200');
row 'under the id of another', 'identity', $made, check(2, '200', id => 'j');

row 'disabled, and proven', 'disabled', $made, $off, check(2.3, '200');
row 'disabled: on the edge that was silent, too', 'disabled', $made,
    change(disable => 2, 2, acked => 'e2'), check(2.3, '200');
row 'disabled: a check that began before the proof', '', $made, $off,
    check(2.195, '200');
row 'disabled, and not proven', '', $made,
    change(disable => 2, 2, proven => ''), check(3, '200');
row 'disabled, and enabled again', '', $made, $off, change(enable => 3, 3),
    check(3.05, '200');
row 'disabled, and enabled after the check', 'disabled', $made, $off,
    change(enable => 3, 3), check(2.9, '200');
row 'disabled, and an enable whose answer was lost', '', $made, $off,
    unknown(enable => 3), check(9, '200');
row 'disabled after an enable whose answer was lost', '', $made,
    unknown(enable => 1.5), $off, check(9, '200');
row 'disabled after an enable', 'disabled', $made,
    change(enable => 1.5, 2), change(disable => 2, 3), check(3, '200');
row 'at once with an enable of a lower version', 'disabled', $made,
    change(enable => 2, 2), change(disable => 2, 3), check(3, '200');
row 'at once with an enable of a higher version', '', $made,
    change(enable => 2, 3), change(disable => 2, 2), check(3, '200');

row 'revoked, and proven', 'revoked', $made, $revoked, check(2.3, '200');
row 'revoked, and enabled', 'revoked', $made, $revoked,
    change(enable => 3, 3), check(4, '200');
row 'revoked, and an enable whose answer was lost', 'revoked', $made, $revoked,
    unknown(enable => 3), check(4, '200');
row 'revoked, and not proven', '', $made,
    change(revoke => 2, 2, proven => ''), check(3, '200');
row 'this edge had said so', 'revoked', $made,
    change(revoke => 2, 2, proven => ''), check(3, '401 revoked'),
    check(4, '200');
row 'another edge had said so', '', $made,
    change(revoke => 2, 2, proven => ''),
    check(3, '401 revoked', edge => 'e2'), check(4, '200');
row 'this edge had said so before its files were damaged', '', $made,
    change(revoke => 2, 2, proven => ''), check(3, '401 revoked'),
    span(damage => 3.5, 3.8), check(4, '200');
row 'this edge had said so, and again after that', 'revoked', $made,
    change(revoke => 2, 2, proven => ''), check(3, '401 revoked'),
    span(damage => 3.5, 3.8), check(4, '401 revoked'), check(5, '200');

# ---- what the store loses ------------------------------------------------------

row 'a disable that was lost', '', $made, $off, loss(3, 1), check(4, '200');
row 'a disable that was kept', 'disabled', $made, $off, loss(3, 2),
    check(4, '200');
row 'a disable that is lost after the check', 'disabled', $made, $off,
    loss(3, 1), check(2.9, '200');
row 'kept at first, and lost later', '', $made, $off, loss(3, 2),
    loss(5, 1), check(6, '200');
row 'a disable of a version that was given out again', 'disabled', $made,
    loss(1.4, 1), $off, check(4, '200');
row 'an enable of a history before', 'disabled', $made,
    change(enable => 1.2, 5), loss(1.5, 5), change(disable => 3, 6),
    check(4, '200');
row 'a disable that was under way meanwhile', '', $made,
    change(disable => 2.9, 2), loss(2.95, 1), check(4, '200');
row 'a revoke that was lost, on an edge that had acknowledged it', 'revoked',
    $made, $revoked, loss(3, 1), check(4, '200');
row 'that was under way meanwhile, on such an edge', 'revoked', $made,
    change(revoke => 2.9, 2, proven => 4), loss(2.95, 1), check(4.1, '200');
row 'a revoke that was lost, on an edge that had not', '', $made, $silent,
    loss(3, 1), check(4, '200');
row 'a revoke that was kept, on an edge that had not', 'revoked', $made,
    $silent, loss(3, 2), check(4, '200');
row 'a revoke that was proven with a replica, and lost', 'forgotten', $made,
    change(revoke => 2, 2, replicas => 1), loss(3, 1);
row 'with a replica, and lost by a backup', '', $made,
    change(revoke => 2, 2, replicas => 1), loss(3, 1, 'restore');
row 'with a replica, and kept', '', $made,
    change(revoke => 2, 2, replicas => 1), loss(3, 2);

# ---- the lease -----------------------------------------------------------------

row 'in the dark, within the lease', '', $made, span(dark => 2, 9),
    check(2.99, '200');
row 'in the dark, after the lease', 'lease', $made, span(dark => 2, 9),
    check(3.001, '200');
row 'in the dark, another edge', '', $made, span(dark => 2, 9, 'e2'),
    check(5, '200');
row 'ended after the dark', '', $made, span(dark => 2, 9),
    check(8.995, '200');
row 'from one reason for the dark into another', 'lease', $made,
    span(dark => 2, 2.9), span(dark => 2.8, 9), check(3.001, '200');
row 'with light between', '', $made, span(dark => 2, 2.8),
    span(dark => 2.9, 9), check(3.5, '200');

# ---- refused -------------------------------------------------------------------

row 'disabled, though nobody did', 'denied', $made, check(2, '401 disabled');
row 'before the create was proven', '', $made, check(1.15, '401 unknown');
row 'unknown, though it was made', 'denied', $made, check(2, '401 unknown');
row 'unknown, though it was disabled', 'denied', $made, $off,
    check(3, '401 unknown');
row 'unknown, while the files are damaged', '', $made, span(damage => 2, 3),
    check(2.5, '401 unknown');
row 'revoked, though it was disabled only', 'denied', $made, $off,
    change(enable => 3, 3), check(4, '401 revoked');
row 'disabled, after a disable was sent', '', $made,
    change(disable => 2, 2, proven => ''), check(2.05, '401 disabled');
row 'disabled, after an enable was proven', 'denied', $made, $off,
    change(enable => 3, 3), check(4, '401 disabled');
row 'disabled, by a disable whose answer was lost', '', $made,
    unknown(disable => 2), change(enable => 3, 3), check(4, '401 disabled');
row 'unknown, by the loss of its create', '', $made, loss(2, 0),
    check(3, '401 unknown');
row 'a revoke that the store has lost, refused for ever', '', $made, $revoked,
    loss(3, 1), check(4, '401 revoked');

row 'stale, while a fault is on', '', span(fault => 2, 3),
    check(2.5, '503 stale');
row 'stale, while a fault of all is on', '', span(fault => 2, 3, '*'),
    check(2.5, '503 stale');
row 'stale, soon after', '', span(fault => 2, 3), check(7, '503 stale');
row 'stale, long after', 'unhealed', span(fault => 2, 3), check(9, '503 stale');
row 'stale, by a fault of another edge', 'unhealed', span(fault => 2, 3, 'e2'),
    check(2.5, '503 stale');

# ---- not answered --------------------------------------------------------------

row 'no answer', 'lost', check(2, '0 broken');
row 'no answer: a worker was killed', '', span(breaks => 1.9, 2.1),
    check(2, '0 broken');
row 'no answer: one was killed since it was opened', '',
    span(breaks => 1.9, 1.95), check(2, '0 broken', opened => 1);
row 'no answer: one was killed before', 'lost', span(breaks => 1.9, 1.95),
    check(2, '0 broken');
row 'no answer on a kept connection, reloads', '', span(closes => 1.9, 2.1),
    check(2, '0 broken', opened => 1);
row 'no answer on a new connection, reloads', 'lost', span(closes => 1.9, 2.1),
    check(2, '0 broken');
row 'no answer for long', 'lost', span(breaks => 1.9, 2.1),
    check(2, '0 timeout');
row 'an answer of another kind', 'odd', check(2, '502');
row 'a refusal without a code', 'odd', check(2, '401');

# ---- the end -------------------------------------------------------------------

row 'enabled in the end', '', $made, truth(8, 'enabled'), check(9, '200');
row 'allowed, disabled in the end', 'truth', $made,
    change(disable => 2, 2, proven => ''), truth(8, 'disabled'),
    check(9, '200');
row 'the same before the end', '', $made,
    change(disable => 2, 2, proven => ''), truth(8, 'disabled'),
    check(7, '200');
row 'refused, enabled in the end', 'truth', $made, $off,
    unknown(enable => 3), truth(8, 'enabled'), check(9, '401 disabled');
row 'refused for ever, enabled in the end', '', $made, $revoked, loss(3, 1),
    truth(8, 'enabled'), check(9, '401 revoked');
row 'revoked in the end, called disabled', 'truth', $made, $off,
    unknown(revoke => 3), truth(8, 'revoked'), check(9, '401 disabled');
row 'lost in the end, and unknown', '', $made, loss(2, 0), truth(8, 'absent'),
    check(9, '401 unknown');
row 'lost in the end, and allowed', 'truth', $made, loss(2, 0),
    truth(8, 'absent'), check(9, '200');

for my $row (@rows) {
    my ($name, $expected, @records) = @$row;

    is rules(@records), $expected, $name;
}

done_testing;
