#!/usr/bin/perl

# Intuit's refusal ends the attempt with a page: no token request, no session,
# and a way back.  What the address says about the error is an attacker's text
# and reaches neither page nor log as it is.
#
# Rows: CB-04 LES-09

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
    }
}
CONF

sub begin {
    my $jar = $t->jar;
    my $r = $t->get('/', -jar => $jar, -browser => 1);
    my ($state) = $r->header('Location') =~ /[?&]state=([^&]+)/;

    return ($jar, $state);
}

my $script = '%3Cscript%3Ealert(1)%3C/script%3E';

# [ error, description, status ]
my @errors = (
    [ 'access_denied', 'The+user+said+no', 403 ],
    [ 'access_denied', '', 403 ],
    [ 'server_error', 'x', 503 ],
    [ 'temporarily_unavailable', 'x', 503 ],
    [ 'invalid_scope', $script, 400 ],
    [ $script, $script, 400 ],
    [ 'a%22onload=%22evil', 'x', 400 ],
    [ 'x%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0aevil', 'x', 400 ],
    [ 'x%0a2026/01/01%2000:00:00%20[crit]%201%231:%20evil', '%0a', 400 ],
    [ '%25s%25n%25V%25p', '%25s%25n', 400 ],
    [ '%1b[2J%c2%9b%ff', '%e2%80%ae', 400 ],
    [ 'e' x 3000, 'd' x 3000, 400 ],
);

for (@errors) {
    my ($error, $description, $status) = @$_;
    my $name = substr $error, 0, 40;
    my $args = "error=$error&error_description=$description";
    my ($jar, $state) = begin();

    my $r = $t->get("/intuit/callback?$args&state=$state", -jar => $jar,
        -browser => 1);

    is($r->status, $status, "$name: $status");
    like($r->header('Content-Type'), qr{^text/html}, 'a page');
    unlike($r->raw, qr/<script|evil|alert\(1\)|%n|eeeee/,
        'without what the address says');
    like($r->header('Content-Security-Policy'), qr/default-src 'none'/,
        'that loads nothing');
    is($r->header('Referrer-Policy'), 'no-referrer', 'and sends no referrer');
    like($r->body, qr{href="/intuit/login}, 'with a way back')
        if $status != 503;
    ok(!(grep { /^__Host-intuit=/ } $r->header('Set-Cookie')), 'no session');
    ok(!(grep { /login/ } $jar->names), 'the attempt is over');

    # the same without an attempt tells nothing apart
    $r = $t->get("/intuit/callback?$args&state=$state", -jar => $t->jar,
        -browser => 1);

    is($r->status, 400, 'and of no attempt: 400');
    unlike($r->raw, qr/<script|evil|alert\(1\)|%n|eeeee/,
        'which shows as little');
    is($r->header('Set-Cookie'), undef, 'and sets nothing');
}

my ($jar, $state) = begin();
my $r = $t->get("/intuit/callback?error=access_denied&state=$state",
    -jar => $jar, -json => 1);

is($r->status, 403, 'a program');
is($r->json->{error}, 'access_denied', 'is told in JSON');

$jar = $t->jar;
is($t->login($jar, '/', deny => 1)->status, 403, 'as Intuit sends it');
is($t->login($jar, '/')->status, 302, 'and the next login works');
is($t->sim->count(kind => 'token'), 1, 'the only one that asked for tokens');

my @lines = $t->log_lines();

ok(!(grep { !m{^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[} } @lines),
    'no line of the log was begun by a client');
ok(!(grep { /[^\x20-\x7e\n]/ } @lines), 'and none has bytes that act');
ok(!(grep { /e{100}/ } @lines), 'and none is filled up');

done_testing();
