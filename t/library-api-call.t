#!/usr/bin/perl

# The client library's sample call, requests.get of CompanyInfo with the bearer token: a
# GET without any token here, and the API gets what it would have got from the library.
# The answer comes back as it is, and the token goes nowhere else.

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
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
my ($pair) = $t->sim->tokens;

my $r = $t->get("/v3/company/$realm/companyinfo/$realm", -json => 1);
is($r->status, 200, 'CompanyInfo');
is($r->json->{CompanyInfo}{CompanyName}, 'Harbour Lane Bakery', 'as Intuit has it');
unlike($r->raw, qr/\Q$pair->{access_token}\E/, 'without the token');

my ($call) = reverse $t->sim->journal(kind => 'api');
is($call->{target}, "/v3/company/$realm/companyinfo/$realm", 'the same address');
is($call->{headers}{authorization}, "Bearer $pair->{access_token}",
    'Authorization: Bearer');
is($call->{headers}{accept}, 'application/json', 'Accept');

is($t->get("/v3/company/-/companyinfo/$realm?minorversion=75", -json => 1)
    ->status, 200, '"-" stands for the company');
is((reverse $t->sim->journal(kind => 'api'))[0]{target},
    "/v3/company/$realm/companyinfo/$realm?minorversion=75",
    '... and arguments are kept');

$r = $t->get("/v3/company/-/companyinfo/$realm", -json => 1,
    Authorization => 'Bearer of-somebody-else');
is((reverse $t->sim->journal(kind => 'api'))[0]{headers}{authorization},
    "Bearer $pair->{access_token}", "a client's own Authorization is replaced");

$t->sim->script({ kind => 'api', action => { fault => '2020' } });
$r = $t->get("/v3/company/-/companyinfo/$realm", -json => 1);
is($r->status, 400, "Intuit's faults come back");
is($r->json->{Fault}{Error}[0]{code}, '2020', '... unchanged');

done_testing();
