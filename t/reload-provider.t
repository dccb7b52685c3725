#!/usr/bin/perl

# A reload may take a provider away, bring it back, change the size of a zone
# that holds no connection, or leave the module loaded and unused: nothing
# crashes, and what was dropped is said.
#
# Rows: NGX-S2 LES-26 F-RLD-02 F-RLD-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my $realm = '9130347957983546';

sub conf {
    my (%o) = @_;

    my $staff = $o{staff} ? <<'STAFF' : '';
    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/staff/callback;
        allow_email         any;
        cookie_name         __Host-staff;
        login_uri           /staff/login;
        logout_uri          /staff/logout;
        session_uri         /staff/session;
        probe               off;
    }
STAFF

    my $books = $o{books} ? <<"BOOKS" : '';
    intuit_shared_zone zone=intuit:$o{zone};

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         $realm;
        probe               off;
    }
BOOKS

    my $guard_books = $o{books} ? 'auth_intuit books;' : '';
    my $guard_staff = $o{staff} ? 'auth_intuit staff;' : '';

    return <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    root %%DIR%%/html;

$staff
$books

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            $guard_books
        }

        location = /staff.html {
            $guard_staff
        }

        location = /open.html { }
    }
}
CONF
}

$t->write_file("html/$_.html", "$_\n") for qw(staff open);
$t->conf(conf(staff => 1, books => 1, zone => '1m'))->start;

my $staff = $t->signed_in(path => '/staff.html');

is($t->get('/staff.html', -jar => $staff)->status, 200, 'a session of staff');

# no connection yet: the zone may change

ok($t->reload(conf(staff => 1, books => 1, zone => '2m')),
    'a zone without connections may change its size');
is(scalar(grep { /\[notice\].*the size of intuit_shared_zone "intuit" has changed: 1 sessions dropped/ }
    $t->log_lines, $t->log_lines('logs/start.log')), 1,
    'and one line says what was dropped');
is($t->get('/staff.html', -jar => $staff, -json => 1)->status, 401,
    'the session is gone');

$staff = $t->signed_in(path => '/staff.html');
my $books = $t->signed_in(path => '/index.html', realm => $realm);

is($t->get('/index.html', -jar => $books)->status, 200, 'a session of books');

# a provider goes away

ok($t->reload(conf(books => 1, zone => '2m')), 'without staff');
is($t->get('/staff.html', -jar => $staff)->status, 200,
    'whose page is now open');
is($t->get('/staff/session', -jar => $staff, -browser => 1)->status, 302,
    'whose addresses are those of the server');
is($t->get('/index.html', -jar => $staff, -json => 1)->status, 401,
    'and whose cookie opens nothing');
is($t->get('/index.html', -jar => $books)->status, 200,
    'the other sessions are untouched');

ok($t->reload(conf(staff => 1, books => 1, zone => '2m')), 'staff is back');
is($t->get('/staff.html', -jar => $staff)->status, 200,
    'with the session that it had');

# no provider at all

ok($t->reload(conf()), 'the module is loaded and not used');
is($t->get('/open.html', -jar => $books)->status, 200, 'nginx serves');
is($t->get('/intuit/callback?state=a&code=b', -jar => $books)->status, 404,
    'and knows none of our addresses');

ok($t->reload(conf(books => 1, zone => '2m')), 'used again');
is($t->get('/index.html', -jar => $books, -json => 1)->status, 401,
    'with a new zone');
is($t->get('/index.html', -jar => $t->signed_in(path => '/index.html',
    realm => $realm))->status, 200, 'in which a login works');

# a module that no configuration has ever used

$t->stop;
$t->conf(conf())->start;
is($t->get('/open.html')->status, 200, 'it may be loaded for nothing');
ok($t->reload, 'and reloaded');

done_testing();
