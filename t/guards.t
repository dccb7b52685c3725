#!/usr/bin/perl

# nginx's own guards stand in front of the login: when deny, auth_basic or
# auth_request refuses, nobody is sent to Intuit, no cookie is set, and no
# token is looked for.  Under "satisfy any" one of them is enough, and a login
# is one of them.
#
# Rows: NGX-I4

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('passwords', "ada:{PLAIN}lovelace\n");
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

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        auth_intuit books;

        location = /check/no { internal; auth_intuit off; return 403; }
        location = /check/401 { internal; auth_intuit off; return 401; }
        location = /check/proxied {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_8081%%/no;
        }
        location = /check/yes {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_8081%%/yes;
        }

        location /page/ {
            rewrite ^/page/[^/]*/(.*) /$1 break;
            proxy_pass %%SIM%%;

            location /page/deny/ {
                deny all;
                proxy_pass %%SIM%%;
            }
            location /page/basic/ {
                auth_basic here;
                auth_basic_user_file %%DIR%%/passwords;
                proxy_pass %%SIM%%;
            }
            location /page/request/ {
                auth_request /check/no;
                proxy_pass %%SIM%%;
            }
            location /page/request401/ {
                auth_request /check/401;
                proxy_pass %%SIM%%;
            }
            location /page/proxied/ {
                auth_request /check/proxied;
                proxy_pass %%SIM%%;
            }
            location /page/all/ {
                satisfy all;
                allow 127.0.0.1;
                deny all;
                auth_basic here;
                auth_basic_user_file %%DIR%%/passwords;
                auth_request /check/yes;
                proxy_pass %%SIM%%;
            }
            location /page/any-allowed/ {
                satisfy any;
                allow 127.0.0.1;
                deny all;
                proxy_pass %%SIM%%;
            }
            location /page/any-denied/ {
                satisfy any;
                deny all;
                proxy_pass %%SIM%%;
            }
            location /page/any-verify/ {
                satisfy any;
                deny all;
                auth_intuit_mode verify;
                proxy_pass %%SIM%%;
            }
        }

        location /static/ {
            satisfy any;
            deny all;
            alias %%DIR%%/html/;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;

        location /v3/company/4620816365041297150/ {
            deny all;
            intuit_proxy books;
        }
        location /v3/company/193514292156789/ {
            deny all;
            intuit_proxy books realm=193514292156789;
        }
        location /v3/company/1/ {
            auth_basic here;
            auth_basic_user_file %%DIR%%/passwords;
            intuit_proxy books;
        }
        location /v3/company/2/ {
            auth_basic here;
            auth_basic_user_file %%DIR%%/passwords;
            intuit_proxy books realm=193514292156789 clients=any;
        }
        location /v3/company/3/ {
            auth_request /check;
            intuit_proxy books;
        }
        location /v3/company/4/ {
            auth_request /check;
            intuit_proxy books realm=193514292156789;
        }
        location /v3/company/9130347957983546/ {
            auth_basic here;
            auth_basic_user_file %%DIR%%/passwords;
            intuit_proxy books realm=9130347957983546;
        }
        location = /check {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_8081%%/no;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        location = /no { return 403; }
        location = /yes { return 204; }
    }
}
CONF

my $basic = 'Basic YWRhOmxvdmVsYWNl';
my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/static/index.html');

$t->sim->script({ kind => 'other', times => -1,
    action => { status => 200, body => 'app' } });
$t->sim->reset('journal');

sub ours { scalar grep { /\bintuit\b.*(?:login|cross_site|realm|client)/ }
    $t->log_lines }

my $lines = ours();

for my $case (
    [ 'deny', 403 ], [ 'basic', 401 ], [ 'request', 403 ],
    [ 'request401', 401 ], [ 'proxied', 403 ], [ 'all', 401 ])
{
    my ($guard, $status) = @$case;

    for my $who ([ 'a stranger' ], [ 'a signed-in user', -jar => $jar->clone ]) {
        my ($name, @jar) = @$who;
        my $r = $t->get("/page/$guard/x", -browser => 1, @jar);

        is($r->status, $status, "$guard refuses $name");
        is(scalar(() = $r->header('Set-Cookie')), 0, '... without a cookie');
    }
}

for my $case (
    [ 'deny, session', 4620816365041297150, 403 ],
    [ 'deny, realm=', 193514292156789, 403 ],
    [ 'auth_basic, session', 1, 401 ],
    [ 'auth_basic, realm=', 2, 401 ],
    [ 'auth_request, session', 3, 403 ],
    [ 'auth_request, realm=', 4, 403 ])
{
    my ($name, $company, $status) = @$case;
    my $r = $t->post("/v3/company/$company/query", 'select', -port =>
        $t->port(8082), -jar => $jar->clone, 'Sec-Fetch-Site' => 'cross-site');

    is($r->status, $status, "intuit_proxy behind $name");
    is(scalar(() = $r->header('Set-Cookie')), 0, '... without a cookie');
}

is(ours(), $lines, 'we have not been asked');
is($t->sim->count, 0, 'nothing was sent to anybody');

my $r = $t->get("/v3/company/$realm/companyinfo/$realm",
    -port => $t->port(8082), Authorization => $basic);

is($r->status, 200, 'auth_basic lets a program at the API');

my ($call) = $t->sim->journal(kind => 'api');
like($call->{headers}{authorization}, qr/^Bearer \S+$/,
    'which gets the token, not the password');

$r = $t->get('/page/all/x', -browser => 1, Authorization => $basic);
is($r->status, 302, 'satisfy all: the others have agreed, the login is next');

$r = $t->get('/page/all/x', -jar => $jar, Authorization => $basic);
is($r->status, 200, 'satisfy all: everybody has agreed');

my ($app) = $t->sim->journal(kind => 'other');
ok(!exists $app->{headers}{authorization}, 'the password stays here');

$r = $t->get('/page/any-allowed/x', -browser => 1);
is($r->status, 200, 'satisfy any: an allowed client needs no login');
is(scalar(() = $r->header('Set-Cookie')), 0, '... and gets no cookie');

$r = $t->get('/page/any-denied/x', -browser => 1);
is($r->status, 302, 'satisfy any: a denied client is sent to Intuit');

$r = $t->get('/page/any-denied/x', -json => 1);
is($r->status, 401, 'satisfy any: an anonymous program learns that it may');
is($r->json->{error}, 'login_required', '... by a login');

$r = $t->get('/page/any-denied/x', -jar => $jar);
is($r->status, 200, 'satisfy any: a login is enough');

$r = $t->get('/page/any-verify/x', -browser => 1);
is($r->status, 403, 'satisfy any: verify vouches for nobody');

$r = $t->get('/page/any-verify/x', -jar => $jar);
is($r->status, 200, 'satisfy any: but for the one who has signed in');

done_testing();
