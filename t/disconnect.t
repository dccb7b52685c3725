#!/usr/bin/perl

# intuit_disconnect forgets a company at once and in any case, and revokes its
# tokens at Intuit: also later, when Intuit is down now.  A page of another
# site, a GET, or a body that can be read in two ways disconnects nobody.
#
# Rows: TK-13 TK-14 BF-05 F-OP-19

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(my $conf = <<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
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
            intuit_proxy books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }

        location = /of-others {
            deny all;
            intuit_disconnect books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";
my $form = 'application/x-www-form-urlencoded';
my $pending = q({"disconnected":true,"revoked":"pending"});

sub disconnect {
    my ($body, @more) = @_;
    return $t->post('/disconnect', $body, 'Content-Type' => $form, @more);
}

sub revocations { $t->sim->journal(kind => 'revoke') }

sub alive { scalar grep { $_->{state} eq 'active' } $t->sim->tokens }

# -- refused: nothing happens

my $jar = $t->signed_in(realm => $realm);

for (
    [ 'another site', 403, 'cross_site_request', '/disconnect',
        "realm=$realm", 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'another origin', 403, 'cross_site_request', '/disconnect',
        "realm=$realm", Origin => 'http://evil.example' ],
    [ "another name's page", 403, 'client_not_allowed', '/disconnect',
        "realm=$realm", Host => 'evil.example' ],
    [ 'nobody', 400, 'invalid_body', '/disconnect', '' ],
    [ 'two companies', 400, 'invalid_body', '/disconnect',
        "realm=$realm&realm=1" ],
    [ 'an odd company', 400, 'invalid_body', '/disconnect', 'realm=../1' ],
    [ 'two tokens', 400, 'invalid_body', '/disconnect', 'token=a&token=b' ],
    [ 'an empty token', 400, 'invalid_body', '/disconnect', 'token=' ],
    [ 'a token with a line end', 400, 'invalid_body', '/disconnect',
        'token=a%0ab' ],
    [ 'too much', 400, 'invalid_body', '/disconnect',
        "realm=$realm&x=" . 'x' x 16384 ],
) {
    my ($name, $status, $error, $path, $body, @headers) = @$_;
    my $r = $t->post($path, $body, 'Content-Type' => $form,
        Accept => 'application/json', @headers);

    is($r->status, $status, "$name: $status");
    is($r->json->{error}, $error, "because of $error");
}

is($t->post('/of-others', "realm=$realm")->status, 403,
    "the location's own guards are asked first");

my $r = $t->get('/disconnect', -json => 1);
is($r->status, 405, 'GET is not for this');
is($r->header('Allow'), 'POST', 'and the answer says what is');

is(scalar(revocations()), 0, 'Intuit was not asked');
is($t->get($api, -jar => $jar, -json => 1)->status, 200,
    'the connection works');

# -- by the company's id

$r = disconnect("realm=$realm");
is($r->status, 200, 'the company is disconnected');
is($r->body, qq({"disconnected":true,"revoked":true}\n), 'here and at Intuit');

my ($call) = revocations();
is($call->{headers}{'content-type'}, 'application/json', 'Intuit gets JSON');
like($call->{headers}{authorization}, qr/^Basic /, "with the app's own keys");
like($call->{body}, qr/^\{"token":"[^"]+"\}$/, 'and the token');
is(alive(), 0, 'no token lives on');

$r = $t->get($api, -jar => $jar, -json => 1);
is($r->status, 403, 'the session has no company any more');
is($r->json->{error}, 'not_connected', 'and hears so');

$r = disconnect("realm=$realm");
is_deeply($r->json, { disconnected => JSON::PP::true(),
    revoked => JSON::PP::false() }, 'a second time there is nothing to revoke');
is(scalar(revocations()), 1, 'and Intuit is not asked');

# -- by the session, and a revocation that Intuit has seen before

$jar = $t->signed_in(realm => $realm);
$t->sim->control(POST => '/revoke-all', {});

$r = disconnect('', -jar => $jar);
is_deeply($r->json, { disconnected => JSON::PP::true(),
    revoked => JSON::PP::true() },
    'a token that Intuit no longer knows counts as revoked');
is($t->get($api, -jar => $jar, -json => 1)->json->{error}, 'not_connected',
    "the session's own company was meant");

# -- a token of anybody's

$t->sim->reset('journal');
my $issued = $t->sim->issue(realm => '193514292156789');

for my $kind (qw(access_token refresh_token)) {
    $issued = $t->sim->issue(realm => '193514292156789');
    $r = disconnect('token=' . $issued->{$kind});
    is($r->json->{revoked}, JSON::PP::true(), "a given $kind is revoked");
}

is(alive(), 0, 'Intuit knows none of them any more');

# -- the app's keys are refused: said, and here it is over all the same

$jar = $t->signed_in(realm => $realm);
$t->sim->script({ kind => 'revoke', action => { status => 401,
    json => { error => 'invalid_client' } } });

$r = disconnect("realm=$realm");
is_deeply($r->json, { disconnected => JSON::PP::true(),
    revoked => JSON::PP::false() }, 'Intuit refuses: not revoked');
ok($t->wait_log(qr/intuit revocation was refused: status 401/),
    'which the log says');
is($t->get($api, -jar => $jar, -json => 1)->json->{error}, 'not_connected',
    'but here it is forgotten');

# -- Intuit is down

$t->sim->control(POST => '/revoke-all', {});
$jar = $t->signed_in(realm => $realm);
is(alive(), 1, 'connected again');

$t->sim->script({ kind => 'revoke', times => 1, action => { status => 503 } });

$r = disconnect("realm=$realm");
is($r->body, "$pending\n", 'Intuit is down: it will be told');
is($t->get($api, -jar => $jar, -json => 1)->json->{error}, 'not_connected',
    'here it is forgotten at once');

ok($t->wait_until(sub { alive() == 0 }), 'and Intuit is told later');
ok($t->wait_log(qr/intuit revocation waits for Intuit, next try/),
    'the log says that it waits');

# -- while the token is being refreshed, and rotated

$t->sim->script({ kind => 'token', times => 1,
    action => { merge => { expires_in => 1 } } });
$jar = $t->signed_in(realm => $realm);

my $until = time + 2;
$t->wait_until(sub { time >= $until });

$t->sim->script({ kind => 'token', times => 1,
    action => { rotate => JSON::PP::true(), barrier => 'refresh',
        when => 'after' } });

my $waiting = $t->connect;
$waiting->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
    . "Accept: application/json\r\nConnection: close\r\nCookie: "
    . '__Host-intuit=' . $jar->get('__Host-intuit') . "\r\n\r\n");
$t->sim->parked('refresh');

is(disconnect("realm=$realm")->json->{revoked}, JSON::PP::true(),
    'a company whose tokens are just being replaced is disconnected');
is(alive(), 0, 'and the new tokens are dead before they arrive');

$t->sim->release('refresh');
isnt($waiting->response->status, 200, 'they serve nobody');
is($t->get($api, -jar => $jar, -json => 1)->json->{error}, 'not_connected',
    'and bring no connection back');

# -- and nginx ends before Intuit is back

$jar = $t->signed_in(realm => $realm);
$t->sim->script({ kind => 'revoke', times => -1, action => { status => 503 } });

is(disconnect("realm=$realm")->body, "$pending\n", 'pending again');

$t->reload($conf);
$t->sim->reset('journal');
ok($t->wait_until(sub { revocations() }), 'a reload keeps it');

$t->stop;
ok($t->wait_log(qr/intuit revocation is given up: nginx ends/),
    'what was not said to Intuit is said to the operator');

done_testing();
