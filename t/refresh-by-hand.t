#!/usr/bin/perl

# A page may ask for a new access token: POST action=refresh to session_uri, once a
# minute for a connection, from the same site only.  The answer is the session
# document, never a token.  $intuit_refresh_status tells how a request came by its.

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
worker_processes 2;
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
            add_header X-Refresh "$intuit_refresh_status" always;
        }
    }
}
CONF


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

my $jar = $t->signed_in(realm => '9130347957983546');

sub asks {
    my ($body, @headers) = @_;
    return $t->post('/intuit/session', $body, -jar => $jar, -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded', @headers);
}

my $r = call();
is($r->header('X-Refresh'), 'fresh', 'a token that serves: fresh');
my $token = used();

$r = asks('action=refresh', 'Sec-Fetch-Site' => 'cross-site');
is($r->status, 403, 'another site asks: refused');
$r = asks('action=refresh', 'Origin' => 'https://evil.example');
is($r->status, 403, '... by its Origin, too');

for my $body ('', 'action=', 'action=destroy', 'action=refresh&action=refresh',
    'a=' . 'b' x 2000)
{
    $r = asks($body);
    is($r->status, 400, 'not a form that asks for it: "'
        . substr($body, 0, 30) . '"');
    is($r->json->{error}, 'invalid_request', '... its word');
}

$r = $t->post('/intuit/session', 'action=refresh', -json => 1);
is($r->status, 401, 'nobody is signed in');
is(scalar(sent()), 0, 'Intuit was not asked for any of these');

$r = asks('action=refresh', 'Sec-Fetch-Site' => 'same-origin');
is($r->status, 200, 'the page asks');
ok($r->json->{authenticated}, '... the session document');
unlike($r->body, qr/\Q$token\E|access_token/, '... without a token');
is(scalar(sent()), 1, '... after a refresh');
call();
isnt(used(), $token, '... and the API gets the new token');

$r = asks('action=refresh');
is($r->status, 429, 'again at once: too soon');
is($r->json->{error}, 'too_soon', '... its word');
ok($r->header('Retry-After') > 30, '... and when it may');
is(scalar(sent()), 1, '... Intuit is not asked');

clock(2);
answer({ status => 503 });
$r = asks('action=refresh');
is($r->status, 503, 'a refresh that fails');
like($r->header('Retry-After'), qr/^\d+$/, '... and when to come again');
is(call()->status, 200, '... takes nothing away');

clock(2);
is(asks('action=refresh')->status, 200, 'two minutes later it works');

answer({ barrier => 'early' });
clock(57);
$r = call();
is($r->header('X-Refresh'), 'started', 'about to expire: started');
$t->sim->parked('early');
is(call()->header('X-Refresh'), 'fresh', '... others go on with theirs');
$t->sim->release('early');
$t->wait_until(sub { log_has('refresh succeeded') == 3 });

clock(61);
is(call()->header('X-Refresh'), 'waited', 'expired: waited');

answer({ status => 503 });
clock(61);
is(call()->header('X-Refresh'), 'failed', 'Intuit is down: failed');

done_testing();
