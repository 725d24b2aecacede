#!/usr/bin/perl

# Every named error of the store's functions, with every way to get it: each
# changes nothing (the digest of all that Redis holds is the same) and
# publishes nothing (the next message is the test's own).

use strict;
use warnings;

use FindBin ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Apikey::Redis ();

my $S     = '{apikey}';
my $HEX32 = '0123456789abcdef' x 2;
my $HEX64 = '0123456789abcdef' x 4;
my $PEPPER = "p1:$Apikey::Redis::FINGERPRINT";

my $r        = Apikey::Redis->start->load_library;
my $listener = $r->connect;
my $marks    = 0;

$listener->ok('PSUBSCRIBE', '*');

# How many messages were published since the last call.
sub published {
    my $mark = 'mark ' . ++$marks;
    my $n    = 0;

    $r->ok('PUBLISH', 'mark', $mark);
    $n++ while $listener->read_reply(5)->[3] ne $mark;

    return $n;
}

# The raw FCALL must fail with the error, and its text must match.
sub refused_raw {
    my ($what, $error, $text, @fcall) = @_;

    published();

    my $before = $r->fingerprint;
    my $reply  = $r->call('FCALL', @fcall);
    my $unsaid = published() == 0;

    my $refused = ref $reply eq 'Apikey::Redis::Error'
                  && $reply->name eq $error && $reply =~ $text;

    ok($refused && $unsaid && $r->fingerprint eq $before, "$error: $what")
        or diag(ref $reply eq 'ARRAY' ? "answered @$reply" : "said: $reply",
                $unsaid ? '' : ', and published',
                $r->fingerprint eq $before ? '' : ', and changed something');
}

sub refused {
    my ($what, $error, $text, $function, @args) = @_;

    refused_raw($what, $error, $text, "apikey_$function", 1, $S, @args);
}

# A call that works, as names to values; rows then spoil one of them.
my %init = (epoch => $HEX32, pepper => $PEPPER, actor => 'ops');
my %put  = (name => 'Ann', tenant => 'ten_1', actor => 'ops');
my %create = (digest => $HEX64, pepper => $PEPPER, name => 'ci',
              member => 'mem_1', actor => 'ops');
my %renew = (boot => $HEX32, epoch => $HEX32, version => 1,
             chain => 'a' x 40);
my %report = (boot => $HEX32, total => 1);
my $ID  = Apikey::Redis::key_id(1);
my $NEW = Apikey::Redis::key_id(999);

# positional arguments, named ones that work, and which of them are required
my %call = (
    init       => [[], \%init, [qw(epoch pepper actor)]],
    meta       => [[], {}, []],
    member_put => [['mem_2'], \%put, [qw(name tenant actor)]],
    member_get => [['mem_1'], {}, []],
    members    => [[], {}, []],
    create     => [[$NEW], \%create, [qw(digest pepper name member actor)]],
    set_status => [[$ID, 'disabled'], { actor => 'ops' }, ['actor']],
    get        => [[$ID], {}, []],
    list       => [[], {}, []],
    renew      => [['edge-1'], \%renew, ['boot']],
    edges      => [[], {}, []],
    acks       => [[$HEX32, 1, 'a' x 40], {}, []],
    edge_forget => [['edge-1'], { actor => 'ops' }, ['actor']],
    conflicts_put => [['edge-1'], \%report, [qw(boot total)]],
    conflicts  => [[], {}, []],
    settle     => [[$ID], { as => 'accepted', actor => 'ops' },
                   [qw(as actor)]],
    since      => [[0, 10], {}, []],
    snapshot   => [[0, 10], {}, []],
);

# ---- BADARG: shape -----------------------------------------------------------

# init alone works without a store: its arguments are tried at the very end
$r->init;
$r->create(id => $ID);

