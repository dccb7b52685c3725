#!/usr/bin/perl

# intuit_proxy with realm= serves programs that have no session.  It answers
# this machine only, under a name of the server's own, so that neither the
# network nor a page whose name was made to resolve to 127.0.0.1 gets at a
# company's books; auth_intuit and clients=any open it.  A token that has
# expired is not sent.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

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

    # an address that is not this machine's, by a header of the test's
    real_ip_header X-From;
    set_real_ip_from 127.0.0.1;
    set_real_ip_from unix:;

    map $http_x_company $company {
        default 9130347957983546;
        ~.      $http_x_company;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        listen unix:%%DIR%%/socket;
        server_name localhost books.internal *.books.example .dot.example
                    www.any.* ~^re.*$ _;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/ {
            intuit_proxy books realm=$company;
        }

        location /any/ {
            rewrite ^/any(/.*) $1 break;
            intuit_proxy books realm=9130347957983546 clients=any;
        }

        location /login/ {
            auth_intuit books;
            rewrite ^/login(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }

        location /verify/ {
            auth_intuit books;
            auth_intuit_mode verify;
            rewrite ^/verify(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }

        location /satisfy/ {
            auth_intuit books;
            satisfy any;
            allow 192.0.2.0/24;
            deny all;
            rewrite ^/satisfy(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }
    }

    # nobody can sign in here
    server {
        listen 127.0.0.1:%%PORT_8081%%;

        location /v3/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $path = "/v3/company/-/companyinfo/$realm";

my $r = $t->get($path, -json => 1);
is($r->status, 403, 'a company that nobody has connected');
is($r->json->{error}, 'not_connected', '... which the answer says');
is($r->json->{login_uri}, '/intuit/login', '... and where to go');

$r = $t->get($path, -json => 1, -port => $t->port('8081'));
is($r->json->{login_uri},
    'http://localhost:' . $t->port('8080') . '/intuit/login',
    '... on another server, where the login is');

my $jar = $t->signed_in(realm => $realm, path => '/index.html');
$t->sim->reset('journal');

for my $case (
    [ 200, 'this machine' ],
    [ 200, 'by address', Host => '127.0.0.1:' . $t->port ],
    [ 200, 'by address, v6', Host => '[::1]' ],
    [ 200, 'as localhost', Host => 'LOCALHOST' ],
    [ 200, 'as a server_name', Host => 'Books.Internal:8080' ],
    [ 200, 'under *.', Host => 'a.b.books.example' ],
    [ 200, 'under .', Host => 'a.dot.example' ],
    [ 200, 'as .', Host => 'dot.example' ],
    [ 403, 'as somebody else', Host => 'evil.example' ],
    [ 403, 'with our port', Host => 'evil.example:' . $t->port ],
    [ 403, 'by a name that begins alike', Host => 'localhost.evil.example' ],
    [ 403, 'by a name that ends alike', Host => 'xbooks.example' ],
    [ 403, 'by the bare name of *.', Host => 'books.example' ],
    [ 403, 'by a name that only looks like one', Host => 'evil-dot.example' ],
    [ 403, 'by an address of another network', Host => '192.0.2.1' ],
    [ 403, 'where anybody may own the name', Host => 'www.any.evil' ],
    [ 403, 'by a catch-all expression', Host => 're.evil' ],
    [ 403, 'the network', 'X-From' => '192.0.2.7' ],
    [ 403, 'the network, v6', 'X-From' => '2001:db8::1' ],
    [ 403, 'the network, as localhost', 'X-From' => '192.0.2.7',
        Host => 'localhost' ],
    [ 200, 'loopback, v6', 'X-From' => '::1' ],
    [ 200, 'loopback, mapped', 'X-From' => '::ffff:127.0.0.1' ],
    [ 403, 'no loopback, mapped', 'X-From' => '::ffff:192.0.2.7' ],
    [ 403, 'what another proxy of this machine forwards',
        'X-Forwarded-For' => '192.0.2.7' ],
    [ 200, 'a name that is said to be forwarded',
        'X-Forwarded-Host' => 'evil.example' ],
    [ 403, 'the network, as if forwarded for loopback', 'X-From' => '192.0.2.7',
        'X-Forwarded-For' => '127.0.0.1', 'X-Real-IP' => '127.0.0.1' ])
{
    my ($status, $name, @headers) = @$case;

    $t->sim->reset('journal');
    $r = $t->get($path, -json => 1, @headers);
    is($r->status, $status, "$name: $status");
    is($t->sim->count(kind => 'api'), $status == 200 ? 1 : 0, '... was sent');
    is($r->json->{error}, 'client_not_allowed', '... which the answer says')
        if $status == 403;
}

$r = $t->http("GET $path HTTP/1.0\r\n\r\n");
is($r->status, 200, 'a program that sends no Host');

my @far = ('X-From' => '192.0.2.7', -json => 1, Host => 'evil.example');
my @other = ('X-From' => '203.0.113.7', -json => 1);

is($t->get("/any$path", @far)->status, 200, 'clients=any is open to the network');
is($t->get("/login$path", @far)->status, 401, 'auth_intuit asks for a login');
is($t->get("/login$path", @far, -jar => $jar)->status, 200, '... which is enough');
is($t->get("/verify$path", @far)->status, 403, 'verify guards nothing');
is($t->get("/verify$path", @far, -jar => $jar)->status, 200,
    '... but one who has signed in may');
is($t->get("/verify$path", -json => 1)->status, 200, '... and this machine');
is($t->get("/satisfy$path", @far)->status, 200, 'satisfy any: allow is enough');
is($t->get("/satisfy$path", @other)->status, 401, '... a login is wanted else');
is($t->get("/satisfy$path", @other, -jar => $jar)->status, 200, '... and enough');


# -- which company ------------------------------------------------------------

$t->sim->reset('journal');

for my $case ([ '193514292156789', 403, 'not_connected' ],
    [ '4620816365041297150', 403, 'not_connected' ],
    [ '-', 403, 'not_connected' ], [ '../x', 403, 'not_connected' ],
    [ '9130347957983546/x', 403, 'not_connected' ],
    [ '9' x 4000, 403, 'not_connected' ])
{
    my ($company, $status, $error) = @$case;

    $r = $t->get($path, -json => 1, 'X-Company' => $company);
    is($r->status, $status, 'no such company: ' . substr $company, 0, 20);
    is($r->json->{error}, $error, '... which the answer says');
}

$r = $t->get('/v3/company/193514292156789/companyinfo/193514292156789',
    -json => 1);
is($r->status, 403, 'the path of another company');
is($r->json->{error}, 'realm_mismatch', '... which the answer says');

$r = $t->post('/v3/company/-/query', 'select', -json => 1,
    'Sec-Fetch-Site' => 'cross-site');
is($r->status, 403, 'a page of another site');
is($t->sim->count, 0, 'nothing of all this was sent');


# -- an access token that has expired -----------------------------------------

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'token', times => 1,
    action => { merge => { expires_in => 1 } } });

my $short = $t->signed_in(realm => '193514292156789', path => '/index.html');
my @short = (-json => 1, -jar => $short,
    'X-Company' => '193514292156789');

# Intuit's token endpoint is down from here on
$t->sim->script({ kind => 'token', times => -1, action => { status => 503 } });

$t->wait_until(sub {
    $r = $t->get('/v3/company/-/companyinfo/1', @short);
    $r->status == 503;
});

is($r->status, 503, 'a token that has expired is not sent');
is($r->json->{error}, 'temporarily_unavailable', '... which the answer says');
ok($r->header('Retry-After'), '... and when to come again');

done_testing();
