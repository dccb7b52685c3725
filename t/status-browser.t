#!/usr/bin/perl

# The status page in a real browser: it updates itself, keeps the focus, and can be
# stopped; without JavaScript its forms work just so, by the keyboard as well.  It
# keeps its own policy and asks nobody else.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use JSON::PP ();

plan(skip_all => 'there is no /usr/bin/chromium') if !-x '/usr/bin/chromium';
plan(skip_all => 'playwright-core is missing: run make test once')
    if !-e "$FindBin::Bin/node_modules/playwright-core/index.js";

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

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
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;

        location = /connect {
            intuit_connect books;
        }

        location = /status {
            intuit_status manage;
        }
    }
}
CONF

my $site = 'localhost:' . $t->port(8080);

my ($first, $second) = map { "realm=$_&refresh_token="
    . $t->sim->issue(realm => $_)->{refresh_token} } '9130347957983546', '193514292156789';

is($t->post('/connect', $first, -json => 1)->status, 200, 'a company is connected');

open my $pipe, '-|', 'node', "$FindBin::Bin/browser/status.cjs",
    "$FindBin::Bin/node_modules/playwright-core",
    JSON::PP::encode_json({ page => "http://$site/status",
        connect => 'http://127.0.0.1:' . $t->port(8080) . '/connect', body => $second })
    or die "node: $!";
my $said = JSON::PP::decode_json(do { local $/; <$pipe> } || '{}');
close $pipe;

is($said->{$_}, undef, "$_: to its end") for qw(script plain);
is($said->{before}, 1, 'one company on the page');
is($said->{after}, 2, 'a second one appears by itself');
is($said->{focus}, 'again', 'the focus stays');
is($said->{paused}, 0, 'stopped: nothing is asked');
is($said->{button}, 'Resume updates', '... and can go on');
ok($said->{resumed}, '... which it does');
ok(!$said->{wide}, 'nothing is wider than a phone');
ok($said->{meter}, 'its own colours of the bars are taken');
is($said->{without}, 0, 'no button of the script without a script');
is($said->{refreshed}, 'The connection has new tokens.', 'the form refreshes');
is($said->{disconnected}, 'The company is disconnected.', 'the other disconnects');
is($said->{left}, 1, 'one is left');
is_deeply($said->{policy}, [], 'the browser has nothing to complain about');
is_deeply($said->{hosts}, [$site], 'nobody else was asked');

done_testing();