for my $function (sort keys %call) {
    my ($positional, $named, $required) = @{ $call{$function} };

    for my $n (0 .. $#$positional) {
        refused("$function, positional argument $n missing", 'BADARG',
            qr/^BADARG (?:id|status|edge|epoch|version|chain|cursor|count) is missing/,
            $function, @$positional[0 .. $n - 1]);
    }

    for my $name (@$required) {
        my %rest = %$named;

        delete $rest{$name};
        refused("$function without $name", 'BADARG',
            qr/^BADARG $name is missing/, $function, @$positional, %rest);
    }

    refused("$function, unknown name", 'BADARG',
        qr/^BADARG colour is not an argument/, $function, @$positional,
        %$named, colour => 'red');
    refused("$function, name in capitals", 'BADARG',
        qr/^BADARG argument \d+ is not an argument/, $function, @$positional,
        %$named, ACTOR => 'red');
    refused("$function, a name without a value", 'BADARG',
        qr/^BADARG \w+ (?:is not an argument|has no value|is repeated)/,
        $function, @$positional, %$named, 'actor');

    for my $name (sort keys %$named) {
        refused("$function, $name repeated", 'BADARG',
            qr/^BADARG $name is repeated/, $function, @$positional, %$named,
            $name => $named->{$name});
    }

    for my $row (
        ['no store', 0], ['two stores', 2, $S, $S],
        ['no braces', 1, 'apikey'], ['half a brace', 1, '{apikey'],
        ['something behind', 1, '{apikey}x'], ['an empty name', 1, '{}'],
        ['a long name', 1, '{' . 'n' x 65 . '}'],
        ['a blank in the name', 1, '{api key}'],
        ['braces in the name', 1, '{{apikey}}'],
        ['a newline in the name', 1, "{apikey\n}"],
    ) {
        my ($what, @keys) = @$row;

        refused_raw("$function, $what", 'BADARG', qr/^BADARG store must be/,
            "apikey_$function", @keys, @$positional, %$named);
    }
}

# ---- BADARG: values ----------------------------------------------------------

my %bad_text = (
    'a NUL'              => "a\0b",
    'a newline'          => "a\nb",
    'an escape'          => "a\eb",
    'U+001F'             => "a\x1fb",
    'DEL'                => "a\x7fb",
    'a lone continuation' => "a\x80b",
    'a cut sequence'     => "a\xc3",
    'a cut sequence of 3' => "a\xe2\x82",
    'a cut sequence of 4' => "a\xf0\x9f\x98",
    'a sequence cut by a letter' => "\xe2\x82a",
    'two cut sequences'  => "\xc3\xc3\xa9",
    'an overlong /'      => "\xc0\xaf",
    'an overlong NUL'    => "\xc0\x80",
    'an overlong of 2'   => "\xc1\xbf",
    'an overlong of 3'   => "\xe0\x9f\xbf",
    'an overlong of 4'   => "\xf0\x8f\xbf\xbf",
    'the first surrogate' => "\xed\xa0\x80",
    'the last surrogate' => "\xed\xbf\xbf",
    'U+110000'           => "\xf4\x90\x80\x80",
    'F5'                 => "\xf5\x80\x80\x80",
    'five bytes'         => "\xf8\x88\x80\x80\x80",
    'FE'                 => "\xfe",
    'FF'                 => "\xff",
    'UTF-8, then not'    => "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xe9",
    'latin-1'            => "caf\xe9",
);
my @good_text = (
    "\x7e", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xec\xbf\xbf",
    "\xed\x80\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
    "\xf0\x90\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf",
    "a\xc3\xa9b\xe2\x82\xacc\xf0\x9f\x98\x80d", "\"\\/<>&'",
);

sub bad_texts {
    my ($max, $may_be_empty) = @_;

    return (%bad_text, "more than $max bytes" => 'x' x ($max + 1),
            "more than $max bytes of UTF-8" => "\xc3\xa9" x (1 + $max / 2),
            $may_be_empty ? () : (nothing => ''));
}

sub bad_names {
    my ($also) = @_;

    return (nothing => '', '65 bytes' => 'x' x 65, 'a blank' => 'a b',
            'a newline' => "a\n", 'a slash' => 'a/b', 'a brace' => 'a{b',
            'a NUL' => "a\0", UTF8 => "\xc3\xa9", %{ $also || {} });
}

