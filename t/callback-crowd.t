#!/usr/bin/perl

# An exchange goes on when its client has left.  Whoever starts many and
# leaves at once, with invented codes, must not hold all connections of a
# worker while Intuit is slow: there are others that it serves.
#
# Rows: F-PRC-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {
    worker_connections 64;
}

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

        location /app/ {
            auth_intuit off;
            proxy_pass %%SIM%%;
        }
    }
}
CONF

my @logins;

for (1 .. 40) {
    my $jar = $t->jar;
    my $r = $t->get('/intuit/login', -jar => $jar, -browser => 1);
    my ($state) = $r->header('Location') =~ /[?&]state=([\w-]+)/;

    push @logins, [ $state, join '; ', map { "$_=" . $jar->get($_) }
        $jar->names ];
}

$t->sim->script([
    { kind => 'token', times => -1, action => { barrier => 'slow' } },
    { kind => 'other', times => -1, action => { status => 200, body => 'app' } },
]);

for my $n (0 .. $#logins) {
    my ($state, $cookies) = @{$logins[$n]};
    my $c = $t->connect;

    $c->send("GET /intuit/callback?code=invented&state=$state HTTP/1.1\r\n"
        . "Host: localhost\r\nAccept: text/html\r\nCookie: $cookies\r\n\r\n");

    # it is being served: what comes behind it is asked for then
    $t->wait_until(sub { $t->sim->count(kind => 'token') > $n
        || grep { /is refused: worker_connections/ } $t->log_lines });
    $c->close;
}

my @clients = map { $t->connect } 1 .. 4;

for my $c (@clients) {
    my $r = $t->get('/app/', -connection => $c);

    is($r->status, 200, 'the worker has connections for another one');
    is($r->body, 'app', 'and for its application');
}

cmp_ok($t->sim->count(kind => 'token'), '>=', 10, 'many exchanges wait');

is(scalar(grep { /worker_connections are not enough/ } $t->log_lines), 0,
    'connections were never used up');

my ($state, $cookies) = @{$logins[-1]};

my $r = $t->get("/intuit/callback?code=invented&state=$state", -browser => 1,
    Cookie => $cookies);

is($r->status, 503, 'a login that came too many');
like($r->header('Retry-After'), qr/^\d+$/, 'may come back');

$t->sim->control('POST', '/barrier/slow/release', { open => 1 });

done_testing();
