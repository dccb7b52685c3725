#!/usr/bin/perl

# The promise: the figures of t/README.md are what the runs have left, to the digit,
# and what was not run is said not to have been.
# The attack: no logs, logs that end in the middle, older ones, a failure that is
# passed over.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp ();
use Test::More;

my $here = dirname(abs_path(__FILE__));
my $dir = File::Temp->newdir('intuit-figures-XXXXXX', TMPDIR => 1);
my $other = "$dir/other";

make_path("$dir/t/tools");
copy("$here/tools/figures.pl", "$dir/t/tools/figures.pl") or die "figures.pl: $!";

sub put {
    my ($name, $text, $age) = @_;
    make_path(dirname("$dir/$name"));
    open my $fh, '>', "$dir/$name" or die "$name: $!";
    print {$fh} $text;
    close $fh;
    utime time - ($age // 0), time - ($age // 0), "$dir/$name";
}

sub figures {
    my $said = `perl $dir/t/tools/figures.pl $other 2>&1`;
    return $? ? "failed: $said" : $said;
}

my $table = <<'README';
# What is tried

3 rows: 2 shown by tests, 0 do not apply, 1 not yet.

<!-- figures: make figures -->
of yesterday
<!-- /figures -->

| F-NET-01 | no name | `resolver.t` |
| F-NET-02 | no answer | not yet: nobody did |
README

# -- nothing was run

put('t/README.md', $table);
my $said = figures();

like($said, qr/^\| rows \| 3 rows: 2 shown by tests, /m, 'the rows are counted');
like($said, qr/survived \| 1 of 2 rows/, '... those of faults, too');
like($said, qr/^\| $_ \| not run here \|$/m, "$_: not run")
    for 'this system', qw(bookworm trixie sid static);
like($said, qr/^\| \*\*$_\*\* \| not run here \|$/m, "$_: not run")
    for 'AddressSanitizer and UBSan', qw(fuzzing coverage soak);

# -- all of it was

put('build/tests-stock.log', "# commit abc1234\n# on: nginx/1.22.1\nt/a.t .. ok\n"
    . "t/b.t ... skipped: not here\nFiles=2, Tests=70, 3 wallclock\nResult: PASS\n");
put('build/tests-asan.log', "# on: asan\n#   Failed test 'no report of a sanitizer'\n"
    . "t/a.t (Wstat: 256 (exited 1) Tests: 9 Failed: 1)\n"
    . "Files=1, Tests=9, 3 wallclock\nResult: FAIL\n");
put('build/matrix-sid.log', "cell: nginx/1.31.0, gcc 15\nt/a.t .. ok\n");
put('other/matrix-trixie.log', "cell: nginx/1.26.3, gcc 14\n"
    . "Files=1, Tests=5, 3 wallclock\nResult: PASS\n");
put('build/matrix-trixie.log', "Files=1, Tests=4, 3\nResult: FAIL\n", 9999);
put('build/fuzz/runs', "2026-11-26T10:00:00Z abc1234 jwt 1000000 60 0\n"
    . "2026-11-26T10:01:00Z abc1234 key 5 60 0\n");
put('other/fuzz/runs', "2026-11-27T10:00:00Z def5678 jwt 234567 60 1\n");
put('build/coverage.txt', "# 2026-11-26 abc1234\nx.c 1/2 50% 1/4 25%\n"
    . "all       95/100   95%   80/99   80%\n");
put('build/tests-soak.log', "# commit abc1234\n# 48144 requests, 15 reloads, 21 kills: x\n"
    . "# fds 10 to 11, rss 100 to 101, zone 5 to 5\nok 4 - nobody got what is"
    . " another's\nnot ok 9 - no connection was lost\nFiles=1, Tests=9, 3\n"
    . "Result: FAIL\n");

$said = figures();

like($said, qr/^\| this system: nginx\/1\.22\.1 \| 70 tests in 2 files, /m, 'tests');
like($said, qr/ 2 files, 1 of them skipped: PASS \([\d-]+, abc1234\) \|$/m,
    '... with those that were not run');
like($said, qr/^\| sid: nginx\/1\.31\.0, gcc 15 \| did not end /m,
    'a log without an end');
like($said, qr/^\| trixie: .* \| 5 tests in 1 files, .*PASS/m, 'the newest log counts');
like($said, qr/^\| asan \| 9 tests .*: FAIL \(t\/a\.t\)/m, 'a failure has a name');
like($said, qr/^\| findings \| 1 \|$/m, 'a report of a sanitizer is a finding');
like($said, qr/^\| jwt \| 1,234,567 \| 1 \|$/m, 'the runs of a target are added up');
like($said, qr/^\| all 2 \| 1,234,572 \| 1 \|$/m, '... and all targets');
like($said, qr/from 2026-11-26 to 2026-11-27, of abc1234, def5678/i, '... of these days');
like($said, qr/^\| lines \| 95\/100, 95% \|\n\| branches \| 80\/99, 80% \|$/m,
    'coverage');
like($said, qr/^\| load \| 48144 requests, 15 reloads, 21 kills \|$/m, 'the soak');
like($said, qr/^\| answers of another's \| 0 \|$/m, '... what it promises');
like($said, qr/^\| connections lost \| see its log/m, '... and what it has not kept');

# -- where they are written

open my $fh, '<', "$dir/t/README.md" or die "README.md: $!";
my $written = do { local $/; <$fh> };

unlike($written, qr/of yesterday/, 'the older figures are gone');
like($written, qr/^<!-- figures.*-->\n\Q$said\E<!-- \/figures -->\n$/m,
    'these are between the markers');
like($written, qr/`resolver\.t` \|/, 'and the rest is as it was');

put('t/README.md', "# What is tried\n");
like(figures(), qr/failed: .*markers are not there/s, 'without markers: not written');

done_testing();