sub bad_hex {
    my ($digits) = @_;

    return (nothing => '', 'a digit less' => 'a' x ($digits - 1),
            'a digit more' => 'a' x ($digits + 1),
            capitals => 'A' x $digits, 'no hex' => 'g' x $digits,
            'a newline' => 'a' x ($digits - 1) . "\n");
}

sub bad_numbers {
    my ($min, $max) = @_;

    return (nothing => '', 'a sign' => "+$min", negative => '-1',
            'a zero before' => "0$max", 'a fraction' => "$min.0",
            exponent => '1e3', hex => '0x10', 'a blank' => " $max",
            'a newline' => "$max\n", word => 'many', infinite => 'inf',
            'not one' => 'nan', 'twenty digits' => '1' x 20,
            'more than the most' => $max + 1,
            $min > 0 ? ('less than the least' => $min - 1) : ());
}

my %bad_key_id = (
    nothing => '', 'a digit less' => substr($ID, 0, 23),
    'a digit more' => "${ID}0", 'another prefix' => 'KEY_' . substr($ID, 4),
    'no base62' => substr($ID, 0, 23) . '-',
    'a newline' => substr($ID, 0, 23) . "\n",
);
my %bad_status = (nothing => '', capitals => 'Enabled', another => 'expired',
                  'a newline' => "enabled\n");
my %bad_pepper = (
    nothing => '', 'no fingerprint' => 'p1', 'no id' => ":$Apikey::Redis::FINGERPRINT",
    'a long id' => 'p' x 17 . ":$Apikey::Redis::FINGERPRINT",
    capitals => "P1:$Apikey::Redis::FINGERPRINT",
    'a short fingerprint' => substr($PEPPER, 0, -1),
    'a long fingerprint' => "${PEPPER}0",
    'a fingerprint in capitals' => uc $PEPPER, 'two' => "$PEPPER $PEPPER",
    'a newline' => "$PEPPER\n",
);
my %bad_scopes = (
    '17 scopes' => join(' ', 1 .. 17), '65 bytes' => 's' x 65,
    'a blank before' => ' a', 'a blank behind' => 'a ',
    'two blanks' => 'a  b', 'nothing but a blank' => ' ', 'a tab' => "a\tb",
    'a quote' => 'a"b', 'a backslash' => 'a\\b', 'a newline' => "a\n",
    'a NUL' => "a\0", DEL => "a\x7f", UTF8 => "\xc3\xa9",
    'a megabyte' => 's ' x 500000,
);
my $versions = 2 ** 48 - 1;
my %bad_token = (
    nothing => '', 'a character less' => 't' x 15,
    'a character more' => 't' x 65, 'a blank' => 't' x 15 . ' ',
    'a colon' => 't' x 15 . ':', 'a newline' => 't' x 15 . "\n",
    'a NUL' => 't' x 15 . "\0", UTF8 => 't' x 15 . "\xc3\xa9",
);
my @seen = map { Apikey::Redis::key_id($_) . ':2:3' } 1 .. 101;
my %bad_conflicts = (
    'a blank before' => " $seen[0]", 'a blank behind' => "$seen[0] ",
    'two blanks' => "$seen[0]  $seen[1]", 'nothing but a blank' => ' ',
    'a newline' => "$seen[0]\n", 'a key alone' => $ID,
    'no time' => "$ID:2", 'an empty time' => "$ID:2:",
    'an empty version' => "$ID\::3", 'more behind' => "$ID:2:3:4",
    'another id' => 'key_1:2:3', 'version 0' => "$ID:0:3",
    'a version too high' => "$ID:281474976710656:3",
    'a time too high' => "$ID:2:10000000000000", 'a sign' => "$ID:-2:3",
    'a zero before' => "$ID:02:3", 'a good one, then not' => "$seen[0] x",
    'a megabyte' => 'k' x 1000000,
    'a megabyte of blanks' => ' ' x 1000000,
);

