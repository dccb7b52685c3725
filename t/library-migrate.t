#!/usr/bin/perl

# The client library's migrate(consumer_key, consumer_secret, access_token, access_secret,
# auth_client, scopes): the same signed request, and the answer becomes the company's
# connection.  The library sends everybody but environment "production" to the sandbox.

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
        migrate_url         %%SIM%%/v2/oauth2/tokens/migrate;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
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
    }
}
CONF

my $realm = '9130347957983546';
my $given = {
    consumer_key => 'sim-consumer-key', consumer_secret => 'sim-consumer-secret',
    access_token => 'sim-oauth1-token', access_secret => 'sim-oauth1-secret',
};

sub migrate {
    return $t->post('/migrate', JSON::PP::encode_json({ %$given, @_ }),
        -json => 1, 'Content-Type' => 'application/json');
}

my $r = migrate();
is($r->status, 200, 'migrated');
is($r->json->{realm_id}, $realm, 'the company that Intuit names');

my ($call) = $t->sim->journal(kind => 'migrate');
is($call->{headers}{'content-type'}, 'application/json', 'Content-Type');
is($call->{headers}{accept}, 'application/json', 'Accept');

my ($scheme, $rest) = split / /, $call->{headers}{authorization}, 2;
my %oauth = $rest =~ /(oauth_\w+)="([^"]*)"/g;
is($scheme, 'OAuth', 'Authorization: OAuth');
is_deeply([sort keys %oauth], [map { "oauth_$_" } qw(consumer_key nonce signature
    signature_method timestamp token version)], '... with the seven parameters');
is($oauth{oauth_signature_method}, 'HMAC-SHA1', '... by HMAC-SHA1');

is_deeply(JSON::PP::decode_json($call->{body}), {
    scope => 'com.intuit.quickbooks.accounting', client_id => 'sim-client-id',
    client_secret => $t->sim->{client_secret},
    redirect_uri => 'http://localhost:' . $t->port(8080) . '/intuit/callback',
}, "the body: the library's four members");

is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 200,
    'the tokens serve');

$r = migrate(access_secret => 'another-secret');
cmp_ok($r->status, '>=', 400, 'a wrong secret is refused');
ok($r->json->{intuit_tid}, "... with Intuit's transaction id");
is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 200,
    '... and the connection stays');

done_testing();
