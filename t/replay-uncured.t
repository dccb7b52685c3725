#!/usr/bin/perl

# The promise: a refresh that does not cure the API's 401 is not made again for
# a minute, by any worker; a pair that is dead at Intuit ends in
# reconnect_required, or with the spare pair in its place; and of answers that
# are no 401 nobody makes a refresh.
# The attack: a 401 that has another reason, and every call of every client
# costs a refresh; a 401 that goes on until the token expires here.
#
# Rows: BF-07 BF-10

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
worker_processes 3;
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

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

sub refuse { $t->sim->script({ kind => 'api', times => $_[0] // -1,
    action => { fault => '3200' } }) }
sub calls { $t->sim->count(kind => 'api') }
sub clean { $t->sim->reset('journal', 'scripts') }

$t->signed_in(realm => $realm);


# -- a 401 that no token cures ------------------------------------------------

clean();
refuse();

my @crowd = map { $t->connect(timeout => 60) } 1 .. 30;
$_->send("GET $api HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    . "Connection: close\r\n\r\n") for @crowd;

my @answers = map { $_->response } @crowd;

is(scalar(grep { $_->status == 401 } @answers), 30, 'nobody is let in');
is(scalar(grep { $_->json->{fault}{error}[0]{code} == 3200
    && $_->header('WWW-Authenticate') } @answers), 30, "... by Intuit's words");
is(scalar(sent()), 1, '... after one refresh');
cmp_ok(calls(), '<=', 60, '... and no more than two tries each');
ok(log_has('refuses the new token, too'), '... which the log says');

clean();
refuse();
is(call()->status, 401, 'within a minute') for 1 .. 6;
is(scalar(sent()), 0, '... there is no refresh');
is(calls(), 6, '... and no second try');

$t->sim->control('POST', '/expire-access', { realm => $realm });
clean();
is(call()->status, 401, '... though one would help');

clock(2);
clean();
is(call()->status, 200, 'after a minute');
is(scalar(sent()), 1, '... it does');


# -- no 401 -------------------------------------------------------------------

for my $action ({ fault => '3100' }, { fault => '3100', format => 'xml' },
    { status => 403 }, { fault => '3001' }, { fault => '2020' },
    { status => 500 }, { status => 407 }, { status => 302 },
    { status => 200, json => { Fault => { Error => [ { code => '3200' } ] } } })
{
    clean();
    $t->sim->script({ kind => 'api', action => $action });
    my $status = call()->status;
    is(sent() . '/' . calls(), '0/1', "$status: no refresh, no second try");
}


# -- a pair that cannot be refreshed ------------------------------------------

clean();
refuse(1);
answer({ status => 503, headers => { 'Retry-After' => '5' } });
my $r = call();
is($r->status, 401, 'Intuit cannot refresh: its 401');
is($r->json->{fault}{error}[0]{code}, '3200', '... as it was');
is(scalar(sent()), 1, '... after one try');

clock(2);
clean();
is(call()->status, 200, 'the connection lives on');

$t->signed_in(realm => $realm);
clean();
refuse(1);
answer({ status => 400, json => { error => 'invalid_grant' } });
is(call()->status, 200, 'a dead pair: the spare one takes over');
ok(log_has('goes on with its spare tokens'), '... and the log says so');
is(scalar(sent()), 1, '... after one refresh');

clock(2);
$t->sim->control('POST', '/revoke-all', { realm => $realm });
clean();
$r = $t->post('/v3/company/-/invoice', '{}', -json => 1);
is($r->status, 401, 'all are dead: a POST gets the 401');
is($r->json->{fault}{error}[0]{code}, '3200', "... of Intuit's");

$r = call();
is($r->status, 401, '... and the next call');
is($r->json->{error}, 'reconnect_required', '... is told what has happened');
is($r->header('WWW-Authenticate'), undef, '... by us');

$t->signed_in(realm => $realm);
$t->sim->control('POST', '/revoke-all', { realm => $realm });
clean();
$r = call();
is($r->status, 401, 'a GET');
is($r->json->{error}, 'reconnect_required', '... is told at once');
is($r->header('WWW-Authenticate'), undef, "... without Intuit's header");
is(scalar(sent()), 1, '... after one refresh');

$t->signed_in(realm => $realm);
$t->sim->control('POST', '/revoke-all', { realm => $realm });
is($t->get($api, -browser => 1)->status, 302, 'a browser is sent to the login');

done_testing();
