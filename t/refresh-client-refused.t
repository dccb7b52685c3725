#!/usr/bin/perl

# A client secret that Intuit refuses is the operator's mistake: the log names the
# directive, Intuit is left alone for a minute, and no company's tokens are lost
# for it.
#
# Rows: F-OP-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

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
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

$t->signed_in(realm => '9130347957983546');

for my $status (401, 400) {
    my $lines = log_has('client_secret_file of provider books \(');

    clock(61);
    $t->sim->reset('journal', 'scripts');
    answer({ status => $status, json => { error => 'invalid_client' } });

    is(call()->status, 503, "$status invalid_client: 503");
    is(log_has('client_secret_file of provider books \('), $lines + 1,
        '... and the log names the directive');

    is(call()->status, 503, '... also the next') for 1 .. 3;
    is(scalar(sent()), 1, '... while Intuit is left alone');

    clock(2);
    is(call()->status, 200, 'healed once the secret is good');
}

ok(!log_has('connection has ended'), 'nothing was lost');

done_testing();
