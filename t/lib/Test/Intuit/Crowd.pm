package Test::Intuit::Crowd;

# Very many clients at once, each with a connection of its own.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOMAXCONN);
use Time::HiRes qw(time);

our @EXPORT = qw(crowd crowd_statuses);


# crowd($t, $count, $path): they have all asked by the time it returns; the
# answers are crowd_statuses'
sub crowd {
    my ($t, $count, $path, %o) = @_;
    my $port = $o{port} // $t->port;

    my @sockets = map {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
            Proto => 'tcp', Timeout => 15) // die "client $_: $@";
    } 1 .. $count;

    for my $socket (@sockets) {
        syswrite $socket, "GET $path HTTP/1.1\r\nHost: localhost\r\n"
            . "Accept: application/json\r\nConnection: close\r\n\r\n";
    }

    return @sockets;
}

# How many got which status, and from which workers (X-Worker): two hashes; and
# the answers that were no 200, whole, so that a test that fails can show them.
# A connection that ended without an answer is 0, one that hangs is 'none'.
sub crowd_statuses {
    my ($patience, @sockets) = @_;
    my (%in, %status, %worker, @odd);

    my $select = IO::Select->new(@sockets);
    my $deadline = time + $patience;

    while ($select->count && time < $deadline) {

        for my $socket ($select->can_read($deadline - time)) {
            my $n = sysread $socket, $in{$socket}, 65536,
                length($in{$socket} //= '');

            next if $n;

            $select->remove($socket);
            my ($code) = $in{$socket} =~ m{^HTTP/1\.1 (\d+)};
            $status{$code // 0}++;
            push @odd, $in{$socket} if ($code // 0) != 200;
            $worker{$1}++ if $in{$socket} =~ /^X-Worker: (\d+)/m;
        }
    }

    $status{none} = $select->count if $select->count;

    return (\%status, \%worker, \@odd);
}


1;
