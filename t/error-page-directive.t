#!/usr/bin/perl

# An operator may put own pages in place of ours with error_page, as for any
# other status of nginx: the page is sent, with the status, and what it may
# need is in variables.
#
# Rows: NGX-I5

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");
$t->write_file("html/own/$_.html", "our own $_\n") for 400, 401, 403, 503;

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;

        error_page 400 /own/400.html;
        error_page 401 /own/401.html;
        error_page 403 /own/403.html;
        error_page 503 /own/503.html;

        location /own/ {
            internal;
            auth_intuit off;
            add_header X-Error $intuit_error always;
            add_header X-Tid $intuit_tid always;
        }

        location = /members {
            auth_intuit_require $intuit_claim_nothing;
        }

        location = /teapot {
            auth_intuit_require $intuit_claim_nothing error=404;
        }
    }
}
CONF

my $realm = '9130347957983546';

# 401

my $r = $t->get('/index.html', -json => 1);

is($r->status, 401, 'an anonymous program');
is($r->body, "our own 401\n", 'sees the own page');
is($r->header('X-Error'), 'login_required', 'which may say why');

is($t->get('/index.html', -browser => 1)->status, 302,
    'a browser is sent to Intuit nevertheless');

# 403

my $jar = $t->signed_in(path => '/index.html', realm => $realm);

$r = $t->get('/members', -jar => $jar, -browser => 1);

is($r->status, 403, 'a page that is not for this account');
is($r->body, "our own 403\n", 'shows the own page');
is($r->header('X-Error'), 'forbidden', 'which may say why');

is($t->get('/teapot', -jar => $jar, -browser => 1)->status, 404,
    'with the status that was chosen');

# of a callback

my $other = $t->jar;
$r = $t->login($other, '/index.html', realm => '193514292156789');

is($r->status, 403, 'a company that is not allowed');
is($r->body, "our own 403\n", 'shows the own page');
is($r->header('X-Error'), 'realm_not_allowed', 'which may say why');
is($other->get('__Host-intuit'), undef, 'nobody is signed in');
ok(!(grep { /-login-/ } $other->names), 'the login\'s cookie is gone');

$r = $t->get('/intuit/callback?code=a&state=b', -browser => 1);

is($r->status, 400, 'a callback that nobody asked for');
is($r->body, "our own 400\n", 'shows the own page');

# 503

$t->sim->script({ kind => 'token', action => { status => 503 } });
$r = $t->login($t->jar, '/index.html', realm => $realm);

is($r->status, 503, 'an Intuit that is down');
is($r->body, "our own 503\n", 'shows the own page');
is($r->header('X-Error'), 'temporarily_unavailable', 'which may say why');
like($r->header('X-Tid'), qr/^1-[\w-]+$/, 'and Intuit\'s transaction id');
like($r->header('Retry-After'), qr/^\d+$/, 'Retry-After is kept');

is($t->get('/own/403.html')->status, 404, 'the pages are internal');

done_testing();
