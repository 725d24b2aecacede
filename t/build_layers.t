#!/usr/bin/perl

# The layers hold in what was built and in what is included: the daemon has no
# key text and no pepper, the module and the admin no writer, nginx no Redis;
# and a foundation includes nothing of what stands on it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Apikey::Process;
use Test::More;

my $root  = Apikey::Process::root_dir();
my $build = Apikey::Process::build_dir();

my $sync   = "$build/bin/apikey-sync";
my $ctl    = "$build/bin/apikeyctl";
my $module = "$build/nginx/ngx_http_apikey_module.so";

for my $row (
    [ $sync,   qr/\bapikey_(?:digest|text_\w+|pepper_ring_\w+)\b/, 'the daemon has no key text, digest or pepper function' ],
    [ $sync,   qr/\bcrypto_\w+/,                                   'and no cryptography' ],
    [ $ctl,    qr/\bapikey_writer_\w+/,                            'apikeyctl has no writer of the table' ],
    [ $module, qr/\bapikey_writer_\w+/,                            'the module has no writer of the table' ],
    [ $module, qr/\bredis\w+|\buv_\w+/,                            'and no client of Redis' ],
    [ $module, qr/\b(?:sem_|pthread_mutex_)\w+/,                   'and no lock' ],
) {
    my ($file, $forbidden, $what) = @$row;
    my %found = map { $_ => 1 } symbols($file) =~ /$forbidden/g;

    is(join(' ', sort keys %found), '', $what);
}

like(symbols($sync), qr/\bapikey_writer_open\b/, 'the daemon has the writer');

# which folder may include which: the gate never the store's client, the
# daemon never what knows key texts
my %may = (
    key                    => [qw(key)],
    table                  => [qw(table)],
    store                  => [qw(store)],
    'store-sync'           => [qw(store-sync store table)],
    ngx_http_apikey_module => [qw(ngx_http_apikey_module key table)],
    admin                  => [qw(admin store key table)],
);

for my $folder (sort keys %may) {
    my %allowed = map { $_ => 1 } @{ $may{$folder} };
    my @bad;

    for my $file (glob("$root/$folder/*.[ch] $root/$folder/*/*.[ch]")) {
        open my $source, '<', $file or die "$file: $!";

        while (defined(my $line = readline $source)) {
            my ($other) = $line =~ m{^#include "(?:\.\./)*([\w-]+)/} or next;

            push @bad, "$file includes $other/"
                if exists $may{$other} && !$allowed{$other};
        }
    }

    is(join("\n", @bad), '', "$folder/ includes of " . join(', ', @{ $may{$folder} }) . ' alone');
}

done_testing();

# Names that the linker knows of, and those that the file asks others for.
sub symbols {
    my ($file) = @_;

    my $out = `nm '$file' 2>&1; nm -D '$file' 2>&1`;

    $? == 0 or BAIL_OUT("nm $file: $out");

    return $out;
}
