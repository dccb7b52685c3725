#!/usr/bin/perl

# A company that was disconnected stays so: its file must not bring the
# revoked tokens back when nginx starts again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'c0ffee' x 10 . 'beef');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my @api = ('/v3/company/-/companyinfo/9130347957983546', -json => 1);

$t->signed_in(realm => '9130347957983546');

is($t->get(@api)->status, 200, 'connected');

$t->stop;
$t->start;

is($t->get(@api)->status, 200, 'a restart does not change that');

my $r = $t->post('/disconnect', 'realm=9130347957983546', -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded');

is($r->status, 200, 'disconnected') or diag($r->body);
is($t->sim->count(kind => 'revoke'), 1, 'Intuit was told');

isnt($t->get(@api)->status, 200, 'at once');

$t->stop;
$t->start;
$t->sim->reset('journal');

isnt($t->get(@api)->status, 200, 'and after a restart');
is($t->sim->count, 0, 'without a word to Intuit');

$t->signed_in(realm => '9130347957983546');

is($t->get(@api)->status, 200, 'until somebody connects it again');

done_testing();
