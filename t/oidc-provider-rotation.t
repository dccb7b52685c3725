#!/usr/bin/perl

# The promise: when the provider signs with a new key, the next login reads
# the published keys again and works; nobody has to reload nginx.
# The attack: a flood of id_tokens with unknown kids, which must not become a
# flood of requests for the keys: they are read at most once in ten seconds.
#
# Rows: ID-12

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Oidc;

Test::Intuit::Oidc::needed();

my $t = Test::Intuit->new(sim => 0);

$t->write_secret('secret', 'a-secret-of-the-test-client');

my $op = Test::Intuit::Oidc->start(t => $t,
    client_id => 'test-client', client_secret => 'a-secret-of-the-test-client',
    redirect_uri => 'http://localhost:' . $t->port(8080) . '/intuit/callback');

$t->conf(<<'CONF' =~ s/%%OP%%/$op->base/ger)->start;
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
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         ada@example.org;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit other;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/index.html', "the tool\n");

my $jar = $t->jar;

is($op->login($jar, '/index.html')->status, 302, 'a login with the first key');
is($op->count('/jwks'), 1, 'the keys were read');

$op->rotate;

is($op->login($t->jar, '/index.html')->status, 302,
    'a login with the second key');
is($op->count('/jwks'), 2, 'they were read once more, not once a login');

is($op->login($t->jar, '/index.html')->status, 302, 'and again, from memory');
is($op->count('/jwks'), 2, 'without reading them');

is($t->get('/index.html', -jar => $jar)->status, 200,
    'the session of the first key goes on');

$op->stop;

done_testing();
