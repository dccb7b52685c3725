#!/usr/bin/perl

# An nginx that was idle does not go to an address of long ago: the first call
# waits for the name server, if that answers, and goes to the new one; if not,
# the old address is used at once from then on.  A short while after the end of
# an address nobody waits.  The wall clock counts.
#
# Rows: F-NET-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Dns;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new(sim => [ '--host', 'localhost' ]);
my $dns = Test::Intuit::Dns->start;
my $port = $dns->port;

watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF' =~ s/%%DNS%%/$port/r);
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    resolver_timeout 500ms;

    intuit_provider books {                         # http://localhost:...
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

clock(0);

start_faked();

# where a call went
sub went {
    $t->sim->reset('journal');
    my $status = call()->status;
    return join ' ', $status, map { $_->{listener} } $t->sim->journal;
}

my $pair = $t->sim->issue(realm => '9130347957983546',
    scope => 'com.intuit.quickbooks.accounting');

is($t->post('/connect', "realm=9130347957983546&refresh_token="
    . $pair->{refresh_token}, -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded')->status, 200,
    'connected');

is(went(), '200 main', 'the first address');

$t->sim->control('POST', '/listen', { port => $t->sim->port,
    address => '127.0.0.2' });

# -- a few seconds: the call goes on, and the new address is for the next one

$dns->answers('hold');
clock(10 / 60);
is(went(), '200 main', 'out of date for seconds: nobody waits');

$dns->answers('address 127.0.0.2');
ok($t->wait_until(sub { went() eq '200 extra-1' }), 'followed when it is known');

# -- minutes: the call waits

$dns->answers('address 127.0.0.1');
clock(5);
is(went(), '200 main', 'out of date for long: the first call goes to the new');

# -- the same, but nobody answers

$dns->answers('hold');
clock(5);
is(went(), '200 main', 'no answer: the old one, after a while');
ok(log_has(qr/the old addresses stay in use/), 'it is in the log');

clock(5);

my $before = $dns->queries;
my $asked = log_has(qr/the old addresses stay in use/);

is(went(), '200 main', 'and then at once');
is(log_has(qr/the old addresses stay in use/), $asked,
    '... while the name server is asked');

ok($t->wait_until(sub { $dns->queries > $before }), '... again');

$dns->answers('address 127.0.0.2');
ok($t->wait_until(sub { went() eq '200 extra-1' }), 'and heals');

done_testing;
