#!/usr/bin/perl

# A callback that is repeated brings a session each time, for a minute.  Who
# repeats it for ever must not fill the zone: it would drive out everybody
# else's sessions, which are the ones idle longest.
#
# Rows: F-ABU-03 F-ABU-04

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

    intuit_shared_zone zone=intuit:512k;

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

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/index.html', "in\n");

my $cookie = '__Host-intuit';
my $ada = $t->signed_in(user => 'ada@example.com', path => '/index.html');

my $bob = $t->jar;
my $r = $t->get('/index.html', -jar => $bob, -browser => 1);
my $callback = $t->consent($bob, $r->header('Location'),
    user => 'bob@example.com');

my (%sessions, %answers);

for (1 .. 1000) {
    my $copy = $bob->clone;

    $r = $t->get($callback, -jar => $copy, -browser => 1);
    $answers{$r->status}++;
    $sessions{$copy->get($cookie)} = $copy if $copy->get($cookie);
}

cmp_ok(scalar keys %sessions, '>=', 2, 'a repeated callback brings a session');
cmp_ok(scalar keys %sessions, '<=', 64, 'but not for ever');
is_deeply([ sort keys %answers ], [ 302, 400 ], 'then it is refused');
is($t->sim->count(kind => 'token'), 2, 'the code was exchanged once');

is($t->get('/index.html', -jar => $ada)->status, 200,
    'nobody else was driven out');
is(scalar(grep { /sessions evicted/ } $t->log_lines), 0, 'the zone has room');

my ($in) = values %sessions;

$bob->set($cookie, $in->get($cookie));
$r = $t->get($callback, -jar => $bob, -browser => 1);

is($r->status, 302, 'who is signed in and goes back');
is($r->path, '/', 'is led on');

done_testing();
