#!/usr/bin/perl

# Our own URIs are open to everybody, but nothing behind them is: an
# error_page that leads from a refused callback to a protected location must
# meet the same gate as a direct request.
#
# Rows: NGX-I1 NGX-I5

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

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
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        auth_intuit books;

        error_page 400 /private;
        error_page 405 = @named;

        location /private {
            proxy_pass http://127.0.0.1:%%PORT_8081%%;
        }

        location @named {
            proxy_pass http://127.0.0.1:%%PORT_8081%%;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        return 200 "PRIVATE $http_cookie";
    }
}
CONF

for my $case (
    [ 'by a path', '/intuit/callback?code=x&state=y', 'GET' ],
    [ 'by a name', '/intuit/callback?code=x&state=y', 'POST' ],
    [ 'from the session document', '/intuit/session', 'DELETE' ],
    [ 'from logout', '/intuit/logout', 'PUT' ])
{
    my ($name, $path, $method) = @$case;

    my $r = $t->request($method, $path, -json => 1,
        Cookie => '__Host-intuit=' . 'A' x 43);

    unlike($r->body, qr/PRIVATE/, "error_page $name does not open the gate");
    is($r->status, 401, "error_page $name asks for a login");
}

done_testing();
