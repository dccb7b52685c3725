#!/usr/bin/perl

# An access token that has expired, or is about to, is refreshed once for
# everybody: Intuit refuses the second of two refreshes, and may then take back
# what it gave to the first.
#
# Rows: TK-16

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 4;

events { worker_connections 2048; }

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

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

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $api = '/v3/company/-/companyinfo/9130347957983546';

# a token that the gateway takes to live for a second, and Intuit for an hour
$t->sim->script({ kind => 'token', times => 1,
    action => { merge => { expires_in => 1 } } });

$t->signed_in(realm => '9130347957983546');

sub expired {
    my $until = time + 2;
    $t->wait_until(sub { time >= $until });
}

sub refreshes {
    return scalar grep { $_->{body} =~ /grant_type=refresh_token/ }
        $t->sim->journal(kind => 'token');
}

expired();

$t->sim->script({ kind => 'token', times => 1,
    action => { barrier => 'refresh', rotate => \1 } });

my @connections = map { $t->connect(timeout => 30) } 1 .. 400;

$_->send("GET $api HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    . "Connection: close\r\n\r\n") for @connections;

$t->sim->parked('refresh');
$t->sim->release('refresh');

my %status;
$status{$_->response->status}++ for @connections;

is_deeply(\%status, { 200 => 400 },
    'all who came on an expired token are served');
is(refreshes(), 1, 'after one refresh');

my ($first) = $t->sim->tokens;
my %token = map { $_->{headers}{authorization} => 1 }
    grep { $_->{path} =~ /companyinfo/ } $t->sim->journal(kind => 'api');

is(scalar keys %token, 1, 'with one token');
isnt((keys %token)[0], "Bearer $first->{access_token}", 'which is the new one');

my @active = grep { $_->{refresh_state} eq 'current' } $t->sim->tokens;
is(scalar @active, 1, 'the old refresh token is dead');

done_testing();
