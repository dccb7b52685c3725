#!/usr/bin/perl

# Writes the figures of t/README.md, between its two markers, from what the runs
# have left:
#
#     figures.pl               in build/
#     figures.pl DIRECTORY...  in these, too: the build/ of other checkouts
#
# "make test", asan, matrix, fuzz, coverage and soak leave it.  What was not run
# is said to be so; nothing is written by hand.  Where a log is in more than one
# place the newest counts; the fuzzer's runs are added up.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use POSIX qw(strftime);

my $top = dirname(dirname(dirname(abs_path($0))));
my @dirs = ("$top/build", @ARGV);
my $readme = "$top/t/README.md";
my ($begin, $end) = ('<!-- figures: make figures -->', '<!-- /figures -->');

my $text = slurp($readme) // die "$readme: $!\n";

my @sections = (rows($text), tests(), sanitizers(), fuzzing(), coverage(), soak());

my $figures = "Written by `make figures` on " . strftime('%Y-%m-%d', gmtime)
    . ", commit " . commit() . ". A run of another commit is named with it.\n\n"
    . join "\n", @sections;

$text =~ s/\Q$begin\E\n.*?\Q$end\E\n/$begin\n$figures$end\n/s
    or die "$readme: the markers are not there\n";

open my $out, '>', $readme or die "$readme: $!\n";
print {$out} $text;
close $out or die "$readme: $!\n";
print $figures;


sub slurp {
    open my $fh, '<', $_[0] or return;
    local $/;
    return scalar <$fh> // '';
}

sub commit {
    chomp(my $commit = `git -C '$top' rev-parse --short HEAD 2>/dev/null` || 'unknown');
    return $commit;
}

# The newest file of this name, with the day of its end.
sub newest {
    my ($name) = @_;
    my ($path) = sort { -M $a <=> -M $b } grep { -s } map { "$_/$name" } @dirs;

    return if !$path;
    return (slurp($path), strftime('%Y-%m-%d', gmtime((stat $path)[9])));
}

sub table { return join '', "| | |\n|---|---|\n", map { "| $_->[0] | $_->[1] |\n" } @_ }

sub rows {
    my ($text) = @_;
    my ($faults, $shown) = (0, 0);
    my ($sum) = $text =~ /^(\d+ rows: .*)\.$/m;

    while ($text =~ /^\| (F-[A-Z]+-\d+) \| .* \| (.*) \|$/mg) {
        $faults++;
        $shown++ if $2 =~ /^`/;
    }

    return table([ 'rows', $sum // 'not counted' ],
        [ 'faults that are tried and survived', "$shown of $faults rows F-*" ]);
}

# What prove said at its end; a part of its lines are skipped files.
sub proved {
    my ($log) = @_;
    my ($files, $tests) = $log =~ /^Files=(\d+), Tests=(\d+),/m or return 'did not end';
    my ($result) = $log =~ /^Result: (\w+)/m;
    my $skipped = () = $log =~ / \.* ?skipped: /g;
    my @failed = $log =~ /^(t\/\S+)\s+\(Wstat: .*Failed: /mg;

    return "$tests tests in $files files, $skipped of them skipped: $result"
        . (@failed ? ' (' . join(', ', @failed) . ')' : '');
}

sub from {
    my ($log, $day) = @_;
    my ($commit) = $log =~ /^# commit (\S+)/m;

    return $commit ? "$day, $commit" : $day;
}

sub tests {
    my @rows;

    for (
        [ 'tests-stock.log', 'this system' ],
        (map { [ "matrix-$_.log", $_ ] } qw(bookworm trixie sid static)),
    ) {
        my ($name, $where) = @$_;
        my ($log, $day) = newest($name);

        push @rows, [ $where, 'not run here' ] and next if !defined $log;

        my ($cell) = $log =~ /^(?:cell|# on): (.*)/m;
        push @rows, [ $where . ($cell ? ": $cell" : ''),
            proved($log) . ' (' . from($log, $day) . ')' ];
    }

    return table([ '**tests by nginx version**', '' ], @rows);
}

sub sanitizers {
    my ($log, $day) = newest('tests-asan.log');

    return table([ '**AddressSanitizer and UBSan**', 'not run here' ])
        if !defined $log;

    my $found = () = $log =~ /Failed test 'no report of a sanitizer'/g;
    my ($on) = $log =~ /^# on: (.*)/m;

    return table([ '**AddressSanitizer and UBSan**', '' ],
        [ $on // 'nginx', proved($log) . ' (' . from($log, $day) . ')' ],
        [ 'findings', $found ]);
}

sub fuzzing {
    my (%inputs, %found, %commits, @days);

    for my $line (map { split /\n/, slurp("$_/fuzz/runs") // '' } @dirs) {
        my ($when, $commit, $target, $inputs, undef, $found) = split ' ', $line;

        $inputs{$target} += $inputs;
        $found{$target} += $found;
        $commits{$commit} = 1;
        push @days, substr $when, 0, 10;
    }

    return table([ '**fuzzing**', 'not run here' ]) if !%inputs;

    my ($all, $crashes) = (0, 0);
    $all += $_ for values %inputs;
    $crashes += $_ for values %found;
    @days = sort @days;

    return "| **fuzzing** | inputs | found |\n|---|--:|--:|\n"
        . join('', map { "| $_ | " . grouped($inputs{$_}) . " | $found{$_} |\n" }
            sort keys %inputs)
        . '| all ' . keys(%inputs) . ' | ' . grouped($all) . " | $crashes |\n\n"
        . "From $days[0] to $days[-1], of " . join(', ', sort keys %commits) . ".\n";
}

sub grouped {
    my ($n) = @_;
    1 while $n =~ s/^(\d+)(\d{3})/$1,$2/;
    return $n;
}

sub coverage {
    my ($report) = newest('coverage.txt');
    my ($day, $commit) = ($report // '') =~ /^# (\S+) (\S+)/
        or return table([ '**coverage**', 'not run here' ]);
    my ($lines, $branches) = $report
        =~ m{^all\s+(\d+/\d+\s+\d+%)\s+(\d+/\d+\s+\d+%)}m
        or return table([ '**coverage**', 'did not end' ]);

    return table([ '**coverage**', "$day, $commit" ],
        map { [ $_->[0], $_->[1] =~ s/\s+(\d+%)/, $1/r ] }
            [ lines => $lines ], [ branches => $branches ]);
}

# The notes that soak.t makes of itself.
sub soak {
    my ($log, $day) = newest('tests-soak.log');

    return table([ '**soak**', 'not run here' ]) if !defined $log;

    my ($counts) = $log =~ /^# (\d+ requests, \d+ reloads, \d+ kills)/m;
    my ($grown) = $log =~ /^# ((?:\w+ \d+ to \d+(?:, )?)+)$/m;

    return table([ '**soak**', from($log, $day) ],
        [ 'load', $counts // 'did not end' ],
        [ 'first and last measurement', $grown // 'too short' ],
        [ "answers of another's", $log =~ /^ok \d+ - nobody got/m ? 0
            : 'see its log' ],
        [ 'connections lost', $log =~ /^ok \d+ - no connection was lost/m ? 0
            : 'see its log' ],
        [ 'all of it', proved($log) ]);
}
