#!/usr/bin/perl

# The first logins after a start wait until the discovery document is there,
# which is read once however many wait.  A client that leaves meanwhile, over
# HTTP/1 or HTTP/2, takes nothing with it, and those that stay are answered.
#
# Rows: NGX-R1 NGX-R2 LES-37

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->sim->script({ kind => 'discovery', times => -1,
    action => { barrier => 'held' } });

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

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
        listen 127.0.0.1:%%PORT_8082%% http2;
        auth_intuit books;
        root %%DIR%%/html;
    }
}
CONF

$t->write_file('html/page.html', "in\n");

sub http_one {
    my ($path) = @_;
    my $c = $t->connect;

    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: text/html\r\n\r\n");
    return $c;
}

sub http_two {
    my ($path) = @_;
    my $c = Test::Intuit::Http2->new(port => $t->port('8082'));

    $c->{stream} = $c->get($path, accept => 'text/html');
    $c->settle;
    return $c;
}

my (@stay, @go);

for my $path ('/page.html', '/intuit/login?return_to=/page.html') {
    push @stay, map { http_one($path) } 1 .. 5;
    push @go, map { http_one($path) } 1 .. 5;
    push @go, map { http_two($path) } 1 .. 5;
}

my $two = http_two('/page.html');

$t->sim->parked('held');

for my $c (@go) {
    $c->reset($c->{stream}) if $c->isa('Test::Intuit::Http2');
    $c->close;
}

# in the order of arrival: the worker has seen them leave, or will
is($t->get('/page.html', -json => 1)->status, 401,
    'a program does not wait for it');

$t->sim->release('held', open => 1);

for my $c (@stay) {
    my $r = $c->response;

    is($r->status, 302, 'who stays is sent to Intuit');
    $t->jar->saw($r->header('Location') =~ /[?&]state=([\w-]+)/);
}

is($two->status($two->{stream}), 302, 'over HTTP/2, too');
$two->close;
is($t->sim->count(kind => 'discovery'), 1, 'the document was read once');

my $jar = $t->signed_in(path => '/page.html');
is($t->get('/page.html', -jar => $jar)->body, "in\n", 'and a login works');

done_testing();
