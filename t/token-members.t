#!/usr/bin/perl

# What an answer with tokens must have in it: a token that can be sent in a
# header and nothing more than sent, a type that we know, a time to live that
# is one.  A CRLF in a token would otherwise write headers of its own, and a
# token that lives "for ever" would never be refreshed.
#
# Rows: TK-06 TK-07 TK-11 F-OP-06 F-OP-11 F-OP-12 F-OP-13

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

my $true = JSON::PP::true;

# what the token endpoint does -> what the browser gets
sub answer { return [ { kind => 'token', action => { @_ } } ] }

sub bad {
    my ($name, $status, $error, @action) = @_;
    refused($t, $name, $status, $error, answer(@action));
}

sub good {
    my ($name, @action) = @_;
    accepted($t, $name, answer(@action));
}

# -- members

for my $row (
    [ access_token => undef, '', 1, [ 'a' ], { a => 1 }, $true,
        "a\r\nX-Evil: 1", "a\nb", "a b", "a\x{0}b", "a\"b", 'a,b', '=', 'a=b',
        "\x{e9}\x{e9}", 'x' x 9000 ],
    [ token_type => undef, '', 'mac', 'bearer ', "bearer\r\n", 1,
        [ 'bearer' ] ],
    [ expires_in => 0, -1, 3599.9, 'abc', '', '3600s', '0x10', '-5',
        '9223372036854775808', 1e300, $true, {}, [ 3600 ] ],
    [ refresh_token => '', 1, [ 'a' ], "a\r\nX-Evil: 1", "a\x{0}b",
        'x' x 9000 ],
) {
    my ($name, @values) = @$row;

    for my $value (@values) {
        my $shown = JSON::PP->new->allow_nonref->ascii->encode($value);

        bad("$name " . substr($shown, 0, 30), 502, 'invalid_answer',
            merge => { $name => $value });
    }
}

bad("no $_", 502, 'invalid_answer', omit => [ $_ ])
    for qw(access_token token_type);

# -- sound ones

good('as it is');
good('chunked', chunked => $true);
good('with blanks after it', pad => 60000);
good('dripping', drip => { bytes => 40, interval_ms => 1 });
good('without a content type', headers => { 'content-type' => undef });
good('as text', headers => { 'content-type' => 'text/plain' });
good("token_type $_", merge => { token_type => $_ })
    for 'Bearer', 'BEARER';
good('expires_in ' . JSON::PP->new->allow_nonref->encode($_),
    merge => { expires_in => $_ })
    for '3600', 2147483648, '4000000000', undef;
good("no $_", omit => [ $_ ]) for qw(expires_in refresh_token);
good('members that nobody knows', merge => { a => [ 1, { b => 2 } ] });

done_testing;
