package Test::Intuit::Http2;

# A client's side of one HTTP/2 connection in cleartext, begun with prior
# knowledge (RFC 9113, section 3.3).  It can leave at any point: RST_STREAM,
# GOAWAY, or by closing.  Header fields are sent as literals (RFC 7541,
# section 6.2.2); of an answer no more than the status is decoded.

use strict;
use warnings;

use Time::HiRes qw(time);

use Test::Intuit::Connection;

use constant {
    PREFACE    => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    DATA       => 0,
    HEADERS    => 1,
    RST_STREAM => 3,
    SETTINGS   => 4,
    PING       => 6,
    GOAWAY     => 7,
    ACK        => 1,
    END_STREAM => 1,
    END_HEADERS => 4,
    NO_ERROR   => 0,
    CANCEL     => 8,
};

# the statuses of the static table, from its index 8 on
my @STATUS = (200, 204, 206, 304, 400, 404, 500);


sub new {
    my ($class, %o) = @_;

    my $self = bless { next => 1, status => {}, ended => {},
        connection => Test::Intuit::Connection->new(%o) }, $class;

    $self->{connection}->send(PREFACE);
    $self->frame(SETTINGS, 0, 0, '');

    return $self;
}

# Sends a frame.
sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;
    my $length = length $payload;

    $self->{connection}->send(pack('CnCCN', $length >> 16, $length & 0xffff,
        $type, $flags, $stream) . $payload);
}

# get('/path', name => 'value', ...): the number of the new stream
sub get {
    my ($self, $path, @pairs) = @_;
    return $self->begin('GET', END_STREAM, $path, @pairs);
}

# The same with a body; undef: data() sends it later.
sub post {
    my ($self, $path, $body, @pairs) = @_;
    my $stream = $self->begin('POST', 0, $path, @pairs);

    $self->data($stream, $body) if defined $body;
    return $stream;
}

sub data {
    my ($self, $stream, $body) = @_;
    $self->frame(DATA, END_STREAM, $stream, $body);
}

sub begin {
    my ($self, $method, $end, $path, @pairs) = @_;
    my $stream = $self->{next};
    my @fields = (':method' => $method, ':scheme' => 'http', ':path' => $path,
        ':authority' => 'localhost', @pairs);
    my $block = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . text(lc $name) . text($value) if defined $value;
    }

    $self->{next} += 2;
    $self->frame(HEADERS, $end | END_HEADERS, $stream, $block);

    return $stream;
}

# a string literal without Huffman coding
sub text {
    my ($value) = @_;
    my $length = length $value;

    return chr($length) . $value if $length < 127;

    my $head = chr 127;

    for ($length -= 127; $length >= 128; $length >>= 7) {
        $head .= chr($length & 127 | 128);
    }

    return $head . chr($length) . $value;
}

sub reset  { $_[0]->frame(RST_STREAM, 0, $_[1], pack 'N', CANCEL) }
sub goaway { $_[0]->frame(GOAWAY, 0, 0, pack 'NN', 0, NO_ERROR) }
sub close  { $_[0]{connection}->close }

# Waits until the server has read all that was sent: it answers a PING.
sub settle {
    my ($self) = @_;

    $self->{pinged} = 0;
    $self->frame(PING, 0, 0, 'in order');
    return $self->until(sub { $self->{pinged} });
}

# The status of a stream's answer, 0 when it was reset or never came.
sub status {
    my ($self, $stream) = @_;

    $self->until(sub { $self->{ended}{$stream} });
    return $self->{status}{$stream} // 0;
}

sub until {
    my ($self, $true) = @_;
    my $c = $self->{connection};
    my $deadline = time + $c->{timeout};

    until ($true->()) {
        $self->read_frame || $c->more($deadline) or return 0;
    }

    return 1;
}

# Takes one frame from what has arrived; false when there is none.
sub read_frame {
    my ($self) = @_;
    my $in = \$self->{connection}{in};

    return 0 if length $$in < 9;

    my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $$in;
    my $length = $high << 16 | $low;

    return 0 if length $$in < 9 + $length;

    my $payload = substr $$in, 0, 9 + $length, '';
    $payload = substr $payload, 9;

    if ($type == HEADERS) {
        $self->{status}{$stream} //= decode_status($payload);

    } elsif ($type == SETTINGS && !($flags & ACK)) {
        $self->frame(SETTINGS, ACK, 0, '');

    } elsif ($type == PING && $flags & ACK) {
        $self->{pinged} = 1;
    }

    $self->{ended}{$stream} = 1 if $type == RST_STREAM
        || (($type == HEADERS || $type == DATA) && $flags & END_STREAM);

    return 1;
}

# :status is the first field, indexed or a literal with an indexed name.
sub decode_status {
    my ($block) = @_;

    # a change of the table's size may come before it
    $block =~ s/^[\x20-\x3f]+//;

    my $first = ord $block;

    return $STATUS[($first & 127) - 8] if $first & 128;
    return $block =~ /^[\x08\x48]\x03(\d{3})/ ? $1 : -1;
}


1;