my @values = (
    [init => epoch  => bad_hex(32)],
    [init => pepper => %bad_pepper],
    [init => prefix => ('17 bytes' => 'm' x 17, 'a blank' => 'm ',
                        'a dot' => 'm.', UTF8 => "\xc3\xa9", NUL => "m\0")],
    [init => lease      => bad_numbers(200, 3600000)],
    [init => log_length => bad_numbers(1000, 100000000)],
    [init => actor      => bad_texts(128)],
    [init => reason     => bad_texts(256, 1)],

    [member_put => 0      => bad_names()],
    [member_put => name   => bad_texts(128)],
    [member_put => email  => bad_texts(254, 1)],
    [member_put => tenant => bad_names()],
    [member_put => actor  => bad_texts(128)],
    [member_put => reason => bad_texts(256, 1)],
    [member_put => token => %bad_token],

    [member_get => 0 => bad_names()],

    [members => tenant => bad_names()],
    [members => cursor => do { my %bad = bad_names(); delete $bad{nothing}; %bad }],
    [members => count  => bad_numbers(1, 1000)],

    [create => 0       => %bad_key_id],
    [create => digest  => bad_hex(64)],
    [create => pepper  => %bad_pepper],
    [create => hint    => bad_texts(32, 1)],
    [create => name    => bad_texts(128)],
    [create => member  => bad_names()],
    [create => scopes  => %bad_scopes],
    [create => expires => bad_numbers(1, 9999999999)],
    [create => status  => (%bad_status, 'born revoked' => 'revoked')],
    [create => actor   => bad_texts(128)],
    [create => reason  => bad_texts(256, 1)],
    [create => token => %bad_token],

    [set_status => 0      => %bad_key_id],
    [set_status => 1      => %bad_status],
    [set_status => actor  => bad_texts(128)],
    [set_status => reason => bad_texts(256, 1)],
    [set_status => token => %bad_token],

    [get => 0 => %bad_key_id],

    [list => status => %bad_status],
    [list => member => bad_names()],
    [list => tenant => bad_names()],
    [list => cursor => do { my %bad = bad_numbers(0, $versions); delete $bad{nothing}; %bad }],
    [list => count  => bad_numbers(1, 1000)],

    [renew => 0       => bad_names({ 'an at sign' => 'a@b' })],
    [renew => boot    => bad_hex(32)],
    [renew => epoch   => do { my %bad = bad_hex(32); delete $bad{nothing}; %bad }],
    [renew => version => do { my %bad = bad_numbers(0, $versions); delete $bad{nothing}; %bad }],
    [renew => chain   => do { my %bad = bad_hex(40); delete $bad{nothing}; %bad }],
    [renew => after => (
        'nine' => join(' ', ('a' x 32) x 9), 'a digit less' => 'a' x 31,
        'a digit more' => 'a' x 33, 'a blank before' => ' ' . 'a' x 32,
        'a blank behind' => 'a' x 32 . ' ', capitals => 'A' x 32,
        'two blanks' => 'a' x 32 . '  ' . 'b' x 32,
        'a comma' => 'a' x 32 . ',' . 'b' x 32)],
    [renew => address  => bad_texts(128, 1)],
    [renew => software => bad_texts(128, 1)],

    [acks => 0 => bad_hex(32)],
    [acks => 1 => bad_numbers(0, $versions)],
    [acks => 2 => bad_hex(40)],

    [edge_forget => 0      => bad_names({ 'an at sign' => 'a@b' })],
    [edge_forget => actor  => bad_texts(128)],
    [edge_forget => reason => bad_texts(256, 1)],
    [edge_forget => token  => %bad_token],

    [conflicts_put => 0     => bad_names({ 'an at sign' => 'a@b' })],
    [conflicts_put => boot  => bad_hex(32)],
    [conflicts_put => total => bad_numbers(0, $versions)],
    [conflicts_put => keys  => (%bad_conflicts,
        'more than total' => "$seen[0] $seen[1]")],

    [settle => 0      => %bad_key_id],
    [settle => as     => (%bad_status, 'no verdict on it' => 'enabled')],
    [settle => actor  => bad_texts(128)],
    [settle => reason => bad_texts(256, 1)],
    [settle => token  => %bad_token],

    [since    => 0 => bad_numbers(0, $versions)],
    [since    => 1 => bad_numbers(1, 10000)],
    [snapshot => 0 => bad_numbers(0, $versions)],
    [snapshot => 1 => bad_numbers(1, 10000)],
);

