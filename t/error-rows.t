#!/usr/bin/perl

# Every failure says what to do next, to the one who meets it and to the operator: each
# row of the table in ngx_http_intuit_error.c has a status, a word, a title and a
# description that asks for something, in words that need no escape, a log level, and "Retry-After" where waiting
# helps; and docs/troubleshooting.md has the word, with that status, what has happened and what to do.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $top = dirname(dirname(abs_path(__FILE__)));

my %status = (
    BAD_REQUEST => 400, UNAUTHORIZED => 401, FORBIDDEN => 403,
    NOT_ALLOWED => 405, TOO_MANY_REQUESTS => 429,
    INTERNAL_SERVER_ERROR => 500, BAD_GATEWAY => 502,
    SERVICE_UNAVAILABLE => 503, GATEWAY_TIME_OUT => 504,
);

# how a sentence begins, or goes on, that tells somebody to do something
my $asks = qr/(?:^|[.:;,] |\b(?:please|and|or|may|to) )(?:please )?(?:do not )?(?:try|sign in|open|give|tell|ask|use|allow|call|get|correct|connect|start|send|begin|go on|choose)\b/i;
my $needs = qr/\b(?:has to|needs|begin with)\b/;

my $source = slurp("$top/src/ngx_http_intuit_error.c");
my $header = slurp("$top/src/ngx_http_intuit_auth_module.h");
my $page = slurp("$top/docs/troubleshooting.md");

my @rows = rows($source);
my ($enum) = $header =~ /NGX_HTTP_INTUIT_E_INTERNAL = 0,(.*?)NGX_HTTP_INTUIT_E_MAX/s;
my @names = ('INTERNAL', $enum =~ /^\s*NGX_HTTP_INTUIT_E_(\w+),/mg);

cmp_ok(scalar @rows, '>=', 30, 'there is a table');
is_deeply([map { $_->{name} } @rows], \@names, 'in the order of the numbers');

for my $row (@rows) {
    is(join("\n", wrong($row)), '', "$row->{name}: $row->{error}");
}

# what is wrong is found

my %good = %{ $rows[1] };

for (
    [ status => 200, qr/status/ ],
    [ description => 'Something has happened.', qr/what to do/ ],
    [ error => 'never_heard_of', qr/the page does not/ ],
    [ error => 'Bad word', qr/word/ ],
    [ title => '', qr/title/ ],
    [ status => 503, qr/Retry-After/ ],
    [ description => 'Please say \\"when\\".', qr/escape/ ],
    [ title => 'A > B', qr/escape/ ],
) {
    my ($field, $value, $said) = @$_;
    like(join("\n", wrong({ %good, $field => $value })), $said,
        "negative control: $field \"$value\"");
}

done_testing();


sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return <$fh>;
}

sub rows {
    my ($text) = @_;
    my @rows;

    while ($text =~ m{/\* NGX_HTTP_INTUIT_E_(\w+) \*/\s*\{ NGX_HTTP_(\w+), "([^"]*)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+),\s*NGX_LOG_(\w+), ([01]), ([01]) \}}g) {
        push @rows, { name => $1, status => $status{$2}, error => $3,
            title => joined($4), description => joined($5), level => $6,
            retry => $7, login => $8 };
    }

    return @rows;
}

sub joined {
    my ($literals) = @_;
    return join '', $literals =~ /"((?:[^"\\]|\\.)*)"/g;
}

sub wrong {
    my ($row) = @_;
    my @wrong;

    push @wrong, 'no status of a failure' if ($row->{status} // 0) < 400;
    push @wrong, 'no word' if $row->{error} !~ /^[a-z_]{4,40}$/;
    push @wrong, 'no title' if $row->{title} !~ /\w.*\w$/;
    push @wrong, 'words that a page or JSON would have to escape'
        if "$row->{title}$row->{description}" =~ /[^ -~]|["\\<>&]/;
    push @wrong, 'does not say what to do next'
        if $row->{description} !~ $asks && $row->{description} !~ $needs;
    push @wrong, 'waiting helps, and there is no Retry-After'
        if $row->{status} =~ /^(?:503|429)$/ && !$row->{retry};

    my @told = $page =~ /^\| $row->{status} `\Q$row->{error}\E` \| ([^|]+) \| ([^|]*)\|$/mg;
    push @wrong, 'the page does not have it' if !@told;
    push @wrong, 'the page does not say what to do'
        if grep { !/\w/ } @told;

    return @wrong;
}
