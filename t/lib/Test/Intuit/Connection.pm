package Test::Intuit::Connection;

# One TCP connection and HTTP/1.1 over it, byte by byte as the test wants it.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use Test::Intuit::Response;

use constant TIMEOUT => 60;


sub new {
    my ($class, %o) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => $o{address} // '127.0.0.1',
        PeerPort => $o{port}, Proto => 'tcp', Timeout => TIMEOUT)
        or die "cannot connect to port $o{port}: $@";

    $socket->autoflush(1);

    return bless { socket => $socket, in => '', eof => 0,
        timeout => $o{timeout} // TIMEOUT }, $class;
}

sub socket { $_[0]{socket} }
sub close  { $_[0]{socket}->close; }

sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';

    my $written = 0;

    while ($written < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $written,
            $written;
        defined $n or last;
        $written += $n;
    }

    return $written;
}

# Waits for more bytes; false at the end of the stream or of the patience.
sub more {
    my ($self, $deadline) = @_;

    return 0 if $self->{eof};

    my $left = $deadline - time;
    return 0 if $left <= 0
        || !IO::Select->new($self->{socket})->can_read($left);

    my $n = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};

    if (!$n) {
        $self->{eof} = 1;
        return 0;
    }

    return 1;
}

# Reads one response; undef when not even a header arrived in time.
sub response {
    my ($self, %o) = @_;

    my $deadline = time + ($o{timeout} // $self->{timeout});

    until ($self->{in} =~ /\r\n\r\n/) {
        $self->more($deadline) or return undef;
    }

    $self->{in} =~ s/^(.*?\r\n)\r\n//s;
    my $head = $1;
    my ($line, @lines) = split /\r\n/, $head;
    my ($status) = $line =~ m{^HTTP/\d\.\d (\d{3})};

    my $r = Test::Intuit::Response->new(status => $status // 0,
        headers => [ map { /^([^:]*):[ \t]*(.*?)[ \t]*$/s ? [ $1, $2 ] : () }
            @lines ]);

    my ($body, $complete) = ('', 1);

    if (!$o{head} && $r->status !~ /^(?:1..|204|304)$/) {
        ($body, $complete) = $self->body($r, $deadline);
    }

    @$r{qw(raw body complete)} = ("$head\r\n$body", $body, $complete);

    return $self->response(%o) if $r->status == 100;
    return $r;
}

sub body {
    my ($self, $r, $deadline) = @_;

    if (($r->header('Transfer-Encoding') // '') =~ /chunked/i) {
        return $self->chunked($deadline);
    }

    my $length = $r->header('Content-Length');

    if (!defined $length) {
        1 while $self->more($deadline);
        return (substr($self->{in}, 0, length $self->{in}, ''), $self->{eof});
    }

    while (length $self->{in} < $length) {
        $self->more($deadline) or last;
    }

    my $complete = length $self->{in} >= $length;
    return (substr($self->{in}, 0, $length, ''), $complete);
}

sub chunked {
    my ($self, $deadline) = @_;
    my $body = '';

    while (1) {
        my $line = qr/^([0-9a-f]+)[^\r\n]*\r\n/i;

        while ($self->{in} !~ $line) {
            $self->more($deadline) or return ($body, 0);
        }

        my ($digits) = $self->{in} =~ $line;
        my ($start, $size) = ($+[0], hex $digits);

        while (length $self->{in} < $start + $size + 2) {
            $self->more($deadline) or return ($body, 0);
        }

        $body .= substr $self->{in}, $start, $size;
        substr $self->{in}, 0, $start + $size + 2, '';

        return ($body, 1) if $size == 0;
    }
}


1;
