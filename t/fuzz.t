#!/usr/bin/perl

# The promise: what the fuzz targets state holds for every input that is kept
# in t/corpus/fuzz, under ASan and UBSan: hand-made ones, those that cover the
# most, and those that once broke something.
# The attack: a target without a corpus, a corpus without a target, a target
# that looks at nothing.  A planted overrun and a planted wrong answer have to
# be seen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Intuit::Plant;

my $TOP = "$FindBin::Bin/..";
my $CORPUS = "$FindBin::Bin/corpus/fuzz";

# an outer make's variables are not meant for this one
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL SRC TESTS SANITIZE CFLAGS CC)};

$ENV{ASAN_OPTIONS} = 'detect_leaks=1:abort_on_error=0';
$ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';

my $said = `make -C '$FindBin::Bin/fuzz' -s -j2 BUILD='$TOP/build/replay' 2>&1`;

if (!is($?, 0, 'the targets build')) {
    diag($said);
    done_testing();
    exit;
}

my @targets = map { m{/fuzz_(\w+)\.c$} } glob "$FindBin::Bin/fuzz/fuzz_*.c";
my @corpora = map { m{([^/]+)$} } glob "$CORPUS/*";

cmp_ok(scalar(@targets), '>', 0, 'there are targets');
is_deeply([ sort @corpora ], [ sort @targets ], 'each has a corpus');

for my $target (@targets) {
    my @files = inputs($target);

    cmp_ok(scalar(@files), '>=', 5, "$target: a corpus");

    my ($status, $count, $output) = replay($TOP, $target, @files);

    is($status, 0, "$target: all holds") or diag($output);
    is($count, scalar(@files), "$target: all replayed");
}


# -- what the replay has to see ----------------------------------------------

my $copy = Test::Intuit::Plant->new;

# what is built already need not be built again
system('mkdir', '-p', $copy->dir . '/build');
system('cp', '-a', "$TOP/build/replay", $copy->dir . '/build/replay');
unlink glob $copy->dir . '/build/replay/*.d';

sees('an overrun', 'query', qr/AddressSanitizer: heap-buffer-overflow/,
    'src/ngx_intuit_args.c', 'ngx_pnalloc(pool, s->len + 1)',
    'ngx_pnalloc(pool, s->len / 2)');

sees('a wrong answer', 'path', qr/does not hold/,
    'src/ngx_intuit_url.c', q{|| c == '\\\\' || c == ';'}, q{|| c == '\\\\'});

done_testing();


sub inputs {
    my ($target) = @_;
    opendir my $dh, "$CORPUS/$target" or return;
    return map { "$CORPUS/$target/$_" } sort grep { !/^\./ } readdir $dh;
}

# (exit status, number of inputs, all that was said)
sub replay {
    my ($top, $target, @files) = @_;

    open my $fh, '-|', "exec '$top/build/replay/fuzz_$target-replay' "
        . join(' ', map { "'$_'" } @files) . ' 2>&1' or die "$target: $!";
    my $output = join '', <$fh>;
    close $fh;

    my $status = $?;
    my ($count) = $output =~ /^replayed (\d+)$/m;

    return ($status, $count // 0, $output);
}

sub sees {
    my ($what, $target, $pattern, $file, $from, $to) = @_;

    $copy->plant($file, $from, $to);

    my ($failed, $built) = $copy->run("make -C t/fuzz -s BUILD=\$PWD/build/replay"
        . " TARGETS=fuzz_$target");

    is($failed, 0, "$what is planted") or diag($built);

    my ($status, undef, $output) = replay($copy->dir, $target,
        inputs($target));

    isnt($status, 0, "$what: $target fails");
    like($output, $pattern, "$what: and says so");

    $copy->heal;
}
