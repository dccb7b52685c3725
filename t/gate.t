#!/usr/bin/perl

# Where auth_intuit stands, every way to a page leads through the login:
# spellings of the path, rewrites, try_files, index, named and regex
# locations, limit_except.  And our own URIs are served wherever the provider
# is used, whatever else the server says.
#
# Rows: NGX-N1 NGX-N2 NGX-N3 NGX-I3 NGX-H6 NGX-B2 NGX-B3 NGX-P1 LES-01 LES-12
#       LES-13 LES-24 LES-39 LES-41

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

no warnings 'qw';

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file("html/$_", "secret page\n") for qw(index.html dir/index.html
    dir/page.html admin/index.html);
$t->write_file('html/part.shtml', "open <!--#include virtual='/admin/x' -->\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

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

    map $intuit_claim_email $may {
        ada@example.com  1;
        bob@example.com  0;
        default          "";
    }

    # everything but what is said to be open
    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
        root %%DIR%%/html;

        location / { proxy_pass %%SIM%%; }
        location = /open { auth_intuit off; proxy_pass %%SIM%%; }
        location /opened/ {
            auth_intuit off;
            proxy_pass %%SIM%%;
            location /opened/closed/ { auth_intuit books; proxy_pass %%SIM%%; }
        }
        location /try/ { auth_intuit off; try_files $uri /dir/page.html; }
        location /named/ { auth_intuit off; try_files $uri @named; }
        location @named { proxy_pass %%SIM%%; }
        location /last/ { auth_intuit off; rewrite ^/last/(.*) /$1 last; }
        location /missing/ { auth_intuit off; error_page 404 /dir/page.html; }
        location /missing-named/ { auth_intuit off; error_page 404 = @named; }
        location /limited/ {
            limit_except GET { deny all; }
            proxy_pass %%SIM%%;
        }
        location /if/ {
            if ($arg_x) { proxy_pass %%SIM%%; }
            proxy_pass %%SIM%%;
        }
        location /dir/ { }
        location /ssi/ { auth_intuit off; ssi on; ssi_types *; alias %%DIR%%/html/; }
        location /verify/ {
            auth_intuit_mode verify;
            add_header X-In $intuit_authenticated;
            alias %%DIR%%/html/;
        }
        location /may/ {
            auth_intuit_require $may;
            alias %%DIR%%/html/;

            location /may/teapot/ {
                auth_intuit_require $may $intuit_realm_id error=418;
                alias %%DIR%%/html/;
            }
            location /may/hidden/ {
                auth_intuit_require $may error=404;
                alias %%DIR%%/html/;
            }
            location /may/nobody/ {
                auth_intuit_require $may;
                auth_intuit_require 0 error=451;
                alias %%DIR%%/html/;
            }
        }
    }

    # a part of it only; our URIs are in the way of everything
    server {
        listen 127.0.0.1:%%PORT_8081%%;
        root %%DIR%%/html;

        location / { return 404; }
        location /admin { auth_intuit books; proxy_pass %%SIM%%; }
        location = /intuit/callback { return 404; }
        location ^~ /intuit/login { deny all; }
        location ~ . { return 410; }
        location ^~ /admin/ { auth_intuit books; proxy_pass %%SIM%%; }
        location ~* ^/ADMIN\b { auth_intuit books; proxy_pass %%SIM%%; }
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;
        merge_slashes off;
        auth_intuit books;

        location / { proxy_pass %%SIM%%; }
        location /open/ { auth_intuit off; return 200 open; }
    }
}
CONF

my $realm = '9130347957983546';

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'secret page' } });

sub refused {
    my ($r, $name) = @_;
    like($r->status, qr/^(?:302|4\d\d)$/, "refused: $name");
    unlike($r->body, qr/secret page/, '... without the page');
}

my @closed = qw(/ /index.html /app /admin /admin/ /dir/ /dir/page.html
    /dir /try/x /named/x /last/app /last/dir/ /missing/x /missing-named/x
    /limited/x /if/x /if/x?x=1 /opened/closed/x /opened/../app /open/ /open/x
    /open%2f /OPEN /open%20 /opened/..%2fapp /opened/%2e%2e/app /opened/./../app
    /opened//../app /open/../app /app?/open /app;/open /app/#/open
    /may/index.html /may/nobody/index.html //open/../app
    /./app /x/../app /%61pp /%2fapp);

for my $path (@closed) {
    refused($t->get($path, -browser => 1), "$path, to a browser");
    refused($t->get($path, -json => 1), "$path, to a program");
}

refused($t->get("http://evil.example$_"), "$_, in absolute form") for @closed;
refused($t->request($_, '/app'), $_) for qw(HEAD POST PUT DELETE PATCH OPTIONS
    TRACE PROPFIND MOVE FOO get CONNECT);
