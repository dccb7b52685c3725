#!/usr/bin/perl

# The attack: requests in one packet, all on an access token that has expired; and
# one connection on which hundreds of refreshes are made.  The promise: one refresh
# for those in the packet, their answers in order and each whole, no limit of
# nginx's that is used up by a connection that lasts.
#
# Rows: NGX-P3 NGX-R3

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $ROUNDS = $ENV{TEST_ALL} ? 1000 : 150;

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    keepalive_requests 100000;
    keepalive_time 100000h;
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

my $realm = '9130347957983546';

$t->write_file('html/index.html', "in\n");
$t->sim->config(rotate_after => 0);
forward(0);
start_faked();
$t->signed_in(path => '/index.html', realm => $realm);

sub request {
    my ($method, $path, $body) = @_;
    return "$method $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\n"
        . (defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '')
        . "\r\n" . ($body // '');
}

my $info = "/v3/company/-/companyinfo/$realm";

for my $round (1 .. 5) {
    forward(61);
    $t->sim->reset('journal');

    my $c = $t->connect;
    $c->send(join '', request('GET', $info), request('GET', "$info/x/../y"),
        request('POST', '/v3/company/-/query', 'select * from Item'),
        request('GET', '/index.html'), request('GET', $info),
        request('POST', '/v3/company/-/invoice?requestid=r' . $round,
            '{"Line":[]}'),
        request('GET', $info));

    my @answers = map { $c->response } 1 .. 7;

    is(join(' ', map { $_ ? $_->status : 0 } @answers),
        '200 400 200 401 200 200 200', 'seven in a packet: in order');
    is(scalar(grep { $_ && $_->complete } @answers), 7, '... and whole');
    like($answers[$_]->body, qr/Harbour Lane/, '... and each its own') for 0, 4, 6;
    is(scalar(sent()), 1, '... after one refresh');
    $c->close;
}

my $c = $t->connect;
my (%status, %tokens);

for my $round (1 .. $ROUNDS) {
    forward(61);
    $status{$t->get($info, -json => 1, -connection => $c)->status}++;
    $tokens{used()} = 1;
    $t->sim->reset('journal') if $round % 50 == 0;
}

is_deeply(\%status, { 200 => $ROUNDS }, "$ROUNDS refreshes on one connection");
is(scalar keys %tokens, $ROUNDS, '... each brought a token');

done_testing();
