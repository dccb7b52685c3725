#!/usr/bin/perl

# The promise: who signs in is said by an id_token of this login, signed with
# a key that the provider publishes, and by no other.
# The attack: a real provider's token answer with an id_token put into it that
# belongs to another login, audience or issuer, has no nonce, or was signed
# with somebody else's key - under the name of a published key, too.
#
# Rows: AZ-03 ID-04 LES-27

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

is($op->login($t->jar, '/index.html')->status, 302, 'an honest login works');

$op->forge('signed again');
is($op->login($t->jar, '/index.html')->status, 302,
    'and one whose id_token our forger has signed anew');

for (
    [ 'of an earlier login'     => 'nonce is not the one sent' ],
    [ 'another nonce'           => 'nonce is not the one sent' ],
    [ 'no nonce'                => 'nonce is missing' ],
    [ 'another issuer'          => 'iss is' ],
    [ 'another audience'        => 'aud does not hold the client' ],
    [ 'of another access token' => "at_hash is not the token's" ],
    [ 'an unpublished key'      => 'signature does not hold' ],
    [ 'an unpublished key under an unknown kid'
                                => 'no signing key for this kid' ],
) {
    my ($forgery, $reason) = @$_;
    my $jar = $t->jar;
    my $lines = () = $t->log_lines;

    $op->forge($forgery);
    my $r = $op->login($jar, '/index.html');

    cmp_ok($r->status, '>=', 400, "$forgery: refused");
    is($jar->get('__Host-intuit'), undef, "$forgery: no session");

    my @new = $t->log_lines;
    splice @new, 0, $lines;

    is(scalar(grep { / intuit login failed: \w+, \Q$reason/ } @new), 1,
        "$forgery: the log says why") or diag(@new);

    is($t->get('/index.html', -jar => $jar, -json => 1)->status, 401,
        "$forgery: and the tool stays closed");
}

is($op->count('/me'), 2, 'userinfo was asked for the honest ones alone');
is($op->login($t->jar, '/index.html')->status, 302, 'honest logins still work');

$op->stop;

done_testing();
