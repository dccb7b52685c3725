#!/usr/bin/perl

# The client library's environment as the URL of a discovery document, and
# setAuthorizeURLs(): config_url, api_url and migrate_url lead every call elsewhere, none is
# left over for Intuit itself, and each of the document's endpoints is used.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', $t->sim->{client_secret});
$t->write_file('html/index.html', "in\n");

$t->conf(my $text = <<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        migrate_url         %%SIM%%/v2/oauth2/tokens/migrate;
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

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /migrate {
            intuit_migrate books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');
my $json = 'application/json';
my $base = $t->sim->base;

like($t->get('/index.html', -browser => 1)->header('Location'),
    qr{^\Q$base\E/connect/oauth2\?}, 'authorization_endpoint');
is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 200,
    'api_url');
is($t->post('/migrate', JSON::PP::encode_json({
    consumer_key => 'sim-consumer-key', consumer_secret => 'sim-consumer-secret',
    access_token => 'sim-oauth1-token', access_secret => 'sim-oauth1-secret',
}), -json => 1, 'Content-Type' => $json)->status, 200, 'migrate_url');
is($t->post('/disconnect', "realm=$realm", -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded')->status, 200,
    'revocation_endpoint');

for my $kind (qw(discovery token jwks userinfo api migrate revoke)) {
    cmp_ok($t->sim->count(kind => $kind), '>=', 1, "$kind: at the address given");
}

my ($status, $said) = $t->check_conf($text =~ s/config_url .*;/config_url http:\/\/evil.example\/;/r);
isnt($status, 0, 'plain http elsewhere is refused');
like($said, qr/"config_url"|config_url/, '... by its name');

done_testing();
