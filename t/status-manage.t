#!/usr/bin/perl

# intuit_status manage: a form refreshes a company's token, once a minute, or
# disconnects it.  Another site's page cannot send these forms, nor can anybody from
# elsewhere; what is not such a form is refused, and Intuit is not asked.
#
# Rows: TK-14

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
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

        location = /connect {
            intuit_connect books;
        }

        location /status {
            intuit_status manage;
        }

        location = /look {
            intuit_status;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $other = '4620816365041297150';

for my $of ($realm, $other) {
    my $token = $t->sim->issue(realm => $of)->{refresh_token};
    is($t->post('/connect', "realm=$of&refresh_token=$token", -json => 1)->status, 200,
        "$of is connected");
}

sub form {
    my ($body, @more) = @_;
    return $t->post('/status', $body,
        'Content-Type' => 'application/x-www-form-urlencoded', @more);
}

sub companies {
    return map { $_->{realm_id} }
        @{ $t->get('/status', -json => 1)->json->{connections}{list} };
}

sub refreshes { return scalar $t->sim->count(kind => 'token') }

my $asked = refreshes();
my $good = "action=refresh&provider=books&realm=$realm";

# -- refused

for (
    [ 'another site', 403, $good, 'Sec-Fetch-Site' => 'cross-site' ],
    [ 'another port of this host', 403, $good, 'Sec-Fetch-Site' => 'same-site' ],
    [ 'another origin', 403, $good, Origin => 'https://evil.example' ],
    [ 'an origin that is hidden', 403, $good, Origin => 'null' ],
    [ "another name's page", 403, $good, Host => 'evil.example' ],
    [ 'from behind a balancer', 403, $good, 'X-Forwarded-For' => '10.0.0.1' ],
    [ 'an empty form', 400, '' ],
    [ 'no action', 400, "provider=books&realm=$realm" ],
    [ 'another action', 400, "action=destroy&provider=books&realm=$realm" ],
    [ 'two actions', 400, "$good&action=disconnect" ],
    [ 'no provider', 400, "action=refresh&realm=$realm" ],
    [ 'another provider', 400, "action=refresh&provider=b&realm=$realm" ],
    [ 'no company', 400, 'action=disconnect&provider=books' ],
    [ 'an odd company', 400, 'action=disconnect&provider=books&realm=x' ],
    [ 'a long form', 400, $good . '&x=' . 'y' x 20000 ],
    [ 'a company that is not there', 403, 'action=refresh&provider=books&realm=1' ],
) {
    my ($name, $status, $body, @headers) = @$_;
    is(form($body, -json => 1, @headers)->status, $status, "$name: $status");
}

is($t->post('/look', $good, 'Sec-Fetch-Site' => 'same-origin')->status, 405,
    'without manage: 405');
is($t->request('DELETE', '/status', -json => 1)->header('Allow'), 'GET, HEAD, POST',
    'what is allowed with it');
is(refreshes(), $asked, 'Intuit was not asked');
is(scalar(companies()), 2, 'and both are there');

# -- the forms of the page

my $page = $t->get('/status', -browser => 1);
my @forms = $page->body =~ m{<form method="post">(.*?)</form>}gs;
is(scalar @forms, 4, 'two forms for each company');
is($page->header('Referrer-Policy'), 'same-origin', 'their Origin will be told');

my ($refresh) = grep { /"refresh"/ && /$other/ } @forms;
my $body = join '&', map { "$_->[0]=$_->[1]" }
    map { [ /name="(\w+)" value="([^"]*)"/ ] } $refresh =~ /<input ([^>]+)>/g;

my $r = form($body, -browser => 1, 'Sec-Fetch-Site' => 'same-origin');
is($r->status, 303, 'a browser sends one: back to the page');
like($r->header('Location'), qr{^\?done=refreshed$}, '... which is told');
is(refreshes(), $asked + 1, 'and Intuit was asked');
like($t->get('/status?done=refreshed', -browser => 1)->body, qr/has new tokens/,
    'the page says so');

$r = form($body, -browser => 1, 'Sec-Fetch-Site' => 'same-origin');
is($r->status, 429, 'again: too soon');
like($r->header('Retry-After'), qr/^\d+$/, '... and when');
is(refreshes(), $asked + 1, 'and Intuit was not asked');

# -- a program

$r = form($good, -json => 1);
is($r->status, 200, 'a program refreshes the other');
is($r->json->{realm_id}, $realm, '... and is told which');
ok($r->json->{token_expires} > time + 3000, '... and until when');
unlike($r->body, qr/token"/, '... no token');

$r = form("action=disconnect&provider=books&realm=$other", -json => 1);
is_deeply($r->json, { disconnected => JSON::PP::true(), revoked => JSON::PP::true() },
    'a company is disconnected and revoked');
is_deeply([ companies() ], [ $realm ], 'and gone');

$t->sim->script({ kind => 'revoke', times => 1, action => { status => 503 } });
is($t->post('/connect', "realm=$other&refresh_token="
        . $t->sim->issue(realm => $other)->{refresh_token}, -json => 1)->status, 200,
    'connected again');
is(form("action=disconnect&provider=books&realm=$other", -json => 1)->json->{revoked},
    'pending', 'Intuit does not answer');
is_deeply([ companies() ], [ $realm ], 'what waits for it is no company');
$t->wait_until(sub { $t->get('/status', -json => 1)
    ->json->{connections}{revocations_pending} == 0 });
is($t->get('/status', -json => 1)->json->{counters}{disconnects}, 2, 'counted');

$r = form("action=disconnect&provider=books&realm=$realm", -browser => 1,
    'Sec-Fetch-Site' => 'same-origin');
is($r->status, 303, 'a browser does the same');
is($r->header('Location'), '?done=disconnected', 'and comes back');
is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 403,
    'nothing is connected any more');
like($t->get('/status', -browser => 1)->body, qr/No company is connected/, 'says the page');
is($t->sim->count(kind => 'revoke'), 4, 'Intuit was told of all');

done_testing();
