#!/usr/bin/perl

# intuit_connect (POST) imports a refresh token: it is used at once, the company
# is proven with the new token, and then it is the connection's.  A token that
# Intuit refuses, or of another company, changes nothing that was there.

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

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546 193514292156789;
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

my $realm = '9130347957983546';
my $other = '193514292156789';
my $scope = 'com.intuit.quickbooks.accounting';

sub import_token {
    my ($body, @more) = @_;
    return $t->post('/connect', $body, -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded', @more);
}

sub token {
    my ($of) = @_;
    return $t->sim->issue(realm => $of, scope => $scope)->{refresh_token};
}

sub bearer {
    my $r = $t->get("/v3/company/-/companyinfo/$realm", -json => 1);
    my ($last) = ($t->sim->journal(kind => 'api'))[-1];
    return $r->status == 200 ? $last->{headers}{authorization} : $r->status;
}

# -- refused without asking Intuit

for (
    [ 'another site', 403, 'cross_site_request', "realm=$realm&refresh_token=x",
        'Sec-Fetch-Site' => 'cross-site' ],
    [ "another name's page", 403, 'client_not_allowed',
        "realm=$realm&refresh_token=x", Host => 'evil.example' ],
    [ 'no body', 400, 'invalid_body', '' ],
    [ 'no token', 400, 'invalid_body', "realm=$realm" ],
    [ 'an empty token', 400, 'invalid_body', "realm=$realm&refresh_token=" ],
    [ 'two tokens', 400, 'invalid_body',
        "realm=$realm&refresh_token=a&refresh_token=b" ],
    [ 'an odd token', 400, 'invalid_body', "realm=$realm&refresh_token=a%0d" ],
    [ 'a long token', 400, 'invalid_body',
        "realm=$realm&refresh_token=" . 'a' x 2049 ],
    [ 'no company', 400, 'invalid_body', 'refresh_token=a' ],
    [ 'an odd company', 400, 'invalid_body', 'realm=x&refresh_token=a' ],
    [ 'a company that is not allowed', 403, 'realm_not_allowed',
        'realm=4620816365041297150&refresh_token=a' ],
) {
    my ($name, $status, $error, $body, @headers) = @$_;
    my $r = import_token($body, @headers);

    is($r->status, $status, "$name: $status");
    is($r->json->{error}, $error, "because of $error");
}

is($t->sim->count(kind => 'token'), 0, 'Intuit was not asked');
is(bearer(), 403, 'nothing is connected');

# -- a good one

my $token = token($realm);
my $r = import_token("realm=$realm&refresh_token=$token");

is($r->status, 200, 'a token is imported');
is_deeply($r->json, { connected => JSON::PP::true(), realm_id => $realm,
    company => 'Harbour Lane Bakery' }, 'for a company that is named');

my ($call) = $t->sim->journal(kind => 'token');
like($call->{body}, qr/grant_type=refresh_token/, 'it was used at once');

my $first = bearer();
like($first, qr/^Bearer /, 'the API works');

# -- nothing of these gets in its place

my %bad = (
    'unknown to Intuit'        => [ 400, 'token_refused', 'nonsense-token' ],
    "another company's"        => [ 403, 'realm_not_proven', token($other) ],
);

for my $name (sort keys %bad) {
    my ($status, $error, $value) = @{ $bad{$name} };

    $r = import_token("realm=$realm&refresh_token=$value");
    is($r->status, $status, "$name: $status");
    is($r->json->{error}, $error, "because of $error");
    ok($r->json->{intuit_tid}, "with Intuit's transaction id");
    is(bearer(), $first, 'the tokens stay');
}

for (
    [ 401, { error => 'invalid_client' }, 502, 'client_refused' ],
    [ 503, undef, 503, 'temporarily_unavailable' ],
    [ 200, {}, 502, 'invalid_answer' ],
) {
    my ($code, $json, $status, $error) = @$_;

    $t->sim->script({ kind => 'token',
        action => { status => $code, $json ? (json => $json) : () } });
    $r = import_token("realm=$realm&refresh_token=" . token($realm));
    is($r->status, $status, "Intuit says $code: $status");
    is($r->json->{error}, $error, "which is $error");
    is(bearer(), $first, 'the tokens stay');
}

# -- another one takes its place

is(import_token("realm=$realm&refresh_token=" . token($realm))->status, 200,
    'a second token is imported');
my $second = bearer();
isnt($second, $first, 'and is the one that is used');

# -- a company of its own

$r = import_token("realm=$other&refresh_token=" . token($other));
is($r->json->{company}, 'Tidewater Cycles', 'another company, beside the first');
is(bearer(), $second, 'which keeps its own');

done_testing();
