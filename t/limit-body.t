#!/usr/bin/perl

# The promise: a slot of the company's quota is taken when the client's body
# has come, and whoever holds his body back keeps nobody from going.
# The attack: clients that hold their bodies back, and send them all at once
# when their slots are long over, or leave, over HTTP/1 and HTTP/2.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    client_max_body_size 1k;
    intuit_limit on rate=2r/m queue=0;

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
            auth_intuit books;
            intuit_proxy books;
        }

        location /realm/ {
            rewrite ^/realm(/.*) $1 break;
            intuit_proxy books realm=4620816365041297150;
        }

        location /unbuffered/ {
            rewrite ^/unbuffered(/.*) $1 break;
            proxy_request_buffering off;
            intuit_proxy books realm=193514292156789;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
my $cookie = 'Cookie: __Host-intuit=' . $jar->get('__Host-intuit') . "\r\n";
my $path = '/v3/company/-/customer';
my $body = '{"DisplayName":"x"}';

$t->signed_in(realm => $_) for qw(4620816365041297150 193514292156789);

sub calls { $t->sim->count(kind => 'api') }
sub left { scalar grep { / (?:400|499) / } $t->log_lines('logs/access.log') }

# a POST that nginx has begun to read
sub hold {
    my ($where, $who, $how) = @_;
    my $c = $t->connect;
    $c->send("POST $where HTTP/1.1\r\nHost: localhost\r\n" . ($who // '')
        . ($how // 'Content-Length: ' . length $body) . "\r\n"
        . "Expect: 100-continue\r\n\r\n");
    ok($t->wait_until(sub { $c->more(time + 5) unless length $c->{in};
        $c->{in} =~ m{^HTTP/1.1 100 } }), 'a POST whose body is awaited');
    return $c;
}

sub status {
    my ($c, $bytes) = @_;
    $c->send($bytes // $body);
    return $c->response->status;
}

for my $case ([ 'by session', '', $cookie ], [ 'by company', '/realm', '' ]) {
    my ($name, $where, $who) = @$case;
    my @who = $who ? (-jar => $jar) : ();

    $t->sim->reset('journal');

    my @held = map { hold("$where$path", $who) } 1 .. 4;
    is($t->get("$where$path/1", @who, -json => 1)->status, 200,
        "$name: those who can go do") for 1 .. 2;
    is(calls(), 2, '... and have the slots');
    is(join(' ', map { status($_) } @held), '429 429 429 429',
        '... and those who could not have none');
    is(calls(), 2, '... nor did Intuit see them');
}


# -- what nginx says while it reads -------------------------------------------

$t->sim->reset('journal');
is(status(hold("/realm$path", '',
    'Transfer-Encoding: chunked'), sprintf "7d0\r\n%s\r\n0\r\n\r\n",
    'x' x 2000), 413, 'a body that is too large');

my $before = left();
my $c = hold("/realm$path");
$c->send('{');
$c->close;
ok($t->wait_until(sub { left() > $before }), 'a client that leaves');

$before = left();
my $h = Test::Intuit::Http2->new(port => $t->port('8082'));
my $stream = $h->post("/realm$path", undef, 'content-length' => length $body);
$h->settle;
$h->reset($stream);
ok($t->wait_until(sub { left() > $before }), '... over HTTP/2, too');

$stream = $h->post("/realm$path", undef);
$h->settle;
$h->data($stream, $body);
is($h->status($stream), 429, 'a body without a length');
is(calls(), 0, 'Intuit was asked for none of them');


# -- what has changed meanwhile -----------------------------------------------

$c = hold($path, $cookie);
is($t->post('/intuit/logout', '', -jar => $jar, -json => 1)->status, 200,
    'signed out');
is(status($c), 401, '... and what came with the session is not sent');


# -- where the body is not kept -----------------------------------------------

my @held = map { hold("/unbuffered$path") } 1 .. 2;
is($t->get("/unbuffered$path/1", -json => 1)->status, 429,
    'as it comes: the slot is taken before');
isnt(status($_), 429, '... which lets it through') for @held;

done_testing();
