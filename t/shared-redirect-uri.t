#!/usr/bin/perl

# Two providers of one app share the redirect URI.  The login cookie says
# which of them a callback belongs to, also after it had to wait for Intuit:
# a login with one must never become a session of the other, whose allow rule
# was not asked.
#
# Rows: CB-08

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

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         bob@example.com;
        probe               off;
    }

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        cookie_name         __Host-books;
        login_uri           /books/login;
        logout_uri          /books/logout;
        session_uri         /books/session;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit staff;
        }

        location /books/ {
            auth_intuit books;
        }
    }
}
CONF

$t->write_file('html/index.html', "for staff\n");
$t->write_file('html/books/index.html', "for the administrator\n");

my $jar = $t->jar;
my $r = $t->login($jar, '/books/index.html', realm => '9130347957983546',
    user => 'ada@example.com');

is($r->status, 302, 'the administrator signs in with books');
is(join(' ', grep { !/tries/ } $jar->names), '__Host-books',
    'and gets the cookie of books only');
is($t->get('/books/index.html', -jar => $jar)->status, 200,
    'which opens what is for the administrator');
is($t->get('/index.html', -jar => $jar, -json => 1)->status, 401,
    'but not what is for staff');

$r = $t->login($jar, '/index.html', user => 'ada@example.com');
is($r->status, 403, "ada's address is not on the list of staff");

$r = $t->login($t->jar, '/index.html', user => 'bob@example.com');
is($r->status, 302, "bob's is");

done_testing();
