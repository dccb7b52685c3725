#!/usr/bin/perl

# The attack: requests of any form at each address of the module's and at a page
# behind it: every method, with and without a body and a type for it, chunked,
# two of what there is one of, HTTP/0.9, raw blanks and line ends, queries of
# nothing, bodies that never come.  The promise: no worker dies, nobody gets a
# page or a session, nothing is sent to Intuit, the connection stays in step.
#
# Rows: NGX-H2 NGX-B2 NGX-B3 NGX-P1 LES-01 LES-02 LES-11 LES-22 LES-24 LES-39
#       F-ABU-07

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    keepalive_requests 100000;
    client_body_timeout 1s;
    client_max_body_size 64k;

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
        server_name localhost;
        auth_intuit books;

        location / { proxy_pass %%SIM%%; }
        location /v3/company/ { intuit_proxy books; }
        location = /status { intuit_status format=json manage; }
        location = /connect { intuit_connect books; }
        location = /disconnect { intuit_disconnect books; }
        location = /migrate { intuit_migrate books; }

        location = /open {
            auth_intuit off;
            proxy_pass %%SIM%%;
        }
    }
}
CONF

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'secret page' } });

# the document is there, once and for all
ok($t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 }), 'ready');
$t->sim->reset('journal');

my @paths = qw(/app /v3/company/-/query /v3/company/1/query /intuit/callback
    /intuit/login /intuit/logout /intuit/session /status /connect /disconnect
    /migrate);
my @queries = ('', '?', '?&', '?&&=&', '?=', '?state', '?state=', '?code=&state=',
    '?realmId', '?iss=', '?iss=&state=&code=', '?error', '?error=&error=', '?%',
    '?%0', '?%00=%00', '?' . 'a&' x 300, '?return_to', '?return_to=&return_to=');
my @bodies = (
    [ 'no body' ],
    [ 'none said', 'Content-Length' => 0 ],
    [ 'no type', -body => 'action=refresh' ],
    [ 'an empty type', -body => 'action=refresh', 'Content-Type' => '' ],
    [ 'a type of blanks', -body => 'x', 'Content-Type' => '   ' ],
    [ 'a strange type', -body => 'x', 'Content-Type' => ';;=/;charset' ],
    [ 'a form', -body => '&=&%&a', 'Content-Type' =>
        'application/x-www-form-urlencoded' ],
    [ 'a form in parts', -body => '--', 'Content-Type' =>
        'multipart/form-data' ],
    [ 'JSON', -body => '{"realm":', 'Content-Type' => 'application/json' ],
    [ 'chunks', -body => "1\r\na\r\n0\r\n\r\n", 'Content-Length' => undef,
        'Transfer-Encoding' => 'chunked' ],
    [ 'a body that is too long', -body => 'x' x 70000 ],
);

sub refused {
    my ($r, $name) = @_;
    my @odd;

    push @odd, 'status ' . $r->status if $r->status !~ /^(?:30[23]|4\d\d)$/
        # who is not signed in can still log out
        && !($name =~ m{/intuit/logout} && $r->status == 200);
    push @odd, 'the page' if $r->raw =~ /secret page/;
    push @odd, 'a session' if grep { /^__Host-intuit=[^;]/ }
        $r->header('Set-Cookie');

    return @odd ? "$name: @odd" : ();
}

my @odd;
my ($c, $count) = ($t->connect, 0);

