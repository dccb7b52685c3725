#!/usr/bin/perl

# The client library's revoke(), and revoke(token): the same JSON to the revocation
# endpoint, and true where the library answers True.  A token that Intuit does not know is
# an error in the library and leaves its caller with nothing to do; here it counts as
# revoked.
#
# Rows: TK-13

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

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $form = 'application/x-www-form-urlencoded';

sub revoke {
    return $t->post('/disconnect', $_[0], -json => 1,
        'Content-Type' => $form)->json->{revoked};
}

my $true = JSON::PP::true();

$t->signed_in(realm => $realm);
is(revoke("realm=$realm"), $true, "revoke(): the connection's");

my ($call) = $t->sim->journal(kind => 'revoke');
is($call->{method}, 'POST', 'one POST');
is($call->{headers}{'content-type'}, 'application/json', 'Content-Type');
is($call->{headers}{accept}, 'application/json', 'Accept');
like($call->{headers}{authorization}, qr/^Basic /, 'Authorization: Basic');
like($call->{body}, qr/^\{"token":"[^"]+"\}$/, 'the body: {"token":"..."}');

is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 403,
    'the connection is forgotten');

for my $kind (qw(access_token refresh_token)) {
    my $other = $t->sim->issue(realm => $realm)->{$kind};
    is(revoke("token=$other"), $true, "revoke() with another $kind");
    like((reverse $t->sim->journal(kind => 'revoke'))[0]{body},
        qr/"\Q$other\E"/, '... which is sent');
}

is(scalar(grep { $_->{state} eq 'active' } $t->sim->tokens), 0,
    'none of them is valid any more');
is(revoke('token=nobody-knows-this-token'), $true, 'one that Intuit does not know');

done_testing();
