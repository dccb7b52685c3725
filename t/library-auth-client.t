#!/usr/bin/perl

# The client library's AuthClient(client_id, client_secret, redirect_uri, environment): an
# intuit_provider block, of which "nginx -t" says what is missing or wrong.  The library
# takes "prod" in one place for production and in another for the sandbox, and finds a
# wrong address only when Intuit refuses the login.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log notice;

events {}

http {
    access_log off;

    intuit_provider books {
        environment         sandbox;
        client_id           ABc123;
        client_secret       not-a-real-secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
    }
}
CONF

my ($status, $said) = $t->check_conf($conf);
is($status, 0, 'four arguments') or diag($said);
like($said, qr{register exactly http://localhost:\d+/intuit/callback},
    'the redirect URI, as it has to be registered');

for my $name (qw(environment client_id client_secret redirect_uri)) {
    ($status, $said) = $t->check_conf($conf =~ s/^ *$name .*\n//mr);
    isnt($status, 0, "without $name");
    like($said, qr/$name/, '... which is named');
}

for my $word (qw(prod sand Production)) {
    ($status, $said) = $t->check_conf(
        $conf =~ s/environment +\Ksandbox/$word/r);
    isnt($status, 0, "environment $word");
    like($said, qr/environment/, '... is not guessed at');
}

($status, $said) = $t->check_conf($conf =~ s/environment +\Ksandbox/production/r);
isnt($status, 0, 'localhost in production');
like($said, qr/must be https with a host name/, '... cannot work, and why');

$t->conf($conf)->start;
like($t->get('/', -browser => 1)->header('Location'),
    qr{^https://appcenter\.intuit\.com/connect/oauth2\?.*client_id=ABc123},
    "and the login goes to Intuit's own address");

done_testing();
