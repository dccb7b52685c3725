#!/usr/bin/perl

# The promise: "make matrix" says of each Debian what came out of it, and of an
# archive that does not answer that it does not: nobody looks for a bug here
# that is none.
# The attack: a failure of ours that is passed over because "sid is broken
# today".  A copy of the script is run with chroots that end in each way.
#
# Rows: NGX-V1

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp ();
use Test::More;

my $tools = dirname(abs_path(__FILE__)) . '/tools';
my $dir = File::Temp->newdir('intuit-matrix-XXXXXX', TMPDIR => 1);

make_path("$dir/t/tools");

for my $name (qw(matrix.sh steps.sh)) {
    copy("$tools/$name", "$dir/t/tools/$name") or die "$name: $!";
}

my $built = "cell: nginx/1.26.3, gcc 14.2.0\n";
my $gone = "W: Failed to fetch http://deb.example/InRelease  Could not resolve\n"
    . "E: Unable to locate package make\n";

# name of the Debian, what its chroot says, its exit status; the status of the
# matrix, and what it says
for (
    [ 'trixie', "${built}Files=101, Tests=5506, 99 wallclock secs\nResult: PASS\n",
        0, 0, qr{^trixie +nginx/1\.26\.3, gcc 14\.2\.0 +PASS, Files=101 Tests=5506,} ],
    [ 'trixie', "${built}t/x.t (Wstat: 256 Tests: 9 Failed: 1)\n"
        . "Files=101, Tests=5506, 99 wallclock secs\nResult: FAIL\n",
        1, 1, qr/^trixie .* FAIL, .*\n +t\/x\.t \(Wstat/ ],
    [ 'trixie', $built, 0, 1, qr/^trixie .* no result, Files=0/ ],
    [ 'trixie', "chroot.sh: no package source for bookworm below /etc/apt\n",
        1, 1, qr/does not get as far as nginx .*\n +chroot\.sh: no package source/ ],

    [ 'trixie', $gone, 100, 1, qr/^trixie +the archive does not answer: W: Failed/ ],
    [ 'sid', $gone, 100, 0, qr/^sid +the archive does not answer: W: Failed to/ ],
    [ 'sid', "E: Failed getting release file http://deb.example/Release\n", 1, 0,
        qr/^sid +the archive does not answer: E: Failed getting release file/ ],
    [ 'sid', "The following packages have unmet dependencies:\n", 100, 0,
        qr/^sid +the archive does not answer: The following packages/ ],
    [ 'trixie', "The following packages have unmet dependencies:\n", 100, 1,
        qr/^trixie +does not get as far/ ],

    [ 'sid', "chroot.sh: please install debootstrap\n", 1, 1,
        qr/^sid +does not get as far .*\n +chroot\.sh: please install/ ],
    [ 'sid', "E: Unable to locate package nginx-dev\n", 100, 1,
        qr/^sid +does not get as far .*\n +E: Unable to locate/ ],
    [ 'sid', "${built}x.c:1: error: y [-Werror]\n$gone", 2, 1,
        qr/^sid +nginx.*FAIL, .*\n +x\.c:1: error: y/ ],
) {
    my ($name, $says, $status, $expected, $line) = @$_;

    write_file('said', $says);
    write_file('t/tools/chroot.sh', "#!/bin/sh\ncat '$dir/said'\nexit $status\n");

    my $output = `bash $dir/t/tools/matrix.sh $name 2>&1`;
    my ($what) = $says =~ /(.*)$/m;

    is($? >> 8, $expected, "$name: \"$what\", then $status: ends with $expected");
    like($output, $line, '... and says so');
    like($output, qr/^matrix: 1 cells, $expected failed$/m, '... in a line of counts');
}

done_testing();


sub write_file {
    my ($name, $text) = @_;

    open my $fh, '>', "$dir/$name" or die "$name: $!";
    print $fh $text;
    close $fh or die "$name: $!";
    chmod 0755, "$dir/$name";
}
