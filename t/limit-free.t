#!/usr/bin/perl

# What is refused anyway spends nothing: strangers, other sites, other
# companies, and those whom auth_intuit_require turns away.  Batches have a
# limit of their own, which leaves the others alone.  dry_run only says what
# it would have done, and off says nothing.

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
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    intuit_limit on rate=3r/m batch_rate=2r/m queue=0;

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
            auth_intuit books;
            intuit_proxy books;
            add_header X-Limit $intuit_limit_status always;
        }

        location /nobody/ {
            rewrite ^/nobody(/.*) $1 break;
            auth_intuit books;
            auth_intuit_require 0;
            intuit_proxy books;
        }

        location /batch/ {
            rewrite ^/batch(/.*) $1 break;
            intuit_limit on batch_rate=2r/m queue=0;
            intuit_proxy books realm=4620816365041297150;
            add_header X-Limit $intuit_limit_status always;
        }

        location /dry/ {
            rewrite ^/dry(/.*) $1 break;
            intuit_limit dry_run rate=1r/m queue=1 timeout=2m;
            intuit_proxy books realm=193514292156789;
            add_header X-Limit $intuit_limit_status always;
        }

        location /off/ {
            rewrite ^/off(/.*) $1 break;
            intuit_limit off;
            intuit_proxy books realm=193514292156789;
            add_header X-Limit $intuit_limit_status always;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
$t->signed_in(realm => $_) for qw(4620816365041297150 193514292156789);
$t->sim->reset('journal');

my $api = "/v3/company/-/companyinfo/$realm";

for my $round (1, 2) {

    # in the second round the company's quota is known, and loads ask for it

    is($t->get($api, -json => 1)->status, 401, 'a stranger');
    is($t->post("/v3/company/-/customer", '{}', -jar => $jar, -json => 1,
        'Sec-Fetch-Site' => 'cross-site')->status, 403, 'another site');
    is($t->get('/v3/company/1/query', -jar => $jar)->status, 403,
        'another company');
    is($t->get('/v3/company/-/%2e%2e/x', -jar => $jar)->status, 400,
        'another path');
    is($t->get("/nobody$api", -jar => $jar)->status, 403, 'not allowed');
    is($t->get($api, -jar => $jar, -json => 1)->status, 200,
        "they spent nothing, $round");
}

is($t->get($api, -jar => $jar, -json => 1)->status, 200, 'the third');

my $r = $t->get($api, -jar => $jar, -json => 1);
is($r->status, 429, 'the fourth is one too many');
is($r->header('X-Limit'), 'REJECTED', '... as the variable says');
is($t->sim->count(kind => 'api'), 3, 'Intuit was asked three times');


# -- batches ------------------------------------------------------------------

sub batch { $t->post("/batch/v3/company/-/$_[0]", '{"BatchItemRequest":[]}',
    -json => 1, 'Content-Type' => 'application/json') }

is(batch('batch')->status, 200, 'a batch');
is(batch('batch?minorversion=75')->status, 200, 'another');
is(batch('batch')->status, 429, 'the third is too many');
is(batch('b%61tch')->status, 429, 'however it is written');
is($t->get('/batch/v3/company/-/companyinfo/4620816365041297150',
    -json => 1)->status, 200, 'others go on');


# -- dry_run, off -------------------------------------------------------------

my $other = '/v3/company/-/companyinfo/193514292156789';

for my $status (qw(PASSED DELAYED_DRY_RUN REJECTED_DRY_RUN)) {
    $r = $t->get("/dry$other", -json => 1);
    is($r->status, 200, 'dry_run refuses nobody');
    is($r->header('X-Limit'), $status, "... and says $status");
}

ok($t->wait_log(qr/\[warn\].*intuit delaying request, dry run, wait: \d+ ms/),
    'so does the log');
ok($t->wait_log(qr/\[error\].*intuit limiting requests, dry run, next slot/),
    '... twice');

for (1 .. 3) {
    $r = $t->get("/off$other", -json => 1);
    is($r->status, 200, 'off lets everything through');
    is($r->header('X-Limit'), undef, '... without a word');
}

done_testing();