# one connection as long as it is kept
sub ask {
    my ($method, $path, @headers) = @_;

    $c = $t->connect if $c->{eof} || ($c->{over} && $c->close);
    my $r = $t->request($method, $path, -connection => $c, @headers);

    $c->{over} = 1 if lc($r->header('Connection') // 'close') eq 'close';
    $count++;
    return $r;
}

for my $path (@paths) {
    for my $method (qw(GET HEAD POST PUT DELETE OPTIONS PATCH PROPFIND X)) {
        for (@bodies) {
            my ($name, @body) = @$_;
            push @odd, refused(ask($method, $path, @body),
                "$method $path, $name");
        }
    }

    push @odd, refused(ask('GET', "$path$_", -browser => 1), "GET $path$_"),
        refused(ask('POST', "$path$_", -body => s/^\?//r),
            "POST $path$_") for @queries;
}

is(join("\n", @odd), '', "$count requests of any form, and nothing is given");
@odd = ();

# -- byte by byte -------------------------------------------------------------

my $host = "Host: localhost\r\n";
my $id = 'A' x 43;

for my $path (@paths) {
    for my $bytes (
        "GET $path\r\n", "GET $path HTTP/1.0\r\n\r\n",
        "GET $path HTTP/1.1\r\n\r\n", "GET $path HTTP/2.0\r\n$host\r\n",
        "GET $path HTTP/9.9\r\n$host\r\n", "get $path HTTP/1.1\r\n$host\r\n",
        "CONNECT $path HTTP/1.1\r\n$host\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\n$host\r\n", "CONNECT\r\n\r\n",
        "TRACE $path HTTP/1.1\r\n$host\r\n",
        "GET http://localhost$path HTTP/1.1\r\n$host\r\n",
        "GET http://evil.example$path HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET $path HTTP/1.1\r\n$host$host\r\n",
        "GET $path HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET $path HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET $path HTTP/1.1\r\n${host}Authorization: Basic YTpi\r\n"
            . "Authorization: Bearer x\r\n\r\n",
        "GET $path HTTP/1.1\r\n${host}Authorization: Bearer\r\n\r\n",
        "GET $path HTTP/1.1\r\n${host}Authorization:\r\n\r\n",
        "POST $path HTTP/1.1\r\n${host}Content-Length: 1\r\n"
            . "Content-Length: 2\r\n\r\na",
        "POST $path HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n",
        "POST $path HTTP/1.1\r\n${host}Content-Length: 99999999999999999999"
            . "\r\n\r\n",
        "POST $path HTTP/1.1\r\n${host}Content-Length: 3\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST $path HTTP/1.1\r\n${host}Transfer-Encoding: x\r\n\r\n",
        "POST $path HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET $path /../open HTTP/1.1\r\n$host\r\n",
        "GET /open /..$path HTTP/1.1\r\n$host\r\n",
        "GET /open\0/..$path HTTP/1.1\r\n$host\r\n",
        "GET $path%00/../open HTTP/1.1\r\n$host\r\n",
        "GET /open/..$path HTTP/1.1\r\n$host\r\n",
        "GET $path\t HTTP/1.1\r\n$host\r\n",
        "GET  $path  HTTP/1.1\r\n$host\r\n", "\r\n\r\nGET $path HTTP/1.1\n$host\n",
        "GET $path HTTP/1.1\r\n${host}Cookie: __Host-intuit=$id\r\n"
            . "Cookie:\r\nCookie: ;\r\n\r\n",
        "GET $path HTTP/1.1\r\n${host}Cookie\r\n: __Host-intuit=$id\r\n\r\n",
        "GET $path HTTP/1.1\r\n${host}Sec-Fetch-Site:\r\nOrigin:\r\n"
            . "Accept:\r\nSec-Fetch-Mode: ,\r\n\r\n")
    {
        my $raw = $t->connect(timeout => 10);

        $raw->send($bytes);
        shutdown $raw->socket, 1;
        1 while $raw->more(time + 10);

        my $name = $bytes =~ s/[\r\n]+/ | /gr;
        push @odd, "$name: $raw->{in}" if $raw->{in} =~ /secret page
            |^Set-Cookie:\ __Host-intuit=[^;]|^HTTP\S+\ (?:50[0234]|20)/mx
            && !($path eq '/intuit/logout' && $raw->{in} =~ /^HTTP\S+ 200/);
    }
}

is(join("\n", @odd), '', 'nor to what is hardly a request');

# -- bodies that never come, and what comes behind those that do ----------------

for my $path (@paths) {
    my $raw = $t->connect(timeout => 20);

    $raw->send("POST $path HTTP/1.1\r\n${host}Content-Length: 10\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n\r\nx");
    1 while $raw->more(time + 20);
    ok($raw->{eof}, "$path: who sends no body is not waited for");

    $raw = $t->connect(timeout => 20);
    $raw->send("POST $path HTTP/1.1\r\n${host}Content-Length: 40\r\n\r\n"
        . 'GET /app HTTP/1.1' . ' ' x 23 . "GET /open HTTP/1.1\r\n$host\r\n");
    my ($first, $second) = ($raw->response, $raw->response);
    like($second ? $second->body : $first->header('Connection'),
        qr/^(?:secret page|close)$/, '... and a body is not the next request');
}

is($t->sim->count(kind => $_), 0, "no $_ was asked for")
    for qw(token api userinfo revoke migrate);

done_testing();
