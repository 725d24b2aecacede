package Apikey::Terminal;

# Runs apikeyctl at a terminal of its own.
#
#   my ($exit, $shown) = Apikey::Terminal::typed($ctl, ['revoke', $id],
#                                                qr/\[y\/N\] /, "y\n");
#
# Types the answer when what is asked for has appeared; returns the exit code
# and all that the terminal shows.  A last argument is more environment.

use strict;
use warnings;

use Fcntl qw(O_RDWR O_NOCTTY O_NONBLOCK);

use Apikey::Process ();

use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430 };

sub typed {
    my ($ctl, $words, $asked, $answer, $env) = @_;

    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK or die "/dev/ptmx: $!";

    my ($unlock, $number) = (pack('i', 0), pack('i', 0));

    ioctl $master, TIOCSPTLCK, $unlock or die "unlock: $!";
    ioctl $master, TIOCGPTN, $number or die "number: $!";

    my $name = '/dev/pts/' . unpack 'i', $number;

    sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!";

    my $process = Apikey::Process->start(
        cmd    => [ $ctl->program, @$words ],
        env    => $ctl->env({ TERM => 'xterm', NO_COLOR => '', %{ $env || {} } }),
        stdin  => $slave,
        stdout => $slave,
        log    => $name,
    );
    my $shown = '';
    my $read  = sub { while (sysread $master, my $bytes, 4096) { $shown .= $bytes } };

    if ($asked) {
        Apikey::Process::wait_for(sub { $read->(); $shown =~ $asked }, 10, "@$words to ask");
        syswrite $master, $answer;
    }

    Apikey::Process::wait_for(sub { $read->(); !$process->alive }, 10, "@$words to end");
    $read->();

    return ($process->exit_code, $shown);
}

1;
