#!/usr/bin/perl

# intuit_proxy with realm= and without a login is for programs of this machine
# that use a name of the server.  A page whose name was made to resolve here
# is refused, and so is whoever comes through a balancer or a tunnel on this
# machine, or names a local address to realip: they are all 127.0.0.1.  So are
# another site's page and a client that is not of this machine.  Intuit hears of
# none of them.
#
# Rows: NGX-H5

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

    intuit_limit off;

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
        listen 127.0.0.1:%%PORT_8080%% default_server;
        server_name books.example.com .one.example *.two.example
                    ~^regex\d+\.example$ four.example five.example
                    six.example seven.example eight.example;

        location /in/ {
            auth_intuit books;
            alias %%DIR%%/html/;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location /any/ {
            rewrite ^/any(/.*) $1 break;
            intuit_proxy books realm=9130347957983546 clients=any;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;
        listen 127.0.0.1:%%PORT_8083%% proxy_protocol;
        server_name books.example.com;

        set_real_ip_from 127.0.0.1;
        real_ip_header X-Client;

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location /any/ {
            rewrite ^/any(/.*) $1 break;
            intuit_proxy books realm=9130347957983546 clients=any;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        server_name books.example.com;

        set_real_ip_from 127.0.0.1;
        real_ip_header X-Real-IP;

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

$t->write_file('html/index.html', "in\n");

my $realm = '9130347957983546';
my $path = "/v3/company/-/companyinfo/$realm";

$t->signed_in(realm => $realm, path => '/in/index.html');

for my $host ('books.example.com', 'BOOKS.example.com', 'localhost',
    '127.0.0.1', '[::1]:8080', 'one.example', 'a.one.example',
    'a.b.two.example', 'four.example', 'eight.example:8080')
{
    is($t->get($path, -json => 1, Host => $host)->status, 200,
        "a program that says $host");
}

$t->sim->reset('journal');

for my $host ('evil.example', 'example.com', 'xbooks.example.com',
    'two.example', 'regex1.example', 'onexexample', 'nine.example',
    'books.example.com.evil.example', '10.0.0.1')
{
    my $r = $t->get($path, -json => 1, Host => $host);

    is($r->status, 403, "a page that says $host");
    is($r->json->{error}, 'client_not_allowed', 'is refused');
}

for my $name ('X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'Via',
    'x-forwarded-for')
{
    for my $port (8080, 8081) {
        my $r = $t->get($path, -json => 1, -port => $t->port($port),
            Host => 'books.example.com', $name => '127.0.0.1');

        is($r->status, 403, "$name, port $port");
        is($r->json->{error}, 'client_not_allowed', 'somebody else asks');
    }
}

for my $way ("$path", "/any$path") {
    for my $header ([ Origin => 'http://evil.example' ], [ Origin => 'null' ],
        [ Origin => 'http://localhost.evil.example' ],
        [ 'Sec-Fetch-Site' => 'cross-site' ],
        [ 'Sec-Fetch-Site' => 'same-site' ])
    {
        my $r = $t->post($way, '{}', -json => 1, @$header);

        is($r->status, 403, "$way, a POST with @$header");
        is($r->json->{error}, 'cross_site_request', "another site's page");
    }
}

for my $address ('192.0.2.1', '10.0.0.1', '126.255.255.255', '128.0.0.1') {
    my $r = $t->get($path, -json => 1, -port => $t->port(8082),
        Host => 'books.example.com', 'X-Client' => $address);

    is($r->status, 403, "a client at $address");
    is($r->json->{error}, 'client_not_allowed', 'is not of this machine');
}

for my $from ('TCP4 192.0.2.1 127.0.0.1 5555 80', 'UNKNOWN') {
    my $c = $t->connect(port => $t->port(8083));
    $c->send("PROXY $from\r\nGET $path HTTP/1.1\r\n"
        . "Host: books.example.com\r\nConnection: close\r\n\r\n");
    is($c->response->status, 403, "a balancer that says PROXY $from");
}

is($t->sim->count, 0, 'Intuit was not asked for any of them');

is($t->get($path, -json => 1, -port => $t->port(8082),
    Host => 'books.example.com', 'X-Client' => '127.9.9.9')->status, 200,
    'a client at 127.9.9.9 is');
is($t->get("/any$path", -json => 1, -port => $t->port(8082),
    'X-Client' => '192.0.2.1')->status, 200, 'clients=any lets all in');
is($t->get("/any$path", -json => 1, 'X-Forwarded-For' => '192.0.2.1')->status,
    200, 'clients=any means it');

done_testing();
