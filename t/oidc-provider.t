#!/usr/bin/perl

# The promise: with config_url the module works with any OpenID provider that
# keeps to the standard, not only with Intuit and our picture of it.  Here it
# signs in with npm's certified oidc-provider: discovery, PKCE S256, the iss
# parameter, id_token, userinfo with standard claim names.
# The attack: a callback that carries another provider's name (mix-up), and a
# code that is redeemed without the verifier of the browser that began.
#
# Rows: AZ-04 CB-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Oidc;

Test::Intuit::Oidc::needed();

my $t = Test::Intuit->new(sim => 0);

my $secret = $t->write_secret('secret', 'a-secret-of-the-test-client');

my $op = Test::Intuit::Oidc->start(t => $t, pkce => 1,
    client_id => 'test-client', client_secret => 'a-secret-of-the-test-client',
    redirect_uri => 'http://localhost:' . $t->port(8080) . '/intuit/callback');

my $conf = <<'CONF' =~ s/%%OP%%/$op->base/ger;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider other {
        environment         sandbox;
        config_url          %%OP%%/.well-known/openid-configuration;
        client_id           test-client;
        client_secret_file  %%DIR%%/secret;
        scope               openid email profile;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         @example.org;
        pkce                on;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit other;

        location / {
            add_header X-Email $intuit_claim_email;
            add_header X-Verified $intuit_claim_email_verified;
            add_header X-Name $intuit_claim_name;
            add_header X-Sub $intuit_claim_sub;
            add_header X-Realm "[$intuit_realm_id]";
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/index.html', "the tool\n");
$t->conf($conf)->start;


# -- a login ------------------------------------------------------------------

my $jar = $t->jar;
my $r = $op->login($jar, '/index.html');

is($r->status, 302, 'the callback redirects');
is($r->header('Location'), 'http://localhost:' . $t->port . '/index.html',
    'to the page that was asked for');

$r = $t->get('/index.html', -jar => $jar);

is($r->status, 200, 'signed in');
is($r->body, "the tool\n", 'to the tool');
is($r->header('X-Sub'), 'ada', 'sub, from the id_token');
is($r->header('X-Email'), 'ada@example.org', 'email, from userinfo');
is($r->header('X-Verified'), 'true', 'email_verified, in its standard spelling');
is($r->header('X-Name'), 'Ada Lovelace', 'name');
is($r->header('X-Realm'), '[]', 'and no company');

my ($auth) = $op->journal('/auth');

is($auth->{query}{response_type}, 'code', 'the code flow');
is($auth->{query}{code_challenge_method}, 'S256', 'with PKCE S256');
like($auth->{query}{code_challenge}, qr/^[\w-]{43}$/, 'a challenge');
like($auth->{query}{nonce}, qr/^[\w-]{22,}$/, 'and a nonce');

my ($token, @more) = $op->journal('/token');

is(scalar @more, 0, 'one token request');
like($token->{authorization}, qr/^Basic /, 'with client_secret_basic');
is($token->{form}{client_secret}, undef, 'and no secret in its body');
like($token->{form}{code_verifier}, qr/^[\w-]{43,128}$/, 'with the verifier');
isnt($token->{form}{code_verifier}, $auth->{query}{code_challenge},
    'which is not the challenge');

is($op->count('/me'), 1, 'userinfo was asked for');
is($op->count('/jwks'), 1, 'and the keys once');


# -- the second one -----------------------------------------------------------

$r = $op->login($t->jar, '/index.html');

is($r->status, 302, 'another browser signs in');
is($op->count('/jwks'), 1, 'with the keys that are known');

my (undef, $second) = $op->journal('/auth');

isnt($second->{query}{$_}, $auth->{query}{$_}, "with another $_")
    for qw(state nonce code_challenge);


# -- the iss parameter --------------------------------------------------------

for my $iss ('http://127.0.0.1:1', $op->base . '/', undef) {
    my $name = $iss // 'no iss';
    $jar = $t->jar;

    $r = $t->get('/index.html', -browser => 1, -jar => $jar);
    my $url = $op->authorize($r->header('Location'));

    $t->secret($1) while $url =~ /[?&](?:code|state)=([^&]+)/g;

    $url =~ s{^https?://[^/]*}{};
    $url =~ s/&iss=[^&]*// or die "the provider sent no iss\n";
    $url .= '&iss=' . Test::Intuit::Sim::escape($iss) if defined $iss;

    my $before = $op->count('/token');

    $r = $t->get($url, -browser => 1, -jar => $jar);

    is($r->status, 400, "$name: refused");
    is($op->count('/token'), $before, "$name: the code is not sent");
}


# -- a provider that insists on PKCE ------------------------------------------

ok($t->reload($conf =~ s/pkce +on;/pkce off;/r), 'pkce off');

$r = $op->login($t->jar, '/index.html');

cmp_ok($r->status, '>=', 400, 'its refusal is shown');
unlike($r->header('Set-Cookie') // '', qr/__Host-intuit=[\w-]{43}/,
    'and nobody is signed in');

$op->stop;

done_testing();
