#!/usr/bin/perl

# The main job: an anonymous browser is sent to Intuit, comes back, is signed
# in, and the QuickBooks API is called with a token that it never sees.
#
# Rows: BF-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

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
        auth_intuit books;

        location / {
            add_header X-Email $intuit_claim_email;
            add_header X-Realm $intuit_realm_id;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

$t->write_file('html/index.html', "the tool\n");

my $jar = $t->jar;
my $r = $t->get('/index.html', -jar => $jar, -browser => 1);

is($r->status, 302, 'an anonymous navigation is sent away');
like($r->header('Location'), qr{/connect/oauth2\?}, 'to Intuit');
is($r->header('Cache-Control'), 'no-store', 'which nobody may cache');

$r = $t->get('/index.html', -json => 1);

is($r->status, 401, 'an API client gets 401');
is($r->json->{error}, 'login_required', 'as JSON');

$r = $t->login($jar, '/index.html', realm => '9130347957983546');

is($r->status, 302, 'the callback redirects');
is($r->header('Location'), 'http://localhost:' . $t->port . '/index.html',
    'to the page that was asked for');

like($jar->cookie('__Host-intuit')->{header},
    qr/^__Host-intuit=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    'with a cookie that holds nothing but random bits');

$r = $t->get('/index.html', -jar => $jar);

is($r->status, 200, 'signed in');
is($r->body, "the tool\n", 'to the tool');
is($r->header('X-Email'), 'ada@example.com', 'with a claim');
is($r->header('X-Realm'), '9130347957983546', 'and the company');

$r = $t->get('/v3/company/-/companyinfo/9130347957983546', -jar => $jar,
    -json => 1);

is($r->status, 200, 'the API answers');
is($r->json->{CompanyInfo}{CompanyName}, 'Harbour Lane Bakery',
    'for the company of the session');

my ($call) = grep { $_->{path} =~ /companyinfo/ } $t->sim->journal(kind => 'api');

like($call->{headers}{authorization}, qr/^Bearer \S+$/, 'with the token');
unlike($call->{headers}{cookie} // '', qr/__Host-intuit/,
    'and without our cookie');

is($t->sim->count(kind => 'token'), 1, 'one token call was made');

done_testing();
