package Test::Intuit::Port;

# Free loopback ports.  A port is held by a lock on a file of its own while
# the test runs, so that tests which run side by side never get the same one.
# All are below the range that the kernel takes for outgoing connections.

use strict;
use warnings;

use Fcntl qw(LOCK_EX LOCK_NB);
use File::Spec;
use IO::Socket::INET;

use constant {
    FIRST => 20000,
    LAST  => 32000,
};


sub reserve {
    my $dir = File::Spec->catdir(File::Spec->tmpdir, "intuit-test-ports-$<");

    mkdir $dir, 0700;

    my $port = FIRST + ($$ * 7) % (LAST - FIRST);

    for (FIRST .. LAST) {
        $port = $port < LAST ? $port + 1 : FIRST;

        open my $lock, '>>', "$dir/$port" or die "$dir/$port: $!";
        flock $lock, LOCK_EX | LOCK_NB or next;

        return ($port, $lock) if free($port);
    }

    die "no free port between ", FIRST, " and ", LAST;
}


sub free {
    my ($port) = @_;

    # as nginx binds: all addresses, SO_REUSEADDR
    my $s = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $port,
        Proto => 'tcp', Listen => 1, ReuseAddr => 1);

    return defined $s;
}


1;
