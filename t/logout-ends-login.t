#!/usr/bin/perl

# A callback may arrive twice, and each delivery gets a session for a minute.  After a
# logout none does: who holds a copy of the login's cookie and of the callback's
# address (a second tab, a proxy's log) must not be let in by them.
#
# Rows: BF-09 LES-29

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    log_format worker '$pid $uri';
    access_log %%DIR%%/logs/access-worker.log worker;

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
        # reuseport spreads the connections over both workers
        listen 127.0.0.1:%%PORT_8080%% reuseport;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $realm = '9130347957983546';

sub begin {
    my $jar = $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, -browser => 1);

    return ($jar, $t->consent($jar, $r->header('Location'), realm => $realm));
}

sub delivered { $t->get($_[0], -jar => $_[1], -browser => 1) }

sub inside { $t->get('/page.html', -jar => $_[0])->body eq "in\n" }

my ($jar, $callback) = begin();
my $copy = $jar->clone;
my $again = $jar->clone;

delivered($callback, $jar);
ok(inside($jar), 'signed in');

delivered($callback, $again);
ok(inside($again), 'a second delivery as well');

is($t->post('/intuit/logout', '', -jar => $jar)->status, 303, 'signed out');
ok(!inside($jar), 'the session is over');

my $r = delivered($callback, $copy);
is($r->status, 400, 'a copy of the login brings nothing any more');
ok(!inside($copy), 'nobody is let in');
is($t->sim->count(kind => 'token'), 1, 'and the code was used once');

# another login of the same person is another matter

($jar, $callback) = begin();
delivered($callback, $jar);
ok(inside($jar), 'the next login works');

done_testing();
