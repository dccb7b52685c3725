#!/usr/bin/perl

# A request that waits for its slot goes with a token that serves then: the
# one it had when it came may have expired in the queue.  And one that waits
# for a refresh takes no slot of a time when it could not go.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => ['--quota', '--access-ttl', 4]);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
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
        listen 127.0.0.1:%%PORT_8080%% reuseport;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            auth_intuit books;
            intuit_proxy books;
        }

        location /realm/ {
            rewrite ^/realm(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";
my $jar = $t->signed_in(realm => $realm);
my $cookie = 'Cookie: __Host-intuit=' . $jar->get('__Host-intuit') . "\r\n";

sub ask {
    my ($path, $headers) = (@_, '');
    my $c = $t->connect;
    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\n${headers}\r\n");
    return $c;
}

sub refreshes { $t->sim->count(kind => 'token', grant_type => 'refresh_token') }

sub all_served {
    my ($name, @crowd) = @_;
    my %status;
    $status{$_->response->status}++ for @crowd;
    is_deeply(\%status, { 200 => scalar @crowd }, $name);
    is($t->sim->count(kind => 'api', status => $_), 0, "... no $_")
        for 401, 429;
}

for my $case ([ 'by session', $api, $cookie ], [ 'by company', "/realm$api" ]) {
    my ($name, @how) = @$case;

    # Intuit asks for a pause that is longer than the token's life

    $t->sim->script({ kind => 'api', action => { status => 429,
        headers => { 'Retry-After' => 6 } } });
    is(ask(@how)->response->status, 429, "$name: held");
    $t->sim->reset('journal', 'scripts');

    my @crowd = map { ask(@how) } 1 .. 4;
    all_served('all are served after it', @crowd);
    cmp_ok(refreshes(), '>=', 1, '... with another token');

    # all come with an expired token, and more of them than may go at once

    my $expired = time + 6;
    $t->wait_until(sub { time >= $expired });
    $t->sim->reset('journal');
    $t->sim->script({ kind => 'token', action => { barrier => 'held' } });

    @crowd = map { ask(@how) } 1 .. 14;
    $t->sim->parked('held');
    select undef, undef, undef, 0.5;       # slots of this time would be over
    $t->sim->release('held');
    all_served('all are served after the refresh', @crowd);
}

done_testing();
