#!/usr/bin/perl

# The promise: a request that waits for a new token, longer than nginx waits for
# a slow client (send_timeout), gets its answer, all of it.
# The attack: the client was sent nothing yet, so it is no slow one; a timer of
# nginx that ran out meanwhile cuts the answer short.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    client_header_timeout 2s;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% sndbuf=16k;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
            intuit_limit off;
            send_timeout 1s;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $size = 8_000_000;

$t->signed_in(realm => $realm);
$t->sim->reset('journal');
$t->sim->control('POST', '/expire-access', { realm => $realm });
$t->sim->script({ kind => 'token', action => { barrier => 'refresh' } },
    { kind => 'api', skip => 1, action => { status => 200, body => 'x',
    pad => $size } });

my $c = $t->connect(timeout => 60);
$c->send("GET /v3/company/-/companyinfo/$realm HTTP/1.1\r\n"
    . "Host: localhost\r\n\r\n");
$t->sim->parked('refresh');

# nginx closes a connection that says nothing after 2 s: so long it takes
my $silent = $t->connect(timeout => 60);
$silent->send("GET /");
$silent->response;

$t->sim->release('refresh');

my $r = $c->response;

is($r->status, 200, 'the answer with the new token');
ok($r->complete, '... is complete');
is(length $r->body, $size + 1, '... to its last byte');
is($t->sim->count(kind => 'api'), 2, '... of the second request');
is(scalar(grep { /timed out/ && !/client timed out.*while reading client/ }
    $t->log_lines), 0, '... and nothing has timed out');

done_testing;
