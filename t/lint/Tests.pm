package Tests;

# A test is found because it is there: no list has to be kept, from which one
# can be missing.  What is chosen for a second run is there, too; and a test
# says what it is about, and ends as the harness wants it.

use strict;
use warnings;

my $RUNNER = 't/tools/run-tests.sh';

# What could name a test that it runs; an example in a comment is none.
my $RUNS = qr{^(?:Makefile|.*/Makefile|t/tools/.*\.(?:sh|pl)|\.ci/.*|t/package\.json)$};


sub check {
    my ($tree) = @_;
    my @tests = grep { !m{^t/(?:node_modules|corpus)/} } $tree->paths(qr/\.t$/);
    my $runner = $tree->text($RUNNER) // '';
    my @wrong;

    push @wrong, 'found nothing: tests' if !@tests;
    push @wrong, "found nothing: how $RUNNER finds them"
        if $runner !~ /^ +run_stock\n/m || $runner !~ /^TESTS=\$\{TESTS:-t\}$/m
            || $runner !~ /\bprove .*-r "\$@"/;

    push @wrong, map { missing($runner, $_, @tests) } qw(ASAN_PART VALGRIND_PART SOAK_PART);

    for my $path ($tree->paths($RUNS)) {
        my $text = $tree->text($path) =~ s/^(?:#|.*?\s(?:#|##) ).*//mgr;
        $text =~ s/^(?:VALGRIND|SOAK)_PART=\(.*?^\)//msg if $path eq $RUNNER;

        push @wrong, Tree::matches($path, $text, qr/(?<![\$\w])[a-z][\w-]*\.t\b/,
            'a test by its name: a list of tests');
    }

    for my $path (@tests) {
        my $text = $tree->text($path);

        push @wrong, "$path:1: it is not below t/, where tests are found"
            if $path !~ m{^t/};
        push @wrong, "$path:1: a number in its name" if $path =~ /\d\d/;
        push @wrong, "$path:1: it does not begin with what it shows"
            if $text !~ m{\A#!/usr/bin/perl\n\n# \S};
        push @wrong, "$path:1: it does not say done_testing"
            if $text !~ /^done_testing(?:\(\))?;$/m;
        push @wrong, Tree::matches($path, $text,
            qr/^[^#\n]*(?:\$TODO\b|\btodo_skip\b)/m, 'a test that may fail');
    }

    return @wrong;
}

# Names and patterns of a chosen part that fit no test.
sub missing {
    my ($runner, $part, @tests) = @_;
    my ($list) = $runner =~ /^$part=\((.*?)^\)/ms;
    my @wrong;

    return "found nothing: $part" if ($list // '') !~ /\w/;

    for my $name ($list =~ /[^\s']+/g) {
        my $pattern = join '.*', map { quotemeta } split /\*/, $name =~ s/\.t$//r, -1;
        push @wrong, "$RUNNER: $name of $part is no test"
            if !grep { m{^t/$pattern\.t$} } @tests;
    }

    return @wrong;
}


sub controls {
    my $test = "#!/usr/bin/perl\n\n# The promise.\n\ndone_testing;\n";
    my $new = sub {
        my ($path, $text, $said) = @_;
        return [ $path, sub { $text }, $said ];
    };

    return (
        [ 'Makefile', sub { "$_[0]\ntest-two:\n\tprove t/login.t\n" },
            qr/^Makefile:\d+: a test by its name/ ],
        [ $RUNNER, sub { "$_[0]\nTHESE=(login.t)\n" }, qr/a list of tests/ ],
        [ $RUNNER, sub { $_[0] =~ s/\blogin\.t /lgin.t /r },
            qr/lgin\.t of VALGRIND_PART is no test/ ],
        [ $RUNNER, sub { $_[0] =~ s/'logout\*'/'lgout*'/r },
            qr/lgout\* of ASAN_PART is no test/ ],
        [ $RUNNER, sub { $_[0] =~ s/:-t\}/:-t\/login.t}/r }, qr/how .* finds them/ ],
        [ 't/login.t', sub { $_[0] =~ s/^# .*\n//mgr },
            qr/does not begin with what/ ],
        [ 't/login.t', sub { $_[0] =~ s/^done_testing.*//mr }, qr/does not say done_testing/ ],
        [ 't/login.t', sub { "$_[0]\n\$TODO = 'one day';\n" }, qr/may fail/ ],
    );
}


1;
