#!/usr/bin/perl

# A company that was disconnected stays so: its file must not bring the
# revoked tokens back when nginx starts again, nor a refresh that was under way
# the tokens that it has got.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'c0ffee' x 10 . 'beef');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my @api = ('/v3/company/-/companyinfo/9130347957983546', -json => 1);

$t->signed_in(realm => '9130347957983546');

is($t->get(@api)->status, 200, 'connected');

$t->stop;
$t->start;

is($t->get(@api)->status, 200, 'a restart does not change that');

disconnect('disconnected');
is($t->sim->count(kind => 'revoke'), 1, 'Intuit was told');

isnt($t->get(@api)->status, 200, 'at once');

$t->stop;
$t->start;
$t->sim->reset('journal');

isnt($t->get(@api)->status, 200, 'and after a restart');
is($t->sim->count, 0, 'without a word to Intuit');

$t->signed_in(realm => '9130347957983546');

is($t->get(@api)->status, 200, 'until somebody connects it again');

# -- while the token is being refreshed, and rotated

disconnect('disconnected once more');
$t->sim->script({ kind => 'token', action => { merge => { expires_in => 1 } } });
$t->signed_in(realm => '9130347957983546');

my $until = time + 2;
$t->wait_until(sub { time >= $until });

$t->sim->reset('journal');
$t->sim->script([
    { kind => 'token', action => { rotate => JSON::PP::true(),
        barrier => 'refresh', when => 'after' } },
    { kind => 'revoke', times => -1, action => { status => 503 } },
]);

my $waiting = $t->connect;
$waiting->send("GET $api[0] HTTP/1.1\r\nHost: localhost\r\n"
    . "Accept: application/json\r\nConnection: close\r\n\r\n");
$t->sim->parked('refresh');

disconnect('disconnected while its tokens are being replaced');

$t->sim->release('refresh');
isnt($waiting->response->status, 200, 'they serve nobody');
is(refused(), 'reconnect_required', 'and bring no connection back');

$t->stop;
$t->start;
is(refused(), 'reconnect_required', 'nor after a restart');
is($t->sim->count(kind => 'api'), 0, 'Intuit never saw them');

# Intuit is back after so long a time that it knows the access tokens no more

my @pairs = $t->sim->tokens;
my ($late) = grep { $_->{refresh_state} eq 'current' } reverse @pairs;
is($late->{state}, 'active', 'they live at Intuit');
$t->sim->reset('scripts');
$t->sim->script(map { { kind => 'revoke', times => -1, match => { body =>
    $_->{access_token} }, action => { status => 400, body => '' } } } @pairs);
ok($t->wait_until(sub { grep { $_->{refresh_token} eq $late->{refresh_token}
    && $_->{state} eq 'revoked' } $t->sim->tokens }, 90),
    '... until Intuit takes revocations again');

done_testing();


sub disconnect {
    my $r = $t->post('/disconnect', 'realm=9130347957983546', -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded');

    is($r->status, 200, $_[0]) or diag($r->body);
}

sub refused { return $t->get(@api)->json->{error} }
