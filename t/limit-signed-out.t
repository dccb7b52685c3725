#!/usr/bin/perl

# The promise: a request that waits for its slot goes only if the session that
# let it in is still there when its time has come.
# The attack: a queue full of requests of somebody who has been signed out,
# with the company's session or with one that guards the location.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

my $provider = <<'CONF';
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        probe               off;
CONF

$t->conf(<<"CONF")->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
$provider
        scope               openid email com.intuit.quickbooks.accounting;
        allow_realm         any;
    }

    intuit_provider staff {
$provider
        scope               openid email;
        allow_email         any;
        cookie_name         __Host-staff;
        login_uri           /staff/login;
        logout_uri          /staff/logout;
        session_uri         /staff/session;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /staff/ {
            auth_intuit staff;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            auth_intuit books;
            intuit_proxy books;
        }

        location /api/ {
            rewrite ^/api(/.*) \$1 break;
            intuit_proxy books;
        }

        location /guarded/ {
            rewrite ^/guarded(/.*) \$1 break;
            auth_intuit staff;
            intuit_proxy books realm=9130347957983546;
        }

        location /verify/ {
            rewrite ^/verify(/.*) \$1 break;
            auth_intuit staff;
            auth_intuit_mode verify;
            intuit_proxy books realm=9130347957983546 clients=any;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";
my %jar = (books => $t->signed_in(realm => $realm));

sub waiting { scalar grep { /intuit delaying request/ } $t->log_lines }

for my $case ([ 'by auth_intuit', '', 'books', '/intuit/logout', 401 ],
    [ 'by intuit_proxy', '/api', 'books', '/intuit/logout', 401 ],
    [ 'the guard of a company', '/guarded', 'staff', '/staff/logout', 401 ],
    [ 'with auth_intuit_mode verify', '/verify', 'staff', '/staff/logout',
        200 ])
{
    my ($name, $where, $who, $logout, $status) = @$case;
    my $jar = $t->signed_in($who eq 'books' ? (realm => $realm)
        : (path => '/staff/'));
    my $cookie = join '; ', map { "$_=" . $jar->get($_) } $jar->names;

    # a pause for the company, in which somebody waits and is signed out

    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'api', action => { status => 429,
        headers => { 'Retry-After' => 4 } } });
    is($t->get("/api$api", -jar => $jar{books}, -json => 1)->status, 429,
        "$name: a pause");

    my $before = waiting();
    my $c = $t->connect;
    $c->send("GET $where$api HTTP/1.1\r\nHost: localhost\r\n"
        . "Cookie: $cookie\r\nAccept: application/json\r\n\r\n");
    ok($t->wait_until(sub { waiting() > $before }), '... one waits');
    is($t->post($logout, '', -jar => $jar, -json => 1)->status, 200,
        '... and is signed out');

    my $r = $c->response;
    is($r->status, $status, "... which makes it $status");
    is($r->json->{error}, 'login_required', '... with the word')
        if $status == 401;
    is($t->sim->count(kind => 'api'), $status == 200 ? 2 : 1,
        '... and this often was Intuit asked');
}

done_testing();
