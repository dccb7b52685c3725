package Test::Intuit::Tamper;

# Stands between nginx and a store (or Intuit), and does to the answers what it
# is told; stopped, it is a way that is cut.

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

# t, port (where it listens), to (where the store is); name: of several
sub start {
    my ($class, %o) = @_;
    my $self = bless { name => 'tamper', %o, owner => $$ }, $class;

    return $self->run;
}

sub run {
    my ($self) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 64, ReuseAddr => 1)
        // die "tamper: $@";

    $self->mode('pass');
    unlink $self->file('held');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        $self->serve($listen, $self->{to});
        POSIX::_exit(0);
    }

    close $listen;
    $self->{pid} = $pid;

    return $self;
}

sub file { my ($self, $what) = @_; return $self->{t}->dir . "/$self->{name}.$what" }

# for all answers from now on; "bytes": the first ones one by one; "delay": the
# next session is held, and all others pass, until "release"; "late": that one is
# given to whoever gets one next, whose own is held in its place
sub mode {
    my ($self, $mode) = @_;

    $self->{t}->write_file("$self->{name}.new", $mode);
    rename $self->file('new'), $self->file('mode') or die "tamper: $!";
}

# the answer that is held, or undef
sub held {
    my ($self) = @_;
    return -e $self->file('held') ? $self->{t}->read_file("$self->{name}.held") : undef;
}

# It goes out, if its asker is still there; true once that was done.
sub release {
    my ($self) = @_;
    my $held = $self->file('held');

    kill 'USR1', $self->{pid};
    return $self->{t}->wait_until(sub { !-e $held });
}

# "STOP": silence; nobody listens any more after "stop", until "run"
sub signal { my ($self, $signal) = @_; kill $signal, $self->{pid} }

sub serve {
    my ($self, $listen, $to) = @_;
    my $select = IO::Select->new($listen);
    my (%other, %is_client, $late, $release);

    local $SIG{USR1} = sub { $release = 1 };

    while (1) {
        my @ready = $select->can_read(0.05);

        if ($release && $late) {
            my ($to, $data) = @$late;
            syswrite $to, $data if defined fileno $to;
            ($late, $release) = ();
            unlink $self->file('held');
        }

        for my $socket (@ready) {

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
            my $mode = $self->{t}->read_file("$self->{name}.mode");

            my $value = $n && !$is_client{$socket} && $data =~ /^\*2\r\n\$\d{3}/;

            if ($value && $mode eq 'delay' && !$late) {
                $late = [ $other, $data ];
                $self->{t}->write_file("$self->{name}.late", $data);
                rename $self->file('late'), $self->file('held');
                next;
            }

            ($out, $late->[1]) = ($late->[1], $out)
                if $value && $mode eq 'late' && $late;

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

            my ($head, $rest) = $out =~ /^(.{0,60})(.*)/s;
            my @parts = $mode eq 'bytes'
                ? (split(//, $head), $rest =~ /(.{1,500})/sg) : $out;

            for my $part (@parts) {
                syswrite $other, $part;
                select undef, undef, undef, 0.0005 if $mode eq 'bytes';
            }
        }
    }
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY { local $?; $_[0]->stop }


1;