for my $row (@values) {
    my ($function, $spoiled, %bad) = @$row;
    my ($positional, $named) = @{ $call{$function} };

    for my $what (sort keys %bad) {
        my @positional = @$positional;
        my %named      = %$named;

        if ($spoiled =~ /^\d$/) {
            $positional[$spoiled] = $bad{$what};
        } else {
            $named{$spoiled} = $bad{$what};
        }

        my $name = $spoiled =~ /^\d$/ ? '\w+' : $spoiled;

        refused("$function, $spoiled: $what", 'BADARG',
            qr/^BADARG $name must be .{6}/, $function, @positional, %named);
    }
}

refused('conflicts_put, 101 keys', 'BADARG', qr/^BADARG keys must be 0 to 100 /,
    'conflicts_put', 'edge-1', %{ { %report, total => 101 } }, keys => "@seen");
refused("renew, $_ alone is empty", 'BADARG',
    qr/all there or all empty/, 'renew', 'edge-1', %{ { %renew, $_ => '' } })
    for qw(epoch version chain);

for my $text (@good_text) {
    my $id = sprintf 'mem_text_%d', $marks;

    $r->member($id, name => $text, actor => $text, reason => $text);
    is($r->ok('HGET', "$S:member:$id", 'name'), $text,
        'well-formed: ' . unpack 'H*', $text);
    $marks++;
}

# ---- NOINIT ------------------------------------------------------------------

for my $function (sort keys %call) {
    next if $function eq 'init';

    my ($positional, $named) = @{ $call{$function} };

    refused_raw($function, 'NOINIT', qr/there is no store \{another\} here/,
        "apikey_$function", 1, '{another}', @$positional, %$named);
}

refused('a wrong argument is told first', 'BADARG', qr/^BADARG actor/,
    'set_status', $ID, 'disabled');

# ---- what is there, what is not ----------------------------------------------

refused('a store that is', 'INITED', qr/the store \{apikey\}/, 'init', %init);

refused("$_->[0]", 'NOKEY', qr/no key has the id $NEW/, @$_) for
    (['get', $NEW], ['set_status', $NEW, 'revoked', actor => 'ops'],
     ['settle', $NEW, as => 'revoked', actor => 'ops'],
     ['settle', $NEW, as => 'accepted', actor => 'ops']);

refused('member_get', 'NOMEMBER', qr/no member has the id mem_9/,
    'member_get', 'mem_9');
refused('create', 'NOMEMBER', qr/no member has the id mem_9/, 'create', $NEW,
    %{ { %create, member => 'mem_9' } });

refused('create', 'DUPID', qr/with the id $ID exists/, 'create', $ID,
    %create);
refused('create', 'DUPDIGEST', qr/this digest exists, $ID\b/, 'create', $NEW,
    %{ { %create, digest => Apikey::Redis::hex_text(64, 1) } });

my $revoked = $r->create(id => Apikey::Redis::key_id(2), digest => 'f' x 64);
$r->set_status($revoked->{id}, 'revoked');

refused("set_status $_", 'REVOKED', qr/$revoked->{id} is revoked, for ever/,
    'set_status', $revoked->{id}, $_, actor => 'ops')
    for qw(enabled disabled);
refused('create with the digest of a revoked key', 'DUPDIGEST', qr/exists/,
    'create', $NEW, %{ { %create, digest => 'f' x 64 } });
unlike($r->fcall('create', $NEW, %{ { %create, digest => 'f' x 64 } }),
    qr/ffff/, '... and the digest is not repeated');
refused('create with the id of a revoked key', 'DUPID', qr/exists/,
    'create', $revoked->{id}, %create);

refused("create with $_->[0]", 'PEPPER', qr/the store knows \(\Q$PEPPER\E\)/,
    'create', $NEW, %{ { %create, pepper => $_->[1] } })
    for ['another id', "p2:$Apikey::Redis::FINGERPRINT"],
        ['another secret', 'p1:' . 'f' x 16];

refused('member_put to another tenant', 'CONFLICT',
    qr/mem_1 has keys in the tenant ten_1/, 'member_put', 'mem_1',
    %{ { %put, tenant => 'ten_2' } });

