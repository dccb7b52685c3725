#!/usr/bin/perl

# A callback that core itself refuses, before any phase has run, leaves no
# code and no state in access_log either.
#
# Rows: CB-10 NGX-H2 NGX-C1

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log notice;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    large_client_header_buffers 2 1k;

    intuit_provider books {
        environment    sandbox;
        client_id      id;
        client_secret  secret-of-the-test;
        scope          com.intuit.quickbooks.accounting;
        redirect_uri   http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm    any;
        probe          off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
    }
}
CONF

my $code = 'XAB11kP0zQ7wLm3nVb5cRt8yUj2hGf6d';
my $state = 'sT4tE9sT4tE9sT4tE9sT4tE9sT4tE9sT4tE9sT4tE9s';
my $path = "/intuit/callback?code=$code&state=$state&realmId=1";

$t->secret($code, $state);

for my $case (
    [ 'TRACE', "TRACE $path HTTP/1.1\r\nHost: localhost\r\n\r\n" ],
    [ 'no Host', "GET $path HTTP/1.1\r\n\r\n" ],
    [ 'two lengths', "GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 1\r\nContent-Length: 2\r\n\r\n" ],
    [ 'too large a cookie', "GET $path HTTP/1.1\r\nHost: localhost\r\nCookie: "
        . 'c=' . 'x' x 4000 . "\r\n\r\n" ],
    [ 'HTTP/1.0', "GET $path HTTP/1.0\r\n\r\n" ])
{
    my ($name, $bytes) = @$case;
    my $r = $t->http($bytes);

    like($r->status, qr/^4/, "$name is refused");
}

ok($t->wait_until(sub {
    5 == grep { m{/intuit/callback} } $t->log_lines('logs/access.log');
}), 'all are in access_log');

done_testing();
