package Bench::Shared;

# An nginx whose sessions are in a Redis server of its own, too.

use strict;
use warnings;

use Bench::Nginx;
use Test::Intuit::Redis;

our @ISA = ('Bench::Nginx');


sub there { grep { -x "$_/redis-server" } split /:/, $ENV{PATH} }

# what the zone's contender has, and the store
sub conf_of {
    my ($provider) = @_;

    $provider =~ s/^    \}\n\z/        encryption_key_file %%DIR%%\/key;\n        store               shared;\n    }\n/m;

    return "    intuit_store shared {\n"
        . "        server 127.0.0.1:%%PORT_store%%;\n    }\n\n$provider";
}

sub start {
    my ($self) = @_;

    $self->write_secret('key', '0123456789abcdef' x 4);
    $self->{redis} = Test::Intuit::Redis->start(t => $self, name => 'store');

    # not on the core of what is compared
    system('taskset', '-acp', 1, $self->{redis}->pid) if $self->valgrind;

    return $self->SUPER::start;
}

sub stop {
    my ($self) = @_;

    $self->{redis}->stop if $self->{redis};
    return $self->SUPER::stop;
}


1;
