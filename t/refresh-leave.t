#!/usr/bin/perl

# The client whose request started a refresh may leave at any moment, over any
# version of HTTP: the answer is saved all the same, or a rotated token would be
# lost with it.
#
# Rows: NGX-R1 NGX-R2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

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
        listen 127.0.0.1:%%PORT_8082%% http2;

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

sub http_one {
    my $c = $t->connect;
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\n\r\n");
    return $c;
}

sub http_two {
    my $c = Test::Intuit::Http2->new(port => $t->port('8082'));
    $c->{stream} = $c->get($api, accept => 'application/json');
    return $c;
}

# [ what the client does, how it comes, how it leaves ]
my @ways = (
    [ 'HTTP/1, closes', \&http_one, sub { $_[0]->close } ],
    [ 'HTTP/1, resets', \&http_one, sub {
        setsockopt $_[0]->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
            pack 'ii', 1, 0;
        $_[0]->close;
    } ],
    [ 'HTTP/2, RST_STREAM', \&http_two, sub {
        $_[0]->reset($_[0]{stream});
        ok($_[0]->settle, 'the connection lives on');
    } ],
    [ 'HTTP/2, GOAWAY and closes', \&http_two, sub {
        $_[0]->goaway;
        $_[0]->close;
    } ],
);

# a token that the gateway takes to live for a second, and Intuit for an hour
$t->sim->script({ kind => 'token', action => { merge => { expires_in => 1 } } });
$t->signed_in(realm => '9130347957983546');

for (@ways) {
    my ($name, $come, $leave) = @$_;
    my $until = time + 2;

    $t->wait_until(sub { time >= $until });
    $t->sim->reset('journal', 'scripts');

    # Intuit has done its part, and rotated; the answer is on its way
    answer({ barrier => 'held', when => 'after', rotate => \1,
        merge => { expires_in => 1 } });

    my $done = log_has('refresh succeeded');
    my $client = $come->();

    $t->sim->parked('held');
    $leave->($client);
    $t->sim->release('held');

    ok($t->wait_until(sub { log_has('refresh succeeded') > $done }),
        "$name: the refresh is completed");
    is(scalar(sent()), 1, '... it was one');
}

$t->sim->reset('scripts');
my $until = time + 2;
$t->wait_until(sub { time >= $until });

is(call()->status, 200, 'and the last rotated token is the one in use');

done_testing();
