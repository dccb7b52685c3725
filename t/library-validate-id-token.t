#!/usr/bin/perl

# The client library's validate_id_token(): signature by the key of the kid, issuer,
# audience, expiry.  The library looks at the id_token only when it is asked to, and drops a
# bad one without a word; here it is always looked at, and nobody signs in with a bad one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', $t->sim->{client_secret});
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

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
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit books;
        }
    }
}
CONF

my $realm = '9130347957983546';
sub login {
    my ($forged) = @_;
    my $jar = $t->jar;

    $t->sim->reset('scripts');
    $t->sim->script({ kind => 'token', action => { id_token => $forged } })
        if $forged;

    my $r = $t->login($jar, '/index.html', realm => $realm);
    return ($r, $t->get('/index.html', -jar => $jar)->body eq "in\n");
}

my ($r, $in) = login();
ok($in, 'a good one');

for (
    [ 'another audience', { claims => { aud => ['somebody-else'] } } ],
    [ 'another issuer', { claims => { iss => 'https://evil.example' } } ],
    [ 'expired', { claims => { exp => time - 3600, iat => time - 7200 } } ],
    [ 'no expiry', { omit => ['exp'] } ],
    [ 'signed with an unpublished key', { sign_with => 'other' } ],
    [ 'not signed', { alg => 'none' } ],
    [ 'HMAC with the public key', { alg => 'HS256',
        hs_secret => 'public_pem' } ],
    [ 'HMAC with the client secret', { alg => 'HS256',
        hs_secret => 'client_secret' } ],
    [ 'a kid that is not published', { header => { kid => 'nobody' } } ],
    [ 'no JWT', { raw => 'a.b' } ],
) {
    my ($name, $forged) = @$_;

    ($r, $in) = login($forged);
    ok(!$in, "$name: nobody signs in");
    like($r->status, qr/^(?:403|503)$/, '... and hears so');
    ok((grep { /login failed: (?:invalid_id_token|keys_unavailable)/ }
        $t->log_lines), '... as the log does');
}

($r, $in) = login();
ok($in, 'and a good one again');

done_testing();
