package Bench::Nginx;

# One nginx of the bench: that of the tests, without their assertions, and with
# a command in front of it (taskset, valgrind).

use strict;
use warnings;

use Test::Intuit ();

our @ISA = ('Test::Intuit');

use Bench::Figures;


# dir, sim (a Test::Intuit::Sim, shared), prefix => [ 'taskset', ... ]
sub new {
    my ($class, %o) = @_;

    mkdir $o{dir};
    mkdir "$o{dir}/$_" for qw(logs html temp);

    return bless { ports => {}, locks => [], secrets => {}, jars => [],
        allowed => [], workers => [], died => [], failures => [],
        prefix => [], owner => $$, %o }, $class;
}

# what the parent has for TEST_VALGRIND, in front of nginx
sub valgrind { @{ $_[0]{prefix} } }

# With "master_process off" there are no workers to wait for.
sub start {
    my ($self) = @_;

    return $self->SUPER::start
        if $self->{conf} !~ /^master_process off;/m;

    $self->{pid} = $self->spawn("$self->{dir}/logs/stderr.log",
        $self->command('nginx.conf'));

    my @ports = $self->{conf} =~ /^\s*listen\s+127\.0\.0\.1:(\d+)/mg;

    $self->wait_until(sub { die $self->said if $self->gone;
        !grep { !Test::Intuit::listening($_) } @ports }, 60)
        or die "nginx did not start:\n", $self->said;

    $self->{workers} = [];
    return $self;
}

sub said {
    my ($self) = @_;
    return join '', map { $self->read_file("logs/$_") }
        qw(stderr.log start.log error.log);
}

# the processes that serve
sub serving {
    my ($self) = @_;
    my @workers = $self->children;
    return @workers ? @workers : $self->{pid};
}

# their time on a CPU, in microseconds: threads too, and those of Apache's
sub cpu {
    my ($self) = @_;
    my $sum = 0;

    for my $pid ($self->serving) {
        $sum += Bench::Figures::schedstat(slurp($_))
            for glob "/proc/$pid/task/*/schedstat";
    }

    return $sum / 1000;
}

# kB of all processes, pages that several share divided among them
sub memory {
    my ($self) = @_;
    my $sum = 0;

    for my $pid ($self->{pid}, $self->children) {
        $sum += Bench::Figures::pss(slurp("/proc/$pid/smaps_rollup"));
    }

    return $sum;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$fh>;
}

# the log must be empty: a contender that fails is no contender
sub complaints {
    my ($self) = @_;
    return grep { !/\[(?:notice|info|debug)\]/ } $self->log_lines;
}


1;
