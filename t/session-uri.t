#!/usr/bin/perl

# session_uri tells a page's script who is signed in: one JSON document, which
# never holds a token, and 401 for those who are not.
#
# Rows: TK-10 BF-01 BF-08 NGX-B3

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

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
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;
    }
}
CONF

my $uri = '/intuit/session';
my $begun = time;

# nobody

my $r = $t->get($uri, -json => 1);

is($r->status, 401, 'nobody is signed in');
is_deeply($r->json, { authenticated => JSON::PP::false(),
    login_uri => '/intuit/login' }, 'says the document, and where to');
is($r->header('Content-Type'), 'application/json', 'it is JSON');
is($r->header('Cache-Control'), 'no-store', 'not to be cached');
is($r->header('X-Content-Type-Options'), 'nosniff', 'not to be guessed at');
is($r->header('Set-Cookie'), undef, 'and no state was made');

$r = $t->get($uri, -browser => 1);

is($r->status, 401, 'a navigation is not sent to Intuit');
is($r->json->{authenticated}, 0, 'but gets the same');

# somebody whose company is proven by CompanyInfo, which names it

$t->sim->config(id_token_realmid => JSON::PP::false());

my $jar = $t->signed_in(path => '/index.html', realm => '4620816365041297150');

$r = $t->get($uri, -jar => $jar);
my $doc = $r->json;

is($r->status, 200, 'somebody is signed in');
is($r->header('Content-Type'), 'application/json', 'it is JSON');
is($r->header('Cache-Control'), 'no-store', 'not to be cached');

is_deeply([ sort keys %$doc ], [ qw(authenticated claims company email
    provider realm_id refresh_token_expires session_expires sub
    token_expires) ], 'with these members');

ok($doc->{authenticated}, 'signed in');
is($doc->{provider}, 'books', 'the provider');
is($doc->{realm_id}, '4620816365041297150', 'the company, digit by digit');
is($doc->{company}, "O'Brien & Sons <Joinery>", 'and its name');
is($doc->{email}, 'ada@example.com', 'the e-mail address');
like($doc->{sub}, qr/^\S+$/, 'the subject');
is(ref $doc->{claims}, 'HASH', 'the claims');
is($doc->{claims}{sub}, $doc->{sub}, 'of the same person');

my $age = $doc->{session_expires} - 8 * 3600;
ok($age >= $begun && $age <= time, 'the end of the session');

$age = $doc->{token_expires} - 3600;
ok($age >= $begun - 60 && $age <= time, 'of the access token');

cmp_ok($doc->{refresh_token_expires}, '>', $doc->{token_expires},
    'and of the refresh token');

my @tokens = map { ($_->{access_token}, $_->{refresh_token}) }
    $t->sim->tokens;

cmp_ok(scalar @tokens, '>=', 2, 'there are tokens');
ok(!(grep { index($r->raw, $_) >= 0 } @tokens, $jar->get('__Host-intuit')),
    'of which the document has none');
unlike($r->raw, qr/eyJ|Bearer|access_token"|id_token/, 'nor anything alike');

# how it may be asked

my $head = $t->request('HEAD', $uri, -jar => $jar);

is($head->status, 200, 'HEAD');
is($head->header('Content-Length'), length $r->body, 'has the length');
is($head->body, '', 'without the document');
is($t->request('HEAD', $uri)->status, 401, 'HEAD of nobody');

for my $method (qw(PUT DELETE PATCH OPTIONS)) {
    my $r = $t->request($method, $uri, -jar => $jar,
        'Sec-Fetch-Site' => 'same-origin');

    is($r->status, 405, "$method is not for this");
    like($r->header('Allow'), qr/GET, HEAD/, '... as Allow says');
}

$r = $t->post($uri, 'action=refresh', -jar => $jar,
    'Sec-Fetch-Site' => 'cross-site');
ok($r->status == 403 || $r->status == 405, 'another site cannot post here');

$r = $t->get($uri, -jar => $jar, Origin => 'http://evil.example',
    'Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'cors');
ok(!(grep { $_->[0] =~ /^Access-Control-/i } $r->headers),
    'no other site is told that it may read the answer');

is($t->get("$uri/", -json => 1)->status, 401, 'a longer path is another page');
is($t->get($uri, Cookie => '__Host-intuit=' . 'A' x 43)->status, 401,
    'an invented cookie is nobody');

done_testing();
