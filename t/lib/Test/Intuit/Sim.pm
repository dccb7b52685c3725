package Test::Intuit::Sim;

# The Intuit simulator as a child process, and its control port.  What it can
# be told to do is described in t/sim/README.md.

use strict;
use warnings;

use IO::Select;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(time sleep);

use Test::Intuit::Connection;

use constant PATIENCE => 60;


# top: the tree; dir: for its output; args: more of its command line
sub start {
    my ($class, %o) = @_;

    my $self = bless { dir => $o{dir}, collected => {}, owner => $$ }, $class;

    # the simulator ends when its standard input does
    pipe my $out_read, my $out_write or die "pipe: $!";
    pipe my $in_read, my $in_write or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<&', $in_read;
        open STDOUT, '>&', $out_write;
        open STDERR, '>', "$o{dir}/sim.stderr";
        close $in_write;
        exec 'node', "$o{top}/t/sim/main.mjs", '--die-with-parent',
            @{ $o{args} // [] } or POSIX::_exit(127);
    }

    close $out_write;
    close $in_read;

    @$self{qw(pid stdin stdout)} = ($pid, $in_write, $out_read);

    my $line = '';

    while ($line !~ /\n/) {
        IO::Select->new($out_read)->can_read(PATIENCE)
            && sysread $out_read, $line, 4096, length $line
            or die "the simulator did not start: ", $self->output;
    }

    $self->{info} = JSON::PP->new->decode($line);
    $self->{client_id} = 'sim-client-id';
    $self->{client_secret} = 'sim-client-secret';

    my @args = @{ $o{args} // [] };

    for my $i (0 .. $#args - 1) {
        $self->{client_id} = $args[$i + 1] if $args[$i] eq '--client-id';
        $self->{client_secret} = $args[$i + 1]
            if $args[$i] eq '--client-secret';
    }

    return $self;
}

sub output {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/sim.stderr" or return '';
    local $/;
    return scalar <$fh> // '';
}

sub base { $_[0]{info}{base} }
sub port { $_[0]{info}{port} }
sub info { $_[0]{info} }

sub running {
    my ($self) = @_;
    return $self->{pid} && kill 0, $self->{pid};
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    $self->collect;

    my $pid = delete $self->{pid};

    close $self->{stdin};
    kill 'TERM', $pid;
    waitpid $pid, 0;
}


# control('GET', '/path') or control('POST', '/path', { ... }): the answer as
# data.  Dies when the simulator refuses.
sub control {
    my ($self, $method, $path, $data) = @_;

    my $body = defined $data ? JSON::PP->new->utf8->encode($data) : '';
    my $c = Test::Intuit::Connection->new(
        port => $self->{info}{control_port}, timeout => 90);

    $c->send("$method $path HTTP/1.1\r\nHost: localhost\r\n"
        . 'Content-Length: ' . length($body)
        . "\r\nConnection: close\r\n\r\n$body");

    my $r = $c->response or die "the simulator's control port is silent\n";

    $r->status == 200 or die "simulator: $method $path: ", $r->body;

    return $r->json;
}

# journal(kind => 'token', ...): the requests that came, oldest first
sub journal {
    my ($self, %filter) = @_;
    return @{ $self->control('GET', '/journal' . query(%filter)) };
}

sub count {
    my ($self, %filter) = @_;
    return $self->control('GET', '/count' . query(%filter))->{count};
}

# Waits until so many requests have come, and returns them.
sub wait_for {
    my ($self, %filter) = @_;
    return @{ $self->control('GET', '/journal/wait' . query(%filter)) };
}

sub script { $_[0]->control('POST', '/script', $#_ == 1 && ref $_[1] eq 'ARRAY'
    ? $_[1] : [ @_[1 .. $#_] ]) }
sub config { $_[0]->control('POST', '/config', { @_[1 .. $#_] }) }
sub issue  { $_[0]->control('POST', '/issue', { @_[1 .. $#_] }) }
sub tokens { @{ $_[0]->control('GET', '/tokens') } }

sub authorize {
    my ($self, %o) = @_;
    return $self->control('POST', '/authorize', \%o)->{location};
}

# Requests parked at a barrier: wait until there are so many; let them go.
sub parked {
    my ($self, $barrier, $count) = @_;
    return $self->control('GET', "/barrier/$barrier/wait"
        . query(count => $count // 1))->{parked};
}

sub release {
    my ($self, $barrier, %o) = @_;
    return $self->control('POST', "/barrier/$barrier/release", \%o);
}

# reset() or reset('journal', 'scripts', ...)
sub reset {
    my ($self, @only) = @_;
    $self->collect;
    $self->control('POST', '/reset', @only ? { only => \@only } : {});
}

sub query {
    my (%filter) = @_;
    my @pairs = map { "$_=" . escape($filter{$_}) } sort keys %filter;
    return @pairs ? '?' . join('&', @pairs) : '';
}

sub escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub unescape {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9a-f]{2})/chr hex $1/gei;
    return $text;
}


# Keeps everything secret that the simulator knows now, for secrets().
sub collect {
    my ($self) = @_;

    return if !$self->running;

    my $seen = $self->{collected};

    $seen->{$_->{access_token}} = $seen->{$_->{refresh_token}} = 1
        for $self->tokens;

    for my $entry ($self->journal) {
        my $body = $entry->{body} // '';
        my $authorization = $entry->{headers}{authorization} // '';

        $seen->{unescape($1)} = 1
            while $body =~ /(?:^|&)(?:code|refresh_token|token)=([^&]+)/g;

        $seen->{$1} = 1 if $body =~ /"token"\s*:\s*"([^"]+)"/;
        $seen->{$1} = 1 if $authorization =~ /^(?:Bearer|Basic)\s+(\S+)/i;
        $seen->{$entry->{query}{state}} = 1 if $entry->{query}
            && $entry->{kind} eq 'authorize' && $entry->{query}{state};
    }
}

sub secrets {
    my ($self) = @_;

    $self->collect;

    return ($self->{client_secret},
        encode_base64("$self->{client_id}:$self->{client_secret}", ''),
        sort keys %{ $self->{collected} });
}


1;
