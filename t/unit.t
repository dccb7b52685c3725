#!/usr/bin/perl

# The pure layer (url, header, json, crypto, jwt, ...) does what its headers
# say, and no input makes it read or write outside its memory: every
# t/unit/test_*.c is built under ASan and UBSan and run as a subtest.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $here = dirname(abs_path(__FILE__));

# an outer make's variables are not meant for this one
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL SRC TESTS SANITIZE CFLAGS)};

# a report must end the program, also where the caller has other options
$ENV{ASAN_OPTIONS} = 'detect_leaks=1:abort_on_error=0';
$ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';

my @sources = glob "$here/unit/test_*.c";

if (!ok(scalar @sources, 'there are unit tests')) {
    done_testing();
    exit;
}

my $build = `make -C '$here/unit' -s -j2 all 2>&1`;

if (!is($?, 0, 'the unit tests build')) {
    diag($build);
    done_testing();
    exit;
}

my @programs = split /\n/, `make -C '$here/unit' -s --no-print-directory list`;

is(@programs, @sources, 'a program for each source');

foreach my $program (@programs) {
    my ($name) = $program =~ m{([^/]+)$};

    subtest $name => sub { run($program) };
}

done_testing();


# Passes one program's TAP on, so that a plan which does not fit, a sanitizer's
# report or a crash is a failure as well.

sub run {
    my ($program) = @_;
    my ($count, $plan, @rest) = (0);

    open my $fh, '-|', "exec '$program' 2>&1" or die "$program: $!";

    while (my $line = <$fh>) {
        chomp $line;

        if ($line =~ /^(not )?ok (\d+) - (.*)/) {
            $count++;
            ok(!$1 && $2 == $count, $3);

        } elsif ($line =~ /^1\.\.(\d+)$/) {
            $plan = $1;

        } else {
            push @rest, $line;
        }
    }

    close $fh;
    my $status = $?;

    is($status, 0, 'exit status');
    is($plan, $count, 'all planned tests were run');
    is(scalar(grep { /Sanitizer|runtime error/ } @rest), 0,
        'no sanitizer report');

    diag(join "\n", @rest) if @rest;
}
