#!/usr/bin/perl

# A company is disconnected while Intuit's revocation endpoint is down, and connected
# again before it is back.  With one token of a company Intuit ends all that the app
# has of it.  The promise: what is still to be revoked does not end the new
# connection, whether somebody signed in or an import waits for its proof.

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
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location = /connect {
            intuit_connect books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $given_up = qr/revocation is given up: the company is connected again/;

sub of_log { my ($re) = @_; return scalar grep { /$re/ } $t->log_lines }

sub alive { scalar grep { $_->{state} eq 'active' } $t->sim->tokens }

sub operator { $t->post(@_, -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded') }

sub api { $t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status }

my $down = { kind => 'revoke', times => -1, action => { status => 503 } };

# -- somebody signs in

$t->signed_in(realm => $realm);
$t->sim->script($down);
is(operator('/disconnect', "realm=$realm")->json->{revoked}, 'pending',
    'disconnected while Intuit is down');

$t->signed_in(realm => $realm);
$t->sim->reset('scripts', 'journal');

ok($t->wait_until(sub { of_log($given_up) }, 300),
    'connected again: the revocation is given up, says the log');
is($t->sim->count(kind => 'revoke'), 0, '... Intuit is not asked');
is(api(), 200, '... and the new tokens live');

# -- an import waits for its proof

$t->sim->script([ $down,
    { kind => 'api', times => -1, action => { status => 503 } } ]);
is(operator('/disconnect', "realm=$realm")->json->{revoked}, 'pending',
    'disconnected again');

my $token = $t->sim->issue(realm => $realm,
    scope => 'com.intuit.quickbooks.accounting')->{refresh_token};
is(operator('/connect', "realm=$realm&refresh_token=$token")->json->{error},
    'not_proven_yet', 'a token is imported, and not proven yet');

$t->sim->script({ kind => 'api', times => -1, action => { status => 503 } });
$t->sim->reset('journal');
$t->sim->wait_for(kind => 'api', count => 1);
is($t->sim->count(kind => 'revoke'), 0, 'meanwhile nothing is revoked');

$t->sim->reset('scripts');
ok($t->wait_until(sub { of_log($given_up) == 2 }, 300),
    'nor when the company is connected');
is(api(), 200, '... with the tokens that were imported');

done_testing();
