#!/usr/bin/perl

# A second login to the same company brings a second pair of tokens: it waits as
# the spare, and takes over when Intuit refuses the first for good.  Without one
# the connection has ended: programs are told so, browsers go to the login, and a
# login heals it.  A pair that may do more than the one in use takes its place.
#
# Rows: TK-08 BF-07 F-OP-01 F-OP-16

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

sub signs_in {
    $t->sim->config(clock_offset => now() - time);
    $t->signed_in(realm => '9130347957983546', user => $_[0]);
}

my $refused = { status => 400, json => { error => 'invalid_grant' } };

signs_in('ada@example.com');
is(call()->status, 200, 'the first login');
my $first = used();

signs_in('bob@example.com');
is(call()->status, 200, 'a second login to the same company');
is(used(), $first, '... and the first pair stays in use');

clock(61);
$t->sim->reset('journal', 'scripts');
answer($refused);

is(call()->status, 200, 'the first pair is refused: the spare takes over');
my @sent = sent();
is(scalar @sent, 2, '... and is refreshed');
isnt($sent[0], $sent[1], '... with a refresh token of its own');
ok(log_has('goes on with its spare tokens: invalid_grant'), '... says the log');

clock(61);
$t->sim->reset('journal', 'scripts');
answer($refused);

my $r = call();
is($r->status, 401, 'the last pair is refused: the connection has ended');
is($r->json->{error}, 'reconnect_required', '... with its word');
ok(log_has('connection has ended: invalid_grant'), '... says the log');

$r = $t->get($api, -browser => 1);
is($r->status, 302, 'a browser goes to the login');
is(call()->status, 401, 'a program is told again');
is(scalar(sent()), 1, '... and Intuit is not asked again');

signs_in('ada@example.com');
is(call()->status, 200, 'a new login heals it');

# more scopes than those in use

clock(61);
answer($refused);
is(call()->status, 401, 'ended again');

$t->sim->script({ kind => 'token', action => { merge => {
    scope => 'com.intuit.quickbooks.accounting' } } });
signs_in('ada@example.com');
is(call()->status, 200, 'a login with fewer scopes');
my $small = used();

signs_in('bob@example.com');
is(call()->status, 200, 'a login with all of them');
my $large = used();
isnt($large, $small, '... takes its place');

$t->sim->script({ kind => 'token', action => { merge => {
    scope => 'com.intuit.quickbooks.accounting' } } });
signs_in('ada@example.com');
is(call()->status, 200, 'one with fewer again');
is(used(), $large, '... does not');

done_testing();
