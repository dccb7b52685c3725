#!/usr/bin/perl

# The attack: the access tokens of very many companies end in one second, and all
# are called at once; and when Intuit then says 429, all would come back together.
# The promise: each company is refreshed once, nobody fails, the worker has
# connections left for others; and one 429 stops the rest, for all companies.
#
# Rows: F-ABU-08

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $N = $ENV{TEST_ALL} ? 1000 : 150;

my $t = Test::Intuit->new();
watch($t);
$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
worker_rlimit_nofile 16384;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events { worker_connections 8192; }

http {
    access_log %%DIR%%/logs/access.log;
    keepalive_requests 100000;
    intuit_shared_zone zone=intuit:32m;
    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% backlog=4096;
        server_name localhost;

        location = /connect { intuit_connect books; }
        location = /open { return 200 "open\n"; }

        location ~ ^/program/(?<company>\d+)(?<rest>/.*) {
            rewrite ^ $rest break;
            intuit_proxy books realm=$company;
        }
    }
}
CONF

forward(0);
start_faked();
$t->sim->config(rotate_after => 0);

my @realms = map { 9_000_000_000 + $_ } 1 .. $N;

sub path { "/program/$_[0]/v3/company/$_[0]/companyinfo/$_[0]" }

for my $realm (@realms) {
    my $pair = $t->sim->issue(realm => "$realm",
        scope => 'com.intuit.quickbooks.accounting');
    my $r = $t->post('/connect', "realm=$realm&refresh_token="
        . $pair->{refresh_token}, -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');

    $r->status == 200 or die "connect: ", $r->status, ' ', $r->body;
}

sub storm {
    my @sockets = map { crowd($t, 2, path($_)) } @realms;
    is($t->get('/open')->body, "open\n", 'others are served meanwhile');
    return (crowd_statuses(120, @sockets))[0];
}

# sent() is one for each company
forward(61);
$t->sim->reset('journal');
is_deeply(storm(), { 200 => 2 * $N }, "$N companies, all at once: served");
is(scalar(sent()), $N, '... each after one refresh');
my %sent = map { $_ => 1 } sent();
is(scalar keys %sent, $N, '... with its own token');

# -- and Intuit has had enough --------------------------------------------------------

forward(61);
$t->sim->reset('journal', 'scripts');
answer({ status => 429, headers => { 'Retry-After' => 300 } }, -1);

my $r = $t->get(path($realms[0]), -json => 1);
is($r->status, 503, '429: the first is put off');

my $status = storm();
is_deeply($status, { 503 => 2 * $N }, '... and so are all the others');
is(scalar(sent()), 1, '... of which Intuit does not hear');

$t->sim->reset('journal', 'scripts');
forward(6);
is_deeply(storm(), { 200 => 2 * $N }, 'afterwards all are served');
is(scalar(sent()), $N, '... each after one refresh');
ok(!log_has('connection has ended'), 'and no connection was lost');

done_testing();
