#!/usr/bin/perl

# The promise: what takes minutes ("installing ...", "building ...") says on a
# terminal how long it has taken and what is going on, elsewhere one line; a step
# that fails shows the end of its log and stops what comes after; nothing that was
# put aside for an installation stays when it is stopped.
# The attack: somebody who takes three silent minutes for a hang, and presses
# Ctrl-C.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $TOP = dirname(dirname(abs_path(__FILE__)));
my $dir = tempdir('intuit-test-steps-XXXXXX', TMPDIR => 1, CLEANUP => 1);

spew("$dir/steps.sh", <<"EOS");
set -eu
. "$TOP/t/tools/steps.sh"
BUILD="$dir"

# goes on until it has been looked at
slowly() {
    echo "Unpacking a-package"
    until [ -e "$dir/seen" ]; do sleep 0.1; done
}

step slow 'installing it' slowly
step wrong 'building it' sh -c 'echo "line 7: error"; exit 3'
echo 'never said'
EOS

# on a terminal
my ($said, $status) = run('script', '-qefc', "bash $dir/steps.sh", '/dev/null');

like($said, qr/installing it \.\.\. \d+ s  Unpacking a-package/,
    'on a terminal it tells the time, and what goes on');
like($said, qr/\r\e\[Kinstalling it \.\.\. done \(\d+ s\)\r?\n/, '... and the end, over it');
like($said, qr/building it \.\.\. FAILED.*^ +line 7: error\r?$/ms,
    'of a step that fails it shows the log');
unlike($said, qr/never said/, '... and nothing comes after');
is($status >> 8, 3, '... but its status');

# into a file
($said, $status) = run('bash', "$dir/steps.sh");

like($said, qr/^installing it \.\.\. done \(\d+ s\)\nbuilding it \.\.\. FAILED\n/,
    'elsewhere it is one line each');

is(`pgrep -f $dir/steps.sh`, '', 'nothing of it runs any more');

done_testing();


# Reads until there is something to see, then lets the step go on.
sub run {
    my @command = @_;
    my $said = '';

    unlink "$dir/seen";
    spew("$dir/seen", '') if $command[0] eq 'bash';

    open my $out, '-|', @command or die "$command[0]: $!";

    while (sysread $out, $said, 4096, length $said) {
        spew("$dir/seen", '') if $said =~ / s  Unpacking/;
    }

    close $out;
    return ($said, $?);
}

sub spew {
    my ($name, $text) = @_;
    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}