refused($t->http("GET /app HTTP/1.0\r\n\r\n"), 'HTTP/1.0');
refused($t->http("GET /app HTTP/1.0\r\nAccept: text/html\r\n\r\n"),
    'HTTP/1.0 without Host, to a browser');

my $old = $t->connect;
$old->send("GET /app\r\n");
$old->response;
unlike($old->{in}, qr/secret page/, 'HTTP/0.9: without the page');
like($old->{in}, qr/login_required/, '... which the answer says');

for my $path (qw(/admin /admin/ /admin/x //admin /./admin /x/../admin /%61dmin
    /x/..%2fadmin /%2fadmin /x/%2e%2e/admin /admin%20 /admin#f /ADMIN /Admin/x))
{
    refused($t->get($path, -port => $t->port(8081), -json => 1),
        "$path, where only that is closed");
}

for my $path (qw(/x //x /open/../x //open/ /open/..//x)) {
    refused($t->get($path, -port => $t->port(8082), -json => 1),
        "$path, without merging slashes");
}

is($t->sim->count(kind => 'other'), 0, 'the application was not asked');

is($t->get($_)->status, 200, "$_ is open") for qw(/open /opened/x);

my $r = $t->get('/ssi/part.shtml');
$t->sim->wait_for(kind => 'other', path => '/admin/x');
like($r->body, qr/^open secret page/,
    'nginx does not ask at a subrequest: an open page is what it includes');


# -- connections stay in step -------------------------------------------------

my $c = $t->connect;
$c->send("POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n"
    . "\r\n" . 'GET /app ' x 7777 . 'GET /ap' . "GET /open HTTP/1.1\r\n"
    . "Host: localhost\r\n\r\n");
is($c->response->status, 401, 'a POST that is refused');
is($c->response->status, 200, '... its body is not the next request');

$c->send("POST /app HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked"
    . "\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /open HTTP/1.1\r\nHost: localhost\r\n\r\n");
is($c->response->status, 401, 'in chunks');
is($c->response->status, 200, '... the same');


# -- our own URIs -------------------------------------------------------------

for my $port (8080, 8081, 8082) {
    my @port = (-port => $t->port($port));

    $r = $t->get('/intuit/callback', @port, -json => 1);
    is($r->status, 400, "the callback is served at $port");
    is($r->json->{error}, 'invalid_state', '... by us');
    is($t->get('/intuit/session', @port)->json->{authenticated}, JSON::PP::false,
        '... the session document');
    is($t->request('HEAD', '/intuit/session', @port)->status, 401,
        '... to HEAD, too');
    is($t->request('PUT', '/intuit/logout', @port)->status, 405,
        '... the logout');
    is($t->get('/intuit/login', @port, -browser => 1)->status, 302,
        '... the login');
}


# -- signed in ----------------------------------------------------------------

my ($ada, $bob, $carol) = map { $t->signed_in(realm => $realm, path => '/app',
    user => "$_\@example.com") } qw(ada bob carol);

for my $path (qw(/app /dir/ /try/x /named/x /last/app /missing-named/x
    /limited/x /if/x?x=1 /opened/closed/x))
{
    like($t->get($path, -jar => $ada)->body, qr/secret page/, "served: $path");
}

is($t->post('/limited/x', '', -jar => $ada)->status, 403,
    'limit_except still holds');
is($t->get('/admin/x', -jar => $ada, -port => $t->port(8081))->status, 200,
    'in the other server');

$r = $t->get('/verify/index.html', -json => 1);
is($r->status, 200, 'verify: an anonymous request passes');
is($r->header('X-In'), 0, '... and is known as such');
is($t->get('/verify/index.html', -jar => $ada)->header('X-In'), 1,
    '... as is a user');

for my $case ([ $ada, 'index.html', 200 ], [ $bob, 'index.html', 403 ],
    [ $carol, 'index.html', 403 ], [ $ada, 'teapot/index.html', 200 ],
    [ $bob, 'teapot/index.html', 418 ], [ $bob, 'hidden/index.html', 404 ],
    [ $ada, 'nobody/index.html', 451 ], [ $bob, 'nobody/index.html', 403 ])
{
    my ($jar, $path, $status) = @$case;

    $r = $t->get("/may/$path", -jar => $jar, -browser => 1);
    is($r->status, $status, "auth_intuit_require: $status");
    is(scalar(() = $r->header('Set-Cookie')), 0, '... no new login');
}

$r = $t->get('/may/index.html', -jar => $bob, -json => 1);
is($r->json->{error}, 'forbidden', '... which the answer says');

done_testing();