# ---- BADSTORE: what others did to the store ----------------------------------

# Does something to the store, expects calls to be refused, and undoes it.
sub spoiled {
    my ($what, $do, $text, @calls) = @_;

    $do->();
    refused("$_->[0], $what", 'BADSTORE', $text, @$_) for @calls;
}

sub with_copy {
    my ($key, $sub) = @_;
    my $had = $r->ok('EXISTS', $key);

    $r->ok('COPY', $key, "copy of $key", 'REPLACE') if $had;
    $sub->();
    $r->ok('DEL', $key);
    $r->ok('RENAME', "copy of $key", $key) if $had;
}

my @every_write = (
    [member_put => 'mem_2', %put],
    [create     => $NEW, %create],
    [set_status => $ID, 'disabled', actor => 'ops'],
    [settle     => $ID, as => 'accepted', actor => 'ops'],
    [settle     => $ID, as => 'revoked', actor => 'ops'],
    [edge_forget => 'edge-1', actor => 'ops'],
);
my @acks   = (acks => $r->meta->{epoch}, 1, 'a' x 40);
my @put    = (conflicts_put => 'edge-1', %report, keys => "$ID:2:3");

# an edge that was, and a key that it holds revoked
$r->ok('HSET', "$S:edges", 'edge-1', '{"at":1}');
$r->fcall_ok(@put);

my %spoils = (
    "$S:log"                   => [@every_write, [since => 0, 10], [@acks]],
    "$S:meta"                  => [@every_write, ['meta'], ['list'], [@acks],
                                   [@put], ['conflicts']],
    "$S:digests"               => [$every_write[1]],
    "$S:members"               => [$every_write[0], ['members']],
    "$S:member:mem_2"          => [$every_write[0]],
    "$S:member:mem_1"          => [$every_write[1], [member_get => 'mem_1']],
    "$S:key:$ID"               => [@every_write[2 .. 4], [get => $ID],
                                   ['list']],
    "$S:status:enabled"        => [@every_write[1, 2, 4], ['list'], ['meta'],
                                   [snapshot => 0, 10]],
    "$S:status:disabled"       => [$every_write[2], ['list']],
    "$S:status:revoked"        => [$every_write[4], ['list']],
    "$S:tenant:ten_1:enabled"  => [@every_write[1, 2, 4],
                                   [list => tenant => 'ten_1']],
    "$S:tenant:ten_1:disabled" => [$every_write[2]],
    "$S:tenant:ten_1:revoked"  => [$every_write[4]],
    "$S:of:mem_1"              => [$every_write[1], [list => member => 'mem_1'],
                                   [member_get => 'mem_1']],
    "$S:edges"                 => [['edges'], [@acks], $every_write[5],
                                   [renew => 'e', %renew]],
    "$S:conflicts"             => [@every_write[3 .. 5], ['conflicts'], [@put],
                                   [conflicts_put => 'e', boot => $HEX32,
                                       total => 0]],
);

for my $key (sort keys %spoils) {
    with_copy($key, sub {
        spoiled("$key is a string",
            sub { $r->ok('SET', $key, 'mine') },
            qr/something else writes under/, @{ $spoils{$key} });
    });
}

my %bad_meta = (
    schema => '2', epoch => 'x', version => '0', chain => 'x', lease => '1',
    prefix => '#', peppers => 'p1', log_length => '9',
);

for my $field (sort keys %bad_meta) {
    with_copy("$S:meta", sub {
        spoiled("meta has a bad $field",
            sub { $r->ok('HSET', "$S:meta", $field, $bad_meta{$field}) },
            qr/:meta is damaged: $field must be/, @every_write, ['meta']);
        spoiled("meta has no $field",
            sub { $r->ok('HDEL', "$S:meta", $field) },
            qr/:meta is damaged: $field must be there/, @every_write);
    });
}

