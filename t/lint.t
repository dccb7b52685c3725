#!/usr/bin/perl

# The promise: the rules that the source is written by hold in all of it.
# Each t/lint/*.pm is a lint: check(TREE) returns what is wrong, line by line,
# and controls() what has to be found when it is planted in a copy of the
# tree.  A lint that finds nothing to look at says so, and fails.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $here;

BEGIN {
    $here = dirname(abs_path(__FILE__));
    unshift @INC, "$here/lint";
}

use Tree;

my $tree = Tree->read(dirname($here));

my @lints = grep { $_ ne 'Tree' }
    map { m{(\w+)\.pm$} } sort glob "$here/lint/*.pm";

cmp_ok(scalar @lints, ">=", 7, 'there are lints');

for my $lint (@lints) {
    require "$lint.pm";
    subtest $lint => sub { lint($lint) };
}

done_testing();


sub lint {
    my ($lint) = @_;
    my $check = $lint->can('check');
    my @controls = $lint->can('controls')->();

    my @wrong = $check->($tree);

    is(scalar @wrong, 0, 'nothing is wrong') or diag(join "\n", @wrong);

    my @said = grep { /^found nothing/ } $check->(Tree->empty);

    ok(scalar @said, 'negative control: nothing to look at is wrong');

    cmp_ok(scalar @controls, '>=', 1, 'there are more negative controls');

    for (@controls) {
        my ($path, $edit, $expected) = @$_;
        my $text = $tree->text($path);

        if (!ok(defined $text || $path =~ /^planted/, "there is $path")) {
            next;
        }

        my $planted = $edit->($text // '');
        isnt($planted, $text, "something is planted in $path");

        my %before = map { $_ => 1 } @wrong;
        my @new = grep { !$before{$_} } $check->($tree->with($path, $planted));

        ok(scalar(grep { $_ =~ $expected } @new),
            "negative control: $expected in $path")
            or diag('found: ', join "\n", @new);
    }
}
