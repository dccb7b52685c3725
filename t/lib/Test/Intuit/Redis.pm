package Test::Intuit::Redis;

# A real redis-server (or TEST_REDIS, as valkey-server) as a child process, and
# the little of its protocol that a test needs.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);

use constant PATIENCE => 30;

my $SERVER = $ENV{TEST_REDIS} // 'redis-server';


# Before anything is started: the whole test is left out where there is none
# ("make test" installs it, and fails when it cannot).
sub needed {
    return if grep { -x "$_/$SERVER" } split /:/, $ENV{PATH};

    Test::More::plan(skip_all =>
        "$SERVER is not installed; t/tools/setup.sh test does it");
}

# t: the test whose directory and ports are used; name: of several; others
# are options of the server, as requirepass => '...'
sub start {
    my ($class, %o) = @_;
    my $t = delete $o{t};
    my $name = delete $o{name} // 'redis';

    my $self = bless { t => $t, name => $name, owner => $$,
        port => $t->port($name), options => { save => '', appendonly => 'no',
        bind => '127.0.0.1', %o } }, $class;

    return $self->run;
}

sub run {
    my ($self) = @_;
    my %o = %{ $self->{options} };

    $o{port} //= $self->{port};

    my @options = map { ("--$_", split / /, $o{$_}, -1) } sort keys %o;
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        chdir $self->{t}->dir;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{name}.log";
        open STDERR, '>>', "$self->{name}.log";
        exec $SERVER, @options or POSIX::_exit(127);
    }

    $self->{pid} = $pid;

    if ($o{port}) {
        $self->{t}->wait_until(sub { eval { $self->connect } })
            or die "$SERVER did not start:\n",
                $self->{t}->read_file("$self->{name}.log");
    }

    return $self;
}

sub port { $_[0]{port} }
sub pid  { $_[0]{pid} }

sub connect {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => PATIENCE) // die "redis: $@";

    return $socket;
}

# One command, after AUTH where a password is known; lists are array
# references, and an error is "-..."
sub command {
    my ($self, @words) = @_;
    my $socket = $self->connect;
    my $password = $self->{options}{requirepass};

    for my $command ($password ? [ 'AUTH', $password ] : (), [ @words ]) {
        print $socket '*' . @$command . "\r\n",
            map { '$' . length($_) . "\r\n$_\r\n" } @$command;
        $socket->flush;
        $self->{answer} = answer($socket);
    }

    return $self->{answer};
}

sub answer {
    my ($socket) = @_;
    my $line = readline($socket) // die "redis has closed the connection";

    $line =~ s/\r\n$//;
    my ($type, $rest) = $line =~ /^(.)(.*)/;

    return $line if $type eq '-';
    return $rest if $type eq '+' || $type eq ':';
    return undef if $rest == -1;
    return [ map { answer($socket) } 1 .. $rest ] if $type eq '*';

    read $socket, my $text, $rest + 2;
    return substr $text, 0, $rest;
}

sub keys { my ($self, $pattern) = @_; return @{ $self->command('KEYS', $pattern // '*') } }

# How many commands of clients it has done since "CONFIG RESETSTAT".
sub operations {
    my ($self) = @_;
    my $info = $self->command('INFO', 'commandstats');
    my %calls = $info =~ /^cmdstat_(\w+):calls=(\d+)/mg;

    return \%calls;
}

sub signal { my ($self, $signal) = @_; kill $signal, $self->{pid} if $self->{pid} }

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    kill 'CONT', $self->{pid};
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY { local $?; $_[0]->stop }


1;
