#!/usr/bin/perl

# A client that leaves while its code is exchanged - stop button, closed tab,
# lost network, HTTP/1 or HTTP/2 - loses nothing: the exchange is completed
# once, its outcome is kept, and the same callback brings the session later.
# Nothing that the client held is touched after it has gone.
#
# Rows: CB-02 NGX-P2 NGX-R1 NGX-W1 F-ABU-09

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
        listen 127.0.0.1:%%PORT_8082%% http2;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $realm = '9130347957983546';

sub http_one {
    my ($callback, $cookie) = @_;
    my $c = $t->connect;

    $c->send("GET $callback HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: text/html\r\nCookie: $cookie\r\n\r\n");
    return $c;
}

sub http_two {
    my ($callback, $cookie) = @_;
    my $c = Test::Intuit::Http2->new(port => $t->port('8082'));

    $c->{callback} = $c->get($callback, accept => 'text/html',
        cookie => $cookie);
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
    [ 'HTTP/1, shuts its side', \&http_one, sub {
        shutdown $_[0]->socket, 1;
    } ],
    [ 'HTTP/2, RST_STREAM', \&http_two, sub {
        $_[0]->reset($_[0]{callback});
        ok($_[0]->settle, 'the connection lives on');
    } ],
    [ 'HTTP/2, GOAWAY and closes', \&http_two, sub {
        $_[0]->goaway;
        $_[0]->close;
    } ],
    [ 'HTTP/2, closes', \&http_two, sub { $_[0]->close } ],
    [ 'HTTP/2, two streams, one reset', \&http_two, sub {
        $_[0]{page} = $_[0]->get('/page.html', 'sec-fetch-mode' => 'cors');
        $_[0]->reset($_[0]{callback});
        is($_[0]->status($_[0]{page}), 401, 'the other stream is answered');
    } ],
);

# gone: before the tokens are there, or while the company is read
for my $held (qw(token userinfo)) {
    for my $way (@ways) {
        my ($name, $come, $leave) = @$way;
        my $jar = $t->jar;
        my $r = $t->get('/page.html', -jar => $jar, -browser => 1);
        my $callback = $t->consent($jar, $r->header('Location'),
            realm => $realm);

        $t->sim->reset('journal', 'scripts');
        $t->sim->script({ kind => $held, action => { barrier => 'held' } });

        my $seen = grep { /login succeeded/ } $t->log_lines();
        my $client = $come->($callback, $jar->header_for('/intuit/callback'));

        $t->sim->parked('held');
        $leave->($client);

        # nobody waits any more: nginx has noticed, or will
        $t->sim->release('held');
        ok($t->wait_until(sub { $seen < grep { /login succeeded/ }
            $t->log_lines() }), "$name ($held): the exchange is completed");

        $r = $t->get($callback, -jar => $jar, -browser => 1);
        is($r->status, 302, 'the same callback again');
        is($t->get('/page.html', -jar => $jar)->body, "in\n",
            'brings the session');
        is($t->sim->count(kind => 'token'), 1, 'of the one token call');
    }
}

# what was issued while nobody was there is what serves
my $jar = $t->signed_in(realm => $realm, path => '/page.html');
my $r = $t->get('/v3/company/-/companyinfo/' . $realm, -jar => $jar,
    -json => 1);

is($r->status, 200, 'the connection works');

# over HTTP/2 from end to end, for one that stays
$jar = $t->jar;
$r = $t->get('/page.html', -jar => $jar, -browser => 1);
my $callback = $t->consent($jar, $r->header('Location'), realm => $realm);
my $client = http_two($callback, $jar->header_for('/intuit/callback'));

is($client->status($client->{callback}), 302, 'who stays is answered');

# QUIT while an exchange runs whose client has left: it is brought to its end
$jar = $t->jar;
$r = $t->get('/page.html', -jar => $jar, -browser => 1);
$callback = $t->consent($jar, $r->header('Location'), realm => $realm);

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'token', action => { delay_ms => 500 } });

$client = http_two($callback, $jar->header_for('/intuit/callback'));
$t->sim->wait_for(kind => 'token', count => 1);
$client->reset($client->{callback});
$client->close;

my $seen = grep { /login succeeded/ } $t->log_lines();

$t->stop;
is(grep({ /login succeeded/ } $t->log_lines()), $seen + 1,
    'a worker that ends completes its exchange first');
is($t->sim->count(kind => 'token', status => 200), 1, 'with one token call');

done_testing();
