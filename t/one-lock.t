#!/usr/bin/perl

# A request of somebody who is signed in takes the shared memory's lock once,
# whatever its location asks of the module: session and connection are read
# together.  Each worker's first requests may need a second turn, to learn how
# much memory that takes.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

plan(skip_all => 'needs a debug build, which says when it locks')
    if ($ENV{TEST_VARIANT} // 'debug') eq 'static';

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log debug;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

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
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');
my $api = "/v3/company/-/companyinfo/$realm";

sub locks { scalar grep { /intuit shared zone was locked/ } $t->log_lines }

for my $case ([ 'a page', '/index.html', 8080 ], [ 'an API call', $api, 8080 ],
    [ 'an API call without a session', $api, 8081 ])
{
    my ($name, $path, $port) = @$case;
    my @headers = $port == 8080 ? (-jar => $jar)
        : (-port => $t->port($port), Host => 'localhost');

    is($t->get($path, @headers)->status, 200, $name);

    my $before = locks();
    is($t->get($path, @headers)->status, 200, '... and another');
    is(locks() - $before, 1, '... which takes one lock');
}

cmp_ok(locks(), '>', 3, 'there is something to count');

done_testing();
