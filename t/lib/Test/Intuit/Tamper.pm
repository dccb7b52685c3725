package Test::Intuit::Tamper;

# Stands between nginx and a store, and does to the answers what it is told.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();

my %MODES = (
    pass    => sub { return $_[0] },
    garbage => sub { return "HTTP/1.1 400 Bad Request\r\n\r\n" },
    nested  => sub { return "*2\r\n*1\r\n\$1\r\na\r\n\$-1\r\n" },
    push    => sub { return ">2\r\n\$1\r\na\r\n\$1\r\nb\r\n" },
    huge    => sub { return "\$536870912\r\nabc" },
    more    => sub { return "$_[0]\$-1\r\n" },
    nil     => sub { return "*-1\r\n" },
    empty   => sub { return "*0\r\n" },
    number  => sub { return ":1\r\n" },
    moved   => sub { return "-MOVED 3999 127.0.0.1:6381\r\n" },
    loading => sub { return "-LOADING Redis is loading the dataset\r\n" },
    wrong   => sub { return "-WRONGTYPE Operation against a key\r\n" },
    busy    => sub { return "-BUSY Redis is busy running a script\r\n" },
    short   => sub { return substr $_[0], 0, length($_[0]) / 2 },
    close   => sub { return undef },
);

sub modes { return sort keys %MODES }

# t, port (where it listens), to (where the store is)
sub start {
    my ($class, %o) = @_;
    my $self = bless { t => $o{t}, owner => $$ }, $class;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $o{port}, Listen => 64, ReuseAddr => 1) // die "tamper: $@";

    $self->mode('pass');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        $self->serve($listen, $o{to});
        POSIX::_exit(0);
    }

    close $listen;
    $self->{pid} = $pid;

    return $self;
}

# for all answers from now on; "bytes": the first ones one by one
sub mode {
    my ($self, $mode) = @_;

    $self->{t}->write_file('tamper.new', $mode);
    rename $self->{t}->dir . '/tamper.new', $self->{t}->dir . '/tamper'
        or die "tamper: $!";
}

sub serve {
    my ($self, $listen, $to) = @_;
    my $select = IO::Select->new($listen);
    my (%other, %is_client);

    while (1) {
        for my $socket ($select->can_read) {

            if ($socket == $listen) {
                my $client = $listen->accept // next;
                my $store = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                    PeerPort => $to);

                if (!$store) {
                    close $client;
                    next;
                }

                @other{$client, $store} = ($store, $client);
                $is_client{$client} = 1;
                $select->add($client, $store);
                next;
            }

            my $other = $other{$socket} // next;
            my $n = sysread $socket, my $data, 65536;
            my $out = $n ? $data : undef;
            my $mode = $self->{t}->read_file('tamper');

            if ($n && !$is_client{$socket} && $MODES{$mode}) {
                $out = $MODES{$mode}->($data);
            }

            if (!defined $out) {
                $select->remove($socket, $other);
                delete @other{$socket, $other};
                delete @is_client{$socket, $other};
                close $_ for $socket, $other;
                next;
            }

            my @parts = $mode eq 'bytes' ? (split(//, substr $out, 0, 60),
                substr($out, 60) =~ /(.{1,500})/sg) : $out;

            for my $part (@parts) {
                syswrite $other, $part;
                select undef, undef, undef, 0.0005 if $mode eq 'bytes';
            }
        }
    }
}

sub DESTROY {
    my ($self) = @_;
    local $?;

    return if !$self->{pid} || $self->{owner} != $$;

    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


1;
