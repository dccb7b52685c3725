#!/usr/bin/perl

# The attack: each thing that a host asks of nginx, OpenSSL and jansson is refused
# once while it works with what it shares with others: sessions, connections and
# leases in a Redis or Valkey server.  The promise is that of no-call.t.
#
# Rows: F-PRC-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Fails;
use Test::Intuit::Redis;
use Test::Intuit::Refresh;

Test::Intuit::Redis->needed;
plan(skip_all => no_clock()) if no_clock();
plan(skip_all => 'it is not a module of its own')
    if ($ENV{TEST_VARIANT} // '') eq 'static';

my $t = Test::Intuit->new();
watch($t);

my $redis = Test::Intuit::Redis->start(t => $t);

# the module, with t/lib/no_call.c between it and what it calls
$ENV{TEST_MODULE} = between($t);

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF' =~ s/STORE/$redis->port/er);
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

    intuit_store shared {
        server 127.0.0.1:STORE;
    }

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
        connect_timeout     1s;
        read_timeout        2s;
        store               shared;
        encryption_key_file %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
            add_header X-User $intuit_claim_email;
        }

        location /v3/company/ {
            intuit_proxy books;
        }

        location /unattended/ {
            auth_intuit off;
            rewrite ^/unattended(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }

        location = /status {
            auth_intuit off;
            intuit_status format=json;
        }

        location = /connect {
            auth_intuit off;
            intuit_connect books;
        }

        location = /disconnect {
            auth_intuit off;
            intuit_disconnect books;
        }
    }
}
CONF

# a new refresh token that arrives where there is no memory to read it is
# lost like one that does not arrive (refresh-rotation.t)
$t->sim->config(rotate_after => 400 * 86400);

clock(0);
$ENV{INTUIT_NO_CALL} = fails_in($t, 'no-call');

start_faked();

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

each_fails('calls', 11, kinds($jar), changes());

ok(!log_has('connection has ended'), 'and the company is connected');

done_testing();