for my $row (
    ['meta has three peppers', 'peppers', "$PEPPER $PEPPER $PEPPER",
        qr/peppers must be/],
    ['the versions are used up', 'version', '281474976710655',
        qr/281474976710655 is the last/],
    ['the version is beyond', 'version', '281474976710656',
        qr/version must be/],
    ['the log is ahead of meta', 'version', '1',
        qr/:log has entries beyond version 1/],
) {
    my ($what, $field, $value, $text) = @$row;

    with_copy("$S:meta", sub {
        spoiled($what, sub { $r->ok('HSET', "$S:meta", $field, $value) },
            $text, @every_write);
    });
}

# the last version there is can be reached
with_copy("$S:meta", sub {
    with_copy("$S:log", sub {
        $r->ok('HSET', "$S:meta", 'version', '281474976710654');
        is($r->member('mem_last')->{version}, '281474976710655',
            'a version of 15 digits');
        is($r->ok('XREVRANGE', "$S:log", '+', '-')->[0][0],
            '281474976710655-0', '... in the log');
        is($r->ok('FCALL', 'apikey_since', 1, $S, '281474976710654', 1)
                ->[3][0][0], '281474976710655', '... and in since');
    });
});

for my $field (qw(id status digest pepper name member tenant created
                  created_by updated updated_by created_version version)) {
    with_copy("$S:key:$ID", sub {
        spoiled("the key has no $field",
            sub { $r->ok('HDEL', "$S:key:$ID", $field) },
            qr/:key:$ID is damaged: $field must be there/, $every_write[2],
            [get => $ID]);
    });
}

with_copy("$S:key:$ID", sub {
    spoiled('the key has a name that is not UTF-8',
        sub { $r->ok('HSET', "$S:key:$ID", 'name', "\xff") },
        qr/:key:$ID is damaged: name must be/, $every_write[2]);
});

for my $accepted (' ', '2', '2:3 ', '0:3', '2:3,4:5', '2:3  4:5',
                  join ' ', map { "$_:1" } 1 .. 17) {
    with_copy("$S:key:$ID", sub {
        spoiled("the key has accepted '$accepted'",
            sub { $r->ok('HSET', "$S:key:$ID", 'accepted', $accepted) },
            qr/:key:$ID is damaged: accepted must be/, @every_write[2 .. 4],
            [get => $ID]);
    });
}

with_copy("$S:key:$ID", sub {
    spoiled('the key has another one\'s id',
        sub { $r->ok('HSET', "$S:key:$ID", 'id', $revoked->{id}) },
        qr/:key:$ID is damaged: id must be its own/, $every_write[2],
        [get => $ID]);
});

with_copy("$S:member:mem_1", sub {
    spoiled('the member has another one\'s id',
        sub { $r->ok('HSET', "$S:member:mem_1", 'id', 'mem_2') },
        qr/:member:mem_1 is damaged: id must be its own/, $every_write[1],
        [member_get => 'mem_1']);
});

with_copy("$S:member:mem_1", sub {
    spoiled('the member has no tenant',
        sub { $r->ok('HDEL', "$S:member:mem_1", 'tenant') },
        qr/:member:mem_1 is damaged: tenant must be there/, $every_write[1],
        [member_get => 'mem_1']);
});

with_copy("$S:log", sub {
    spoiled('the log has an entry that is no version',
        sub { $r->ok('XADD', "$S:log", '999999-7', 'x', 'y') },
        qr/999999-7 that is no version/, [since => 0, 10000]);
});

for my $key (map { "{half}:$_" } qw(log digests members edges conflicts
                                    status:enabled status:disabled
                                    status:revoked)) {
    $r->ok('SET', $key, 'x');
    refused_raw("init beside $key", 'BADSTORE', qr/:meta is gone/,
        'apikey_init', 1, '{half}', %init);
    $r->ok('DEL', $key);
}

# ---- errors of Redis pass as they are ----------------------------------------

is($r->fcall('nonesuch')->message, 'ERR Function not found',
    'no such function');

# ---- BADARG of init, where a store could come to be --------------------------

$r->ok('FLUSHALL');

for my $row (grep { $_->[0] eq 'init' } @values) {
    my (undef, $name, %bad) = @$row;

    refused("init of an empty Redis, $name: $_", 'BADARG',
        qr/^BADARG $name must be/, 'init',
        %{ { %init, $name => $bad{$_} } })
        for sort keys %bad;
}

done_testing();
