package Test::Intuit::Dns;

# A name server on a free UDP port of the loopback interface, as a child.
#
#   my $dns = Test::Intuit::Dns->start;      # answers(...) below says how
#   "resolver 127.0.0.1:" . $dns->port
#
# answers('address'): every name is 127.0.0.1 (and has no IPv6 address), for
# no time at all, so that nothing of it is remembered; with other addresses,
# of both kinds, 'address ::1 127.0.0.2';
# 'nxdomain', 'servfail', 'refused', 'empty';
# 'hold': nothing, until another behaviour is set, which then answers those
# that were held as well.  queries: the names asked for, in their order.

use strict;
use warnings;

use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_INET AF_INET6 inet_pton);
use Time::HiRes qw(time sleep);

use constant POLL => 0.02;

my %CODE = (address => 0, empty => 0, servfail => 2, nxdomain => 3,
    refused => 5);


sub start {
    my ($class, $how) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp')
        or die "no UDP socket: $@";

    pipe my $read, my $write or die "pipe: $!";

    my $self = bless { dir => File::Temp->newdir, port => $socket->sockport,
        end => $write, owner => $$ }, $class;

    $self->answers($how // 'address');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $write;
        $self->serve($socket, $read);
        POSIX::_exit(0);
    }

    $self->{pid} = $pid;
    return $self;
}

sub port { $_[0]{port} }

sub answers {
    my ($self, $how) = @_;

    die "no such behaviour: $how\n"
        if $how ne 'hold' && !defined $CODE{(split ' ', $how)[0]};

    open my $fh, '>', "$self->{dir}/next" or die "$self->{dir}: $!";
    print $fh $how;
    close $fh;
    rename "$self->{dir}/next", "$self->{dir}/behaviour" or die "rename: $!";
}

sub behaviour {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/behaviour" or die "behaviour: $!";
    return scalar <$fh>;
}

sub queries {
    my ($self) = @_;
    my @names;

    if (open my $fh, '<', "$self->{dir}/queries") {
        chomp(@names = <$fh>);
    }

    return @names;
}

# Returns when nginx remembers no address any more.
sub forgotten {
    my $now = time;
    sleep POLL while int time <= int($now) + 1;
}

# Runs in the child, until the parent has closed its end of the pipe.
sub serve {
    my ($self, $socket, $end) = @_;
    my $select = IO::Select->new($socket, $end);
    my @held;

    while (1) {
        my @ready = $select->can_read(POLL);

        return if grep { $_ == $end } @ready;

        if (@ready && defined(my $peer = $socket->recv(my $query, 512))) {
            my ($name) = question($query);

            open my $fh, '>>', "$self->{dir}/queries" or return;
            print $fh "$name\n";
            close $fh;
            push @held, [ $query, $peer ];
        }

        my $how = $self->behaviour;
        next if $how eq 'hold';

        $socket->send(answer($_->[0], $how), 0, $_->[1]) for splice @held;
    }
}

# the name, the type, and where the question ends
sub question {
    my ($query) = @_;
    my ($at, @labels) = (12);

    while (my $length = ord substr $query, $at, 1) {
        push @labels, substr $query, $at + 1, $length;
        $at += 1 + $length;
    }

    return (join('.', @labels), unpack('n', substr $query, $at + 1, 2),
        $at + 5);
}

sub answer {
    my ($query, $what) = @_;
    my (undef, $type, $end) = question($query);
    my ($how, @addresses) = split ' ', $what;
    my @records;

    @addresses = '127.0.0.1' if !@addresses;

    for (@addresses) {
        my ($is, $bytes) = /:/ ? (28, inet_pton(AF_INET6, $_))
            : (1, inet_pton(AF_INET, $_));

        push @records, pack 'n n n N n/a*', 0xc00c, $is, 1, 0, $bytes
            if $how eq 'address' && $is == $type;
    }

    return substr($query, 0, 2) . pack('n5', 0x8180 | $CODE{$how}, 1,
        scalar @records, 0, 0)
        . substr($query, 12, $end - 12) . join '', @records;
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    close $self->{end};
    waitpid delete $self->{pid}, 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop;
}


1;
