#!/usr/bin/perl

# The callback is a GET that a user makes.  Whatever comes by another method,
# or ahead of the user, is refused and does not use up the code: link
# scanners, prefetching browsers, and a form posted from another site.
#
# Rows: CB-07

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

my $jar = $t->jar;
my $r = $t->get('/', -jar => $jar, -browser => 1);
my $callback = $t->consent($jar, $r->header('Location'),
    realm => '9130347957983546');
my ($query) = $callback =~ /\?(.*)/;

for my $method (qw(HEAD PUT DELETE OPTIONS PATCH PROPFIND)) {
    $r = $t->request($method, $callback, -jar => $jar);

    is($r->status, 405, "$method is refused");
    is($r->header('Set-Cookie'), undef, "$method leaves the cookies alone");
    is($r->header('Allow'), 'GET', "$method: GET is named");
}

# nginx itself answers this one, and logs the address as it came
is($t->request('TRACE', '/intuit/callback')->status, 405, 'so is TRACE');

for my $path ($callback, '/intuit/callback') {
    $r = $t->post($path, $query, -jar => $jar,
        'Content-Type' => 'application/x-www-form-urlencoded');

    is($r->status, 405, 'so is a form');
    is($r->header('Set-Cookie'), undef, 'which leaves the cookies alone');
}

my @ahead = (
    [ 'Sec-Purpose', 'prefetch' ],
    [ 'Sec-Purpose', 'prefetch;prerender' ],
    [ 'Purpose', 'prefetch' ],
    [ 'X-Moz', 'prefetch' ],
    [ 'X-Purpose', 'preview' ],
);

for (@ahead) {
    my ($name, $value) = @$_;
    $r = $t->get($callback, -jar => $jar, -browser => 1, $name => $value);

    is($r->status, 400, "$name: $value is refused");
    is($r->header('Set-Cookie'), undef, 'and leaves the cookies alone');
}

is($t->sim->count(kind => 'token'), 0, 'the code has gone nowhere');

$r = $t->get($callback, -jar => $jar, -browser => 1);

is($r->status, 302, 'the user then gets in');
is($t->get('/', -jar => $jar)->body, "in\n", 'all the way');
is($t->sim->count(kind => 'token'), 1, 'with one token call');

done_testing();
