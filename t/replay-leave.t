#!/usr/bin/perl

# The promise: a client may leave while its request waits for a new token, over
# HTTP/1 and HTTP/2; the refresh is made for the others, and nothing of the
# request is left.  The workers end cleanly (the harness looks).
# The attack: a request that is gone is begun anew.
#
# Rows: NGX-R1 LES-41

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    log_format api '$request_method $status "$upstream_status" '
                   '"$intuit_refresh_status"';
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
        listen 127.0.0.1:%%PORT_8081%% http2;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            access_log %%DIR%%/logs/api.log api;
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $api = "/v3/company/-/companyinfo/$realm";

$t->signed_in(realm => $realm);

sub calls { $t->sim->count(kind => 'api') }
sub logged { my @lines = $t->log_lines('logs/api.log'); return scalar @lines }

sub refuse {
    $t->sim->reset('journal', 'scripts');
    $t->sim->control('POST', '/expire-access', { realm => $realm });
    $t->sim->script({ kind => 'token', action => { barrier => 'refresh' } });
}

sub http1 {
    my ($method) = @_;
    my $c = $t->connect(timeout => 30);
    $c->send("$method $api HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nContent-Length: 0\r\n\r\n");
    return $c;
}

sub http2 { Test::Intuit::Http2->new(port => $t->port(8081), timeout => 30) }

my @accept = (accept => 'application/json');

# A request that stays is there first, and sees to the refresh.
sub leave {
    my ($name, $begin, $leave, $gone) = @_;

    refuse();
    my $before = logged();
    my $stays = http1('GET');
    $t->sim->parked('refresh');

    my @left = $begin->();
    $t->sim->wait_for(kind => 'api', count => 1 + $gone, answered => 1);

    # all that Intuit has said has been read once this one was answered
    is($t->get('/v3/company/1/x', -json => 1)->status, 403,
        "$name: other requests are served meanwhile");

    $leave->(@left);
    $t->wait_until(sub { logged() == $before + 1 + $gone });
    is(logged(), $before + 1 + $gone, '... those who left are forgotten');

    $t->sim->release('refresh');
    is($stays->response->status, 200, '... the one who stayed is served');
    is(calls(), 2 + $gone, '... and nobody else asked for');
    $stays->close;
}

leave('HTTP/1, close', sub { map { http1('GET') } 1 .. 5 },
    sub { $_->close for @_ }, 5);
leave('a POST', sub { http1('POST') }, sub { $_[0]->close }, 1);

my $h2;
leave('HTTP/2, RST_STREAM', sub { $h2 = http2(); map { $h2->get($api, @accept) }
    1 .. 5 }, sub { $h2->reset($_) for @_ }, 5);

is($h2->status($h2->get($api, @accept)), 200, '... the connection goes on');

leave('HTTP/2, GOAWAY and close', sub { $h2 = http2(); map { $h2->get($api,
    @accept) } 1 .. 3 }, sub { $h2->goaway; $h2->close }, 3);


# -- those who stay over HTTP/2 -----------------------------------------------

refuse();
$h2 = http2();
my @streams = map { $h2->get($api, @accept) } 1 .. 20;
$t->sim->parked('refresh');
$t->sim->release('refresh');
is(scalar(grep { $h2->status($_) == 200 } @streams), 20,
    'twenty streams of one connection are served');
is($t->sim->count(kind => 'token', grant_type => 'refresh_token'), 1,
    '... after one refresh');


# -- the only one leaves ------------------------------------------------------

my $done = grep { /refresh succeeded/ } $t->log_lines;
refuse();
my $c = http1('GET');
$t->sim->parked('refresh');
$c->close;
$t->sim->release('refresh');
my $refreshed = sub { my @lines = grep { /refresh succeeded/ } $t->log_lines;
    return scalar @lines };
$t->wait_until(sub { $refreshed->() > $done });

is($t->get($api, -json => 1)->status, 200, 'the token is new when all have left');
is($t->sim->count(kind => 'token', grant_type => 'refresh_token'), 1,
    '... with that one refresh');


# -- nginx ends meanwhile -----------------------------------------------------

refuse();
$c = http1('GET');
$t->sim->parked('refresh');
ok($t->reload(undef, linger => 1), 'a reload in the middle of it');
$t->sim->release('refresh');
is($c->response->status, 200, 'an old worker finishes what it has begun');
$c->close;
ok($t->wait_until(sub { my @left = $t->children; @left == 2 }),
    '... and ends');

done_testing();
