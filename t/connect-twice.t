#!/usr/bin/perl

# Two refresh tokens are imported for one company, one soon after the other, and
# Intuit answers for the first late.  The promise: what was kept of the second one,
# whose proof failed meanwhile, is not thrown away with what was kept of the first,
# and neither when the first is refused.

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
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';

for ([ 'is proven', $realm, 200 ], [ 'is refused', '193514292156789', 403 ]) {
    my ($name, $of, $status) = @$_;

    $t->sim->reset('journal', 'scripts');
    $t->sim->script([
        { kind => 'api', times => 1, action => { barrier => 'late' } },
        { kind => 'api', times => -1, action => { status => 503 } },
    ]);

    my $first = $t->connect;
    $first->send(post(token($of)));
    $t->sim->parked('late');

    my $second = $t->connect;
    $second->send(post(token($realm)));
    is($second->response->json->{error}, 'not_proven_yet',
        'the second import waits for Intuit');

    my ($kept) = grep { $_->{realm} eq $realm } reverse $t->sim->tokens;

    $t->sim->release('late');
    is($first->response->status, $status, "the first $name");

    my $done = grep { /connect succeeded/ } $t->log_lines;

    $t->sim->reset('scripts');
    ok($t->wait_until(sub {
        $done < grep { /connect succeeded/ } $t->log_lines
    }, 60), 'and the second is proven later');

    $t->get("/v3/company/-/companyinfo/$realm", -json => 1);
    is(($t->sim->journal(kind => 'api'))[-1]{headers}{authorization},
        "Bearer $kept->{access_token}", '... and serves');
}

done_testing();


sub token {
    return $t->sim->issue(realm => $_[0], rotate_next => \1,
        scope => 'com.intuit.quickbooks.accounting')->{refresh_token};
}

sub post {
    my $body = "realm=$realm&refresh_token=$_[0]";

    return "POST /connect HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nConnection: close\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}
