#!/usr/bin/perl

# The attack: each thing that a login, a page, a call of the API, a refresh, a
# document or a configuration asks of nginx, OpenSSL and jansson is refused once:
# memory of any kind, a connection, a random number, a digest.  The promise: no
# worker dies, nobody is let in for it, no connection is lost, and the next
# request is served.
#
# Rows: F-PRC-04

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Fails;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();
plan(skip_all => 'it is not a module of its own')
    if ($ENV{TEST_VARIANT} // '') eq 'static';

my $t = Test::Intuit->new();
watch($t);

# the module, with t/lib/no_call.c between it and what it calls
$ENV{TEST_MODULE} = between($t);

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);
$t->secret('oauth1 consumer secret', 'oauth1 token secret');
$t->write_file('html/index.html', "in\n");

# it says so where tokens cannot be written
$t->allow(qr{intuit state_path .* cannot be used \((?:seal|memory)\)});

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
        migrate_url         %%SIM%%/v2/oauth2/tokens/migrate;
        state_path          %%DIR%%/state;
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

        location = /page {
            auth_intuit off;
            intuit_status format=html;
        }

        location = /metrics {
            auth_intuit off;
            intuit_status format=prometheus;
        }

        location = /connect {
            auth_intuit off;
            intuit_connect books;
        }

        location = /disconnect {
            auth_intuit off;
            intuit_disconnect books;
        }

        location = /migrate {
            auth_intuit off;
            intuit_migrate books;
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

my $realm = '9130347957983546';

sub migrate {
    my ($fail) = @_;
    my $token = 'oauth1-token-' . int rand 1e9;

    $t->secret($token);
    $t->sim->control(POST => '/oauth1', { consumer_key => 'a key',
        consumer_secret => 'oauth1 consumer secret', token => $token,
        token_secret => 'oauth1 token secret', realm => $realm });

    $fail->();
    return $t->post('/migrate', encode_json({ consumer_key => 'a key',
        consumer_secret => 'oauth1 consumer secret', access_token => $token,
        access_secret => 'oauth1 token secret' }), -json => 1,
        'Content-Type' => 'application/json');
}

each_fails('calls', 3, kinds($jar),
    [ 'the page of the status', sub { $_[0]->(); $t->get('/page') },
        qr/<table/ ],
    [ 'the metrics', sub { $_[0]->(); $t->get('/metrics') }, qr/^# EOF|^intuit_/m ],
    changes(), [ 'a migration', \&migrate, qr/"connected":true/ ]);

ok(!log_has('connection has ended'), 'and the company is connected');

# -- a configuration

my ($status, $said, $n, $tried, %odd) = (0, '', 0, 0);

while (1) {
    $n += $n > 20 && !$ENV{TEST_ALL} ? 7 : 1;
    fails_at($n);
    ($status, $said) = $t->check_conf;

    my ($left, $failed) = left();
    last if $left != 0;

    $tried++;
    $odd{"$n ($failed): $? $said"} = 1 if $? & 127 || $status > 1
        || ($status == 0 && $said !~ /successful/);
}

fails_at(0);
cmp_ok($tried, '>', 0, "a configuration: $tried calls failed, one by one");
is(join("\n", sort keys %odd), '', 'a configuration: nginx -t ends in order');

done_testing();
