#!/usr/bin/perl

# Shortly before its end an access token is refreshed by one request, which does
# not wait for it, and neither do the others: all go on with the token that is
# still valid.  A login of the same company in that moment takes nothing away.

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
worker_processes 4;
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
        read_timeout        10m;        # until all calls below are made
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

is(call()->status, 200, 'signed in');
my $token = used();

clock(50);
is(call()->status, 200, 'ten minutes before the end');
is(scalar(sent()), 0, '... there is no refresh');

clock(7);
answer({ barrier => 'early', when => 'after', rotate => \1 });
is(call()->status, 200, 'three minutes before the end');
$t->sim->parked('early');

my %status;
$status{call()->status}++ for 1 .. 100;
is_deeply(\%status, { 200 => 100 }, '... all are served meanwhile');
is(used(), $token, '... with the token that is still valid');
is(scalar(sent()), 1, '... while one refreshes');

$t->sim->config(clock_offset => 57 * 60);
$t->signed_in(realm => '9130347957983546', user => 'bob@example.com');
$t->sim->config(clock_offset => 0);
is(call()->status, 200, 'a login brings a spare pair');

$t->sim->release('early');
ok($t->wait_until(sub { log_has('refresh succeeded') }), 'refreshed');

is(call()->status, 200, '... and served');
isnt(used(), $token, '... with the new token');
is(scalar(sent()), 1, '... after one refresh in all');

clock(61);
is(call()->status, 200, 'an hour later');
my @sent = sent();
is(scalar @sent, 2, '... there is a second one');
isnt($sent[1], $sent[0], '... with the rotated token');

done_testing();
