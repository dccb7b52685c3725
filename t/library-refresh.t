#!/usr/bin/perl

# The client library's refresh(), and refresh(refresh_token): the same request, by a POST
# of action=refresh to session_uri and by intuit_connect.  Where the library leaves the
# new refresh token to its caller, here it is the connection's at once.

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

        location = /connect {
            intuit_connect books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
my $form = 'application/x-www-form-urlencoded';
my ($old) = $t->sim->tokens;

sub refresh {
    return $t->post('/intuit/session', 'action=refresh', -jar => $jar,
        -json => 1, 'Content-Type' => $form);
}

sub asked { $t->sim->journal(kind => 'token', grant_type => 'refresh_token') }

sub bearer {
    $t->get("/v3/company/-/companyinfo/$realm", -json => 1);
    return (reverse $t->sim->journal(kind => 'api'))[0]{headers}{authorization};
}

my $before = bearer();
my $r = refresh();
is($r->status, 200, 'refresh()');

my ($call) = asked();
is($call->{body} =~ s/refresh_token=\K[^&]+/TOKEN/r =~ s/^(.*)&(.*)$/
    join '&', sort $1, $2/er, 'grant_type=refresh_token&refresh_token=TOKEN',
    'the body: these and no others');
like($call->{body}, qr/refresh_token=\Q$old->{refresh_token}\E/,
    "... with the connection's token");
like($call->{headers}{authorization}, qr/^Basic /, 'Authorization: Basic');
is($call->{headers}{accept}, 'application/json', 'Accept');
isnt(bearer(), $before, 'the new access token serves');

$r = refresh();
is($r->status, 429, 'again: not before a minute is over');
is($r->json->{error}, 'too_soon', '... with its word');
like($r->header('Retry-After'), qr/^\d+$/, '... and when');

my $other = $t->sim->issue(realm => $realm, scope =>
    'com.intuit.quickbooks.accounting')->{refresh_token};
$before = bearer();

$r = $t->post('/connect', "realm=$realm&refresh_token=$other", -json => 1,
    'Content-Type' => $form);
is($r->status, 200, 'refresh() with another refresh token');
like((asked())[-1]{body}, qr/refresh_token=\Q$other\E/, '... is sent');
isnt(bearer(), $before, '... and its access token serves');

$r = $t->post('/connect', "realm=$realm&refresh_token=", -json => 1,
    'Content-Type' => $form);
is($r->status, 400, "no token: the library's ValueError");

done_testing();
