#!/usr/bin/perl

# Mistakes on apikeyctl's command line, and its help: none of this needs a
# store, and nothing of it tries to reach one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Ctl;
use Apikey::Process;
use JSON::PP ();
use Test::More;

my $dir = Apikey::Process::tempdir();
my $ctl = Apikey::Ctl->new(url => "unix://$dir/nobody.sock");
my $id  = 'key_00000000000000000001';
my $new = [ 'create', '--member=ada', '--name=x' ];

# words, exit, what stderr says
for my $row (
    [ [],                                      2, qr/a command is missing\n  apikeyctl --help/ ],
    [ ['craete'],                              2, qr/no command craete; did you mean create\?/ ],
    [ ['xyzzy'],                               2, qr/no command xyzzy\n/ ],
    [ ["\e[31m"],                              2, qr/no command \\u\{001b\}\[31m\n/ ],
    [ ["\xff"],                                2, qr/no command \\xff\n/ ],
    [ ['--jsn'],                               2, qr/no option --jsn; did you mean --json\?/ ],
    [ ['-x'],                                  2, qr/no option -x/ ],
    [ ['list', '-x'],                          2, qr/apikeyctl list: there is no option -x/ ],
    [ ['create', '--nmae=x'],                  2, qr/no option --nmae; did you mean --name\?/ ],
    [ ['list', '--reason=x'],                  2, qr/no option --reason\n  apikeyctl list --help/ ],
    [ ['list', '--json=yes'],                  2, qr/--json takes no value/ ],
    [ ['list', '--status'],                    2, qr/--status needs a value: STATUS/ ],
    [ ['list', '--status=alive'],              2, qr/--status must be enabled, disabled or revoked/ ],
    [ ['list', '--status=expired'],            2, qr/--status must be/ ],
    [ ['list', '--limit=0'],                   2, qr/--limit must be a number, 1 or more/ ],
    [ ['list', '--limit=-1'],                  2, qr/--limit must be/ ],
    [ ['list', '--limit='],                    2, qr/--limit must be/ ],
    [ ['list', '--limit=12x'],                 2, qr/--limit must be/ ],
    [ ['list', '--limit=1234567890123456789'], 2, qr/--limit must be/ ],
    [ ['list', 'x'],                           2, qr/takes options alone/ ],
    [ ['status', 'x'],                         2, qr/takes options alone/ ],
    [ ['library', 'x'],                        2, qr/takes options alone/ ],
    [ ['init', 'x'],                           2, qr/takes options alone/ ],
    [ [ @$new, 'x' ],                          2, qr/takes options alone/ ],
    [ ['show'],                                2, qr/name a key by its id/ ],
    [ ['show', $id, $id],                      2, qr/name one key, not 2/ ],
    [ ['disable'],                             2, qr/name a key by its id/ ],
    [ ['revoke', '--yes'],                     2, qr/name a key by its id/ ],
    [ ['enable', $id, 'key_short'],            2, qr/word 2 is not the id of a key.*nothing was done/ ],
    [ ['enable', "${id}0"],                    2, qr/word 1 is not the id/ ],
    [ ['member'],                              2, qr/a command is missing\n  apikeyctl member --help/ ],
    [ ['member', 'lsit'],                      2, qr/no command lsit; did you mean list\?/ ],
    [ ['member', 'show'],                      2, qr/name one member by its id/ ],
    [ ['member', 'add', 'a', 'b'],             2, qr/name one member by its id/ ],
    [ ['edges', 'forgt', 'a'],                 2, qr/no command forgt; did you mean forget\?/ ],
    [ ['edges', 'forget'],                     2, qr/name one edge/ ],
    [ ['edges', 'forget', 'a', 'b'],           2, qr/name one edge/ ],
    [ ['edges', '--wait'],                     2, qr/no option --wait/ ],
    [ ['log', 'x'],                            2, qr/takes options alone/ ],
    [ ['log', '--since='],                     2, qr/--since must be a version, a time as in/ ],
    [ ['log', '--since=yesterday'],            2, qr/--since must be/ ],
    [ ['log', '--since=1234567890123456'],     2, qr/--since must be/ ],
    [ ['log', '--limit=0'],                    2, qr/--limit must be a number, 1 or more/ ],
    [ ['log', '--key=ada'],                    2, qr/is not the id of a key/ ],
    [ ['log', '--verify', '--limit=1'],        2, qr/--verify is about the whole log, and goes with no other option/ ],
    [ ['log', '--verify', '--follow'],         2, qr/--verify is about the whole log/ ],
    [ ['watch', 'x'],                          2, qr/takes options alone/ ],
    [ ['conflicts', 'x'],                      2, qr/takes options alone/ ],
    [ ['settle', '--revoke'],                  2, qr/name a key by its id/ ],
    [ ['settle', $id],                         2, qr/say how: --revoke or --accept/ ],
    [ ['settle', $id, '--revoke', '--accept'], 2, qr/say how: --revoke or --accept/ ],
    [ ['settle', $id, '--accept'],             2, qr/to accept needs a --reason/ ],
    [ ['settle', $id, '--accept', '--reason='],   2, qr/to accept needs a --reason/ ],
    [ ['settle', $id, '--accept', '--reason=x'],  2, qr/to accept needs --confirm=$id where nobody can be asked/ ],
    [ ['settle', $id, '--accept', '--reason=x', '--confirm=yes'], 2, qr/--confirm is not the id of this key; nothing was done/ ],
    [ ['settle', $id, '--revoke', "--confirm=$id"], 2, qr/--confirm goes with --accept/ ],
    [ ['create', '--name=x'],                  2, qr/a key needs --member and --name/ ],
    [ ['create', '--member=x'],                2, qr/a key needs --member and --name/ ],
    [ [ @$new, '--expires=' ],                 2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=tomorrow' ],         2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31' ],       2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-02-29T00:00:00Z' ],      2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-13-01T00:00:00Z' ],      2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31T24:00:00Z' ],      2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31T12:00:00' ],       2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31T12:00:00.Z' ],     2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31T12:00:00+1:00' ],  2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2027-01-31T12:00:00Zx' ],     2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=2020-01-31T12:00:00Z' ],      2, qr/must be in the future, and 2020-01-31T12:00:00Z is not\n/ ],
    [ [ @$new, '--expires=0s' ],               2, qr/must be in the future/ ],
    [ [ @$new, '--expires=3600' ],             2, qr/1970-01-01T01:00:00Z is not \(a number without a unit/ ],
    [ [ @$new, '--expires=99999w' ],           2, qr/the expiry must be a time as in/ ],
    [ [ @$new, '--expires=9999-01-01T00:00:00Z' ],      2, qr/too far away/ ],
    [ [ 'init', '--lease=5' ],                 2, qr/--lease must be a time with a unit/ ],
    [ [ 'init', '--lease=199ms' ],             2, qr/the lease must be 200ms to 1h/ ],
    [ [ 'init', '--lease=61m' ],               2, qr/the lease must be 200ms to 1h/ ],
    [ [ 'init', '--log-length=999' ],          2, qr/the length of the log must be 1000 to 100000000/ ],
    [ [ 'init', '--log-length=100000001' ],    2, qr/the length of the log/ ],
    [ [ 'init', '--prefix=a.b' ],              2, qr/the prefix must be 0 to 16 of/ ],
    [ [ 'init', '--prefix=' . 'a' x 17 ],      2, qr/the prefix must be 0 to 16 of/ ],
    [ [ 'list', '--timeout=5' ],               2, qr/--timeout must be a time with a unit/ ],
    [ [ 'list', '--timeout=0s' ],              2, qr/--timeout must be/ ],
    [ [ 'list', '--timeout=2h' ],              2, qr/--timeout must be/ ],
    [ [ 'list', '--store=http://x' ],          2, qr/--store: .*\n  as in redis:/ ],
    [ [ 'list', '--store=redis://u:SECRET@:x' ], 2, qr/--store: (?!.*SECRET)/ ],
    [ [ 'list', '--store-name=apikey' ],       2, qr/store's name must be .* in braces/ ],
    [ [ 'disable', $id, '--wait=' ],           2, qr/--wait must be a time with a unit/ ],
    [ [ 'disable', $id, '--wait=5' ],          2, qr/--wait must be a time with a unit/ ],
    [ [ 'disable', $id, '--wait=0s' ],         2, qr/--wait must be/ ],
    [ [ 'disable', $id, '--wait=25h' ],        2, qr/--wait must be/ ],
    [ [ 'disable', $id, '--wait', '5s' ],      2, qr/word 2 is not the id of a key/ ],
    [ [ 'disable', $id, '--replicas=1' ],      2, qr/--replicas goes with --wait/ ],
    [ [ 'disable', $id, '--wait', '--replicas=x' ],   2, qr/--replicas must be a number/ ],
    [ [ 'disable', $id, '--wait', '--replicas=101' ], 2, qr/--replicas must be 0 to 100/ ],
    [ [ 'list', '--wait' ],                    2, qr/no option --wait\n/ ],
    [ [ 'init', '--wait' ],                    2, qr/no option --wait/ ],
    [ [ 'list', '--user=' . 'u' x 600 ],       2, qr/--user: the name is too long/ ],
    [ [ 'disable', $id, '--actor=' ],          2, qr/the actor is empty/ ],
    [ [ 'disable', $id, '--actor=' . 'a' x 129 ],  2, qr/the actor has 129 bytes; at most 128/ ],
    [ [ 'disable', $id, "--reason=a\nb" ],     2, qr/the reason has a control character/ ],
    [ [ 'disable', $id, "--reason=\xc3(" ],    2, qr/the reason is not valid UTF-8/ ],
    [ [ 'disable', $id, '--reason=' . 'a' x 257 ], 2, qr/the reason has 257 bytes; at most 256/ ],
    [ [ @$new, ("--scope=a") x 65 ],           2, qr/--scope is repeated too often/ ],
    [ [ @$new, '--scopes=' . 'a' x 5000 ],     2, qr/at most 16 scopes of 64 bytes/ ],
    [ [ 'list', '--password-file=/nowhere' ],  6, qr{cannot read the password file /nowhere: No such} ],
    [ $new,                                    6, qr/pepper file .*\n.*apikeyctl init makes it/ ],
) {
    my ($words, $exit, $says) = @$row;
    my ($got, $out, $err) = $ctl->run(@$words);

    subtest shown(@$words) => sub {
        is($got, $exit, "exit $exit");
        is($out, '', 'nothing on stdout');
        like($err, $says, 'stderr says what is wrong');
        unlike($err, qr/[\x00-\x09\x0b-\x1f\x7f-\xff]/, 'and only that');
    };
}

# A person pastes the key where its id belongs: it must not be shown again.
for my $verb (qw(show disable enable revoke)) {
    my $text = 'mm_0123456789abcdefghijklmnopqrstuv000000';
    my ($exit, $out, $err) = $ctl->run($verb, $text);

    is($exit, 2, "$verb KEYTEXT is a mistake");
    unlike($out . $err, qr/0123456789/, 'and the text is not repeated');
}

# Help: of apikeyctl, of each command that it names, of each of member's.
my $help = $ctl->ok('--help');
my $sync = Apikey::Process::build_dir() . '/bin/apikey-sync';

is($ctl->ok('-h'), $help, '-h is --help');
is($ctl->ok('--version'), 'apikeyctl ' . (split ' ', `"$sync" --version`)[1] . "\n", 'both programs are of one release');
is($ctl->ok('help'), $help, 'help is --help');
like($help, qr/^  $_  \S/m, "help has exit code $_") for 0 .. 8;

my @verbs  = $help =~ /^  ([a-z]+) +[A-Z]/mg;
my @member = $ctl->ok('member', '--help') =~ /^  (member [a-z]+) /mg;
my @edges  = 'edges forget';

is("@verbs", 'init create list show disable enable revoke member status edges conflicts settle log watch table library', 'the commands');
is("@member", 'member add member put member list member show', "member's commands");

for my $verb (map { [ split ] } @member, @edges, grep { $_ ne 'member' } @verbs) {
    my $text = $ctl->ok(@$verb, '--help');

    like($text, qr/^Usage: apikeyctl @$verb/, "@$verb --help");
    like($text, qr/^  --$_\b/m, "@$verb has --$_") for qw(json quiet), "@$verb" eq 'table' ? () : qw(store timeout);
    like($text, qr/^  0  done/m, "@$verb says its exit codes");
    unlike($text, qr/^.{101}/m, "and fits into 100 columns");
    is($ctl->ok(@$verb, '--help', '--nonsense'), $text, 'help wins over what follows');
}

# What --help names, docs/admin.md explains.
my $docs = Apikey::Ctl::read_file(Apikey::Process::root_dir() . '/docs/admin.md');
my %named;

for my $verb (map { [ split ] } @member, @edges, grep { $_ ne 'member' } @verbs) {
    like($docs, qr/`[^`\n]*\b@$verb\b/, "docs/admin.md: @$verb");
    $named{$_} = 1 for $ctl->ok(@$verb, '--help') =~ /^  (--[a-z-]+)/mg;
}

cmp_ok(scalar keys %named, '>', 20, 'options');
like($docs, qr/`$_\b/, "docs/admin.md: $_") for sort keys %named;
like($docs, qr/^\| $_ \| \S/m, "docs/admin.md: exit code $_") for 0 .. 8;

is($ctl->ok('help', 'revoke'), $ctl->ok('revoke', '--help'), 'help revoke');

# With --json a mistake is JSON too, in one line.
my ($exit, $out, $err) = $ctl->run('--json', 'show', 'x');
my $error = JSON::PP->new->utf8->decode($err)->{error};

is($exit, 2, '--json before the command');
is($error->{exit}, 2, 'the exit code');
is($error->{name}, '', 'no name: it is not the store that refused');
like($error->{text}, qr/is not the id of a key/, 'the text');
is($err =~ tr/\n//, 1, 'one line');

done_testing;

sub shown { return join ' ', map { length > 40 ? substr($_, 0, 40) . '...' : s/[^ -~]/?/gr } @_ }
