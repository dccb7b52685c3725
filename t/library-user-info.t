#!/usr/bin/perl

# The client library's get_user_info(), and the same with another access token: what
# Intuit says of the user is in variables and in session_uri; a program that has an access
# token of its own asks session_uri with it.  One that Intuit refuses is an error with
# Intuit's transaction id.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', $t->sim->{client_secret});
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

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

        location / {
            auth_intuit books;
            add_header X-Email $intuit_claim_email;
            add_header X-Verified $intuit_claim_email_verified;
            add_header X-Userinfo $intuit_userinfo;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');
my ($call) = $t->sim->journal(kind => 'userinfo');
my ($pair) = $t->sim->tokens;

is($call->{headers}{authorization}, "Bearer $pair->{access_token}",
    'userinfo is read with the new token');
is($call->{headers}{accept}, 'application/json', '... as JSON');

my $r = $t->get('/index.html', -jar => $jar);
is($r->header('X-Email'), 'ada@example.com', '$intuit_claim_email');
is($r->header('X-Verified'), 'true', '$intuit_claim_email_verified');
is(JSON::PP::decode_json($r->header('X-Userinfo'))->{email}, 'ada@example.com',
    '$intuit_userinfo');
is($t->get('/intuit/session', -jar => $jar, -json => 1)->json->{claims}{email},
    'ada@example.com', 'session_uri');

my $other = $t->sim->issue(realm => $realm, user => 'bob@example.com',
    scope => 'openid email')->{access_token};

$r = $t->get('/intuit/session', -json => 1, Authorization => "Bearer $other");
is($r->status, 200, 'with another access token');
is($r->json->{email}, 'bob@example.com', '... that user');

$r = $t->get('/intuit/session', -json => 1,
    Authorization => 'Bearer nobody-knows-this-token');
is($r->status, 401, 'one that Intuit refuses');
is($r->json->{error}, 'invalid_token', '... with its word');
ok($r->json->{intuit_tid}, "... and Intuit's transaction id");

done_testing();
