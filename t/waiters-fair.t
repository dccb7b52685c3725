#!/usr/bin/perl

# The promise: however many requests of one company wait, those of another find
# a place to wait as well.
# The attack: more requests than a worker lets wait, all for one company whose
# refresh does not end.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {
    worker_connections 4096;
}

http {
    %%TEMP_PATHS%%
    log_format error '$intuit_error';
    access_log %%DIR%%/logs/access.log error;

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
        read_timeout        10m;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        listen 127.0.0.1:%%PORT_8082%% http2;
        http2_max_concurrent_streams 4096;
        keepalive_requests 10000;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location ~ ^/(\d+)(/v3/company/.*)$ {
            set $realm $1;
            rewrite ^/\d+(/.*) $1 break;
            intuit_proxy books realm=$realm;
        }
    }
}
CONF

my @realms = qw(9130347957983546 4620816365041297150 193514292156789);

sub path { "/$_[0]/v3/company/-/companyinfo/$_[0]" }
sub busy { scalar grep { /^too_busy$/ } $t->log_lines('logs/access.log') }

# tokens that have expired, and Intuit does not answer the first two refreshes

$t->sim->script({ kind => 'token', times => scalar @realms,
    action => { merge => { expires_in => 1 } } });
$t->signed_in(realm => $_) for @realms;

my $until = time + 2;
$t->wait_until(sub { time >= $until });
$t->sim->script({ kind => 'token', times => 2, action => { barrier => 'held' } });

my @clients;

for my $company (0, 1) {
    my $before = busy();
    my $h = Test::Intuit::Http2->new(port => $t->port('8082'));

    $h->get(path($realms[$company]), accept => 'application/json')
        for 1 .. 1100;
    $h->settle;
    push @clients, $h;

    $t->sim->parked('held', $company + 1);

    my ($least, $most) = $company ? (1100 - 800, 1100 - 500) : (76, 76);
    ok($t->wait_until(sub { busy() - $before >= $least }),
        'many wait, and others are told to come again');
    cmp_ok(busy() - $before, '<=', $most, '... but not too many');
}

is($t->get(path($realms[2]), -json => 1)->status, 200,
    'those of another company wait for their own refresh');

$_->close for @clients;
$t->sim->release('held');

done_testing();
