#!/usr/bin/perl

# intuit_status format=health is for load balancers: 200, or 503 where this instance
# cannot serve (keys that Intuit refuses, a full zone), and not because of what is the
# same on all instances.  It asks nobody and is open to those it is opened to.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('wrong', 'not-the-secret-of-it');

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=intuit:256k;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/SECRET;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /health {
            intuit_status format=health clients=any;
        }

        location = /inside {
            intuit_status format=health;
        }

        location = /metrics {
            intuit_status format=prometheus;
        }

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=$arg_realm;
        }
    }
}
CONF

$t->conf($conf =~ s/SECRET/wrong/r)->start;
$t->wait_log(qr/is refused by Intuit/);

my $r = $t->get('/health');
is($r->status, 503, 'keys that Intuit refuses: 503');
is_deeply($r->json, { status => 'failing', problems => ['keys_refused'] }, '... and why');
is($r->header('Cache-Control'), 'no-store', 'not to be kept');
like($t->get('/metrics')->body, qr/^intuit_healthy 0$/m, 'Prometheus hears it, too');

ok($t->reload($conf =~ s/SECRET/secret/r), 'the right secret');
$t->wait_log(qr/keys accepted/);
$r = $t->get('/health');
is($r->status, 200, 'makes it well again');
is_deeply($r->json, { status => 'ok', problems => [] }, '... at once');

is($t->request('HEAD', '/health')->status, 200, 'HEAD');
is($t->request('HEAD', '/health')->body, '', '... without a body');
is($t->post('/health', '', 'Sec-Fetch-Site' => 'same-origin')->status, 405, 'POST is not');
is($t->get('/health', Host => '10.1.2.3', 'X-Forwarded-For' => '10.0.0.1')->status, 200,
    'clients=any: from a load balancer');
is($t->get('/inside', Host => '10.1.2.3')->status, 403, 'without: from this host');

# -- what happens to one company, or to Intuit, is not about this instance

my $realm = '9130347957983546';
my $token = $t->sim->issue(realm => $realm)->{refresh_token};
is($t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1)->status, 200,
    'a company is connected');

my $before = $t->sim->count(kind => 'token');
$t->sim->control('POST', '/down', {});
is($t->get('/health')->status, 200, 'Intuit is down: 200');
$t->sim->control('POST', '/up', {});
is($t->sim->count(kind => 'token'), $before, 'nobody was asked');

# -- no room

my $n = 0;

for (1 .. 400) {
    my $of = 7000000000000000 + $_;
    my $token = $t->sim->issue(realm => "$of")->{refresh_token};
    my $r = $t->post('/connect', "realm=$of&refresh_token=$token", -json => 1);
    last if $r->status == 503;
    $n++;
}

ok($n > 20 && $n < 400, "after $n companies there is no room for another");
$r = $t->get('/health');
is($r->status, 503, 'the zone is full: 503');
is_deeply($r->json->{problems}, ['zone_full'], '... and why');
is($t->get("/v3/company/-/companyinfo/$realm?realm=$realm", -json => 1)->status, 200,
    'who is in goes on');

done_testing();
