#!/usr/bin/perl

# The client library's get_bearer_token(code, realm_id): the same request to the token
# endpoint, and its answer's properties where the library has them as attributes: the
# tokens for the upstream only, their ends in variables and in session_uri.
#
# Rows: TK-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use MIME::Base64 qw(encode_base64);

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
            add_header X-Token $intuit_access_token;
            add_header X-Realm $intuit_realm_id;
            add_header X-Expires $intuit_token_expires;
            add_header X-Refresh-Expires $intuit_refresh_token_expires;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');
my ($call) = $t->sim->journal(kind => 'token');

is($call->{method}, 'POST', 'one POST');
is($call->{headers}{accept}, 'application/json', 'Accept');
is($call->{headers}{'content-type'}, 'application/x-www-form-urlencoded',
    'Content-Type');
is($call->{headers}{authorization}, 'Basic ' . encode_base64('sim-client-id:'
    . $t->sim->{client_secret}, ''), 'Authorization: Basic, both values raw');

my %body = map { split /=/, $_, 2 } split /&/, $call->{body};
is_deeply([sort keys %body], [qw(code grant_type redirect_uri)],
    'the body: these and no others');
is($body{grant_type}, 'authorization_code', 'grant_type');

my ($pair) = $t->sim->tokens;
my $r = $t->get('/index.html', -jar => $jar);

is($r->header('X-Token'), $pair->{access_token}, 'access_token');
is($r->header('X-Realm'), $realm, 'realm_id');
cmp_ok(abs($r->header('X-Expires') - time - 3600), '<=', 60, 'expires_in');
cmp_ok(abs($r->header('X-Refresh-Expires') - time - 8726400), '<=', 60,
    'x_refresh_token_expires_in');

my $json = $t->get('/intuit/session', -jar => $jar, -json => 1)->json;

is($json->{realm_id}, $realm, 'session_uri: the company');
is($json->{token_expires}, $r->header('X-Expires'), '... the ends');
is($json->{refresh_token_expires}, $r->header('X-Refresh-Expires'), '... both');
unlike(JSON::PP::encode_json($json), qr/token"?:"|\Q$pair->{access_token}\E/,
    '... and never a token');

done_testing();
