#!/usr/bin/perl

# The attack: more requests than a worker can keep waiting, on a token that has
# expired, while Intuit takes its time.  The promise: a quarter as many as a worker
# has connections wait, the others are told at once to come again; one refresh serves all who wait, and no
# place is lost: the next crowd finds as many.
#
# Rows: F-ABU-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my ($ROOM, $MORE) = (1536, 60);

my $t = Test::Intuit->new();
watch($t);
$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
worker_rlimit_nofile 8192;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events { worker_connections 6144; }

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
        read_timeout        300s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% backlog=4096;

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

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

forward(0);
start_faked();
$t->signed_in(path => '/index.html', realm => $realm);

for my $round (1, 2) {
    forward(61);
    $t->sim->reset('journal', 'scripts');
    answer({ barrier => 'held' });

    my @waiting = crowd($t, $ROOM, $api);
    $t->sim->parked('held');
    # all of them have been read when another request has been answered
    is($t->get('/index.html', -json => 1)->status, 401, 'others are served');

    my @late = map { $t->get($api, -json => 1) } 1 .. $MORE;
    my %status;
    $status{$_->status}++ for @late;
    is_deeply(\%status, { 503 => $MORE }, "beyond $ROOM: 503");
    is(scalar(grep { $_->header('Retry-After') } @late), $MORE,
        '... and when to come again');

    $t->sim->release('held');
    is_deeply((crowd_statuses(120, @waiting))[0], { 200 => $ROOM },
        '... those who wait are served');
    is(scalar(sent()), 1, '... after one refresh');
    is(call()->status, 200, '... as is who comes again');
}

done_testing();
