# What a worker keeps: no key text once the request is over, and the pepper
# only where no core dump goes.

use strict;
use warnings;
no warnings 'portable';    # addresses have 64 bits

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use MIME::Base64 qw(decode_base64);

use Apikey::Nginx ();
use Apikey::Table ();

plan skip_all => 'reading the memory of workers takes root' if $> != 0;

my $table = Apikey::Table->start;
my $nginx = Apikey::Nginx->start(table => $table, http => <<'END');

    limit_req_zone $apikey_id zone=key:1m rate=1r/m;

    server {
        listen %%PORT%%;
        apikey on;
        client_header_buffer_size 512;
        location / { try_files /none =204; }
        location /limited/ { limit_req zone=key; try_files /none =204; }
        location /return/ { return 200 "$apikey_result"; }
        location /off/ { apikey off; try_files /none =204; }
    }
END

my $secret = 'SECRET' . 'z' x 30;
my $serial = 0;

# The places in a worker's memory that hold the text: a line of maps each.
# Mappings that a core dump leaves out have the flag dd.
sub places {
    my ($text) = @_;

    my ($pid) = $nginx->workers;
    my @found;

    open my $maps, '<', "/proc/$pid/smaps" or die "smaps: $!";
    open my $memory, '<:raw', "/proc/$pid/mem" or die "mem: $!";

    my ($from, $to, $line);

    while (<$maps>) {
        if (/^([0-9a-f]+)-([0-9a-f]+) (\S+)/) {
            ($from, $to, $line) = (hex $1, hex $2, $_);

        } elsif ($line =~ /^\S+ r/ && $line !~ /\[v/ && /^VmFlags: (.*)/) {
            my $flags = $1;

            sysseek $memory, $from, 0;
            sysread $memory, my $bytes, $to - $from;

            push @found, "$line $flags" if index($bytes // '', $text) >= 0;
        }
    }

    return @found;
}

sub fresh { return $secret . sprintf '%04d', ++$serial }

# On a connection that stays open: nothing was freed for other reasons.
sub leaves {
    my ($name, $headers, %opt) = @_;

    my $text = $opt{text} // fresh();
    my $c = $nginx->connect;

    $c->send("GET " . ($opt{path} // '/') . " HTTP/1.1\r\nHost: x\r\n"
             . ($headers =~ s/KEY/$text/gr) . "\r\n\r\n");
    $c->response;

    # the worker is done with the first when it answers the second
    $c->send("GET /off/ HTTP/1.1\r\nHost: x\r\n\r\n");
    $c->response;

    my @found = places($text);

    return $opt{seen} ? ok(scalar @found, $name) : is("@found", '', $name);
}

my $good = $table->key(text => fresh())->{text};
my $dead = $table->key(text => fresh(), status => 'revoked')->{text};

leaves('the test finds what is there', 'X-Other: KEY', path => '/off/',
       seen => 1);

leaves('header, good', 'X-API-Key: KEY', text => $good);
leaves('header, revoked', 'X-API-Key: KEY', text => $dead);
leaves('header, unknown', 'X-API-Key: KEY');
leaves('bearer', 'Authorization: Bearer KEY');
leaves('malformed', 'Authorization: Bearer KEY KEY');
leaves('repeated', "X-API-Key: KEY\r\nX-API-Key: KEY");
leaves('in both', "X-API-Key: KEY\r\nAuthorization: Bearer KEY");
leaves('in the first buffer of several',
       "X-API-Key: KEY\r\nX-Long: " . 'l' x 2000);
leaves('in a large buffer', 'X-Long: ' . 'l' x 2000 . "\r\nX-API-Key: KEY");
leaves('resolved, but ended before the access phase', 'X-API-Key: KEY',
       path => '/return/');

$table->key(text => $secret . 'limited');
$nginx->get('/limited/', 'X-API-Key' => "${secret}limited");
leaves('resolved, but refused by limit_req', 'X-API-Key: KEY',
       path => '/limited/', text => "${secret}limited");

# ---- the pepper --------------------------------------------------------------

open my $file, '<', $table->pepper or die $!;
my ($base64) = readline($file) =~ /:(\S+)/;

my @places = places(decode_base64($base64));

is(scalar @places, 1, 'the pepper is in one place');
like($places[0], qr/ r--p .* dd/s,
     'which is read-only and left out of core dumps');
is(join('', places($base64)), '', 'and its base64 is nowhere');

$nginx->stop;

done_testing;
