#!/usr/bin/perl

# The attack: there is no memory, just then.  Each allocation that a login, a
# page, a call of the API, a refresh or a document takes fails once, the others
# do not.  The promise: no worker dies, nobody is let in for it, no connection is
# lost, and the next request is served.
#
# Rows: F-PRC-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Fails;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $preload = $t->dir . '/no_memory.so';

plan(skip_all => 'gcc is not installed')
    if system('gcc', '-O1', '-shared', '-fPIC', '-o', $preload,
        "$FindBin::Bin/lib/no_memory.c");

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

# which of them failed is what nginx says of it
$t->allow(qr/\[(?:emerg|alert)\] .*(?:malloc|memalign|realloc|calloc)\([^)]*\) failed/);

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
env LD_PRELOAD;
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
    }
}
CONF

# a new refresh token that arrives where there is no memory to read it is
# lost like one that does not arrive (refresh-rotation.t)
$t->sim->config(rotate_after => 400 * 86400);

clock(0);
$ENV{INTUIT_NO_MEMORY} = fails_in($t, 'no-memory');

{
    no warnings 'redefine';
    my $faketime = Test::Intuit::Refresh::faketime();
    local *Test::Intuit::Refresh::faketime = sub { "$preload:$faketime" };
    start_faked();
}

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

each_fails('allocations', 7, kinds($jar));

ok(!log_has('connection has ended'), 'and the company is connected');

# nginx itself says what it was reading when there was no memory for it
$t->stop;
$t->write_file('logs/error.log', join '', grep {
    !/\[emerg\].* while reading client request line, / } $t->log_lines);

done_testing();
