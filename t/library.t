#!/usr/bin/perl

# docs/client-library.md's table for those who come from Intuit's client library is true:
# each row names a test, each such test is there and in one row, and each of the library's
# functions has a row.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use Test::More;

my $here = dirname(abs_path(__FILE__));

my @functions = qw(AuthClient get_authorization_url get_bearer_token get_user_info
    refresh revoke migrate validate_id_token AuthClientError setAuthorizeURLs);

open my $fh, '<', dirname($here) . '/docs/client-library.md' or die "the page: $!";
my $page = do { local $/; <$fh> };
my @files = map { 't/' . basename($_) } glob "$here/library-*.t";

cmp_ok(scalar @files, '>=', 11, 'there are tests');
is(join("\n", wrong($page, @files)), '', 'nothing is wrong');

my @controls = (
    [ 'a row without a test', $page =~ s/ `t\/library-revoke\.t` \|/ |/r,
        \@files, qr/names no test.*revoke/ ],
    [ 'a test without a row', $page, [ @files, 't/library-more.t' ],
        qr/library-more\.t: in no row/ ],
    [ 'a test that is not there', $page, [ grep { !/error/ } @files ],
        qr/library-error\.t: not there/ ],
    [ 'a function without a row', $page =~ s/`validate_id_token\(\)`/x/r,
        \@files, qr/validate_id_token: in no row/ ],
    [ 'no table', '', \@files, qr/no rows/ ],
);

for (@controls) {
    my ($name, $text, $tests, $said) = @$_;
    like(join("\n", wrong($text, @$tests)), $said, "negative control: $name");
}

done_testing();


sub wrong {
    my ($text, @tests) = @_;
    my ($table) = $text =~ /^# Coming from Intuit's client library\n(.*?)(?=^## |\z)/ms;
    my @rows = ($table // '') =~ /^(\|.*\|)$/mg;
    my (@wrong, %named);

    # the table's head
    splice @rows, 0, 2;

    push @wrong, 'no rows' if !@rows;

    for my $row (@rows) {
        my ($test) = $row =~ /\| `(t\/library-[\w-]+\.t)` \|$/;

        if (!defined $test) {
            push @wrong, "names no test: $row";
            next;
        }

        push @wrong, "$test: in two rows" if $named{$test}++;
        push @wrong, "$test: not there" if !grep { $_ eq $test } @tests;
    }

    push @wrong, map { "$_: in no row" } grep { !$named{$_} } @tests;

    for my $function (@functions) {
        push @wrong, "$function: in no row"
            if !grep { /^\|[^|]*`\Q$function\E\b/ } @rows;
    }

    return @wrong;
}
