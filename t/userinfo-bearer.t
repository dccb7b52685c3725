#!/usr/bin/perl

# A program with an access token of its own, and no cookie, learns from session_uri
# whose it is: Intuit is asked, and its answer is passed on.  A token that Intuit
# refuses is refused; whoever is signed in by cookie gets the session document.
#
# Rows: TK-05 UI-01 UI-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

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

my $token = $t->sim->issue(realm => '9130347957983546',
    scope => 'openid email com.intuit.quickbooks.accounting')->{access_token};

sub ask {
    my ($token, @more) = @_;
    return $t->get('/intuit/session', Authorization => "Bearer $token", @more);
}

my $r = ask($token);
is($r->status, 200, 'a token of its own');
is($r->json->{email}, 'ada@example.com', '... is told whose it is');
like($r->header('Cache-Control'), qr/no-store/, '... and nobody keeps it');
ok(!defined $r->header('Set-Cookie'), '... no session is made');

my ($entry) = $t->sim->journal(kind => 'userinfo');
is($entry->{headers}{authorization}, "Bearer $token", 'Intuit was asked');

$r = ask('not-a-token-of-anybody-at-all');
is($r->status, 401, 'a token that Intuit refuses');
is($r->json->{error}, 'invalid_token', '... its word');
is($r->header('WWW-Authenticate'), 'Bearer error="invalid_token"',
    '... as RFC 6750 has it');

# [ what comes, how, status, word ]
my @answers = (
    [ 'an error', { status => 500 }, 503, 'temporarily_unavailable' ],
    [ 'HTML', { status => 200, body => '<html>' }, 502, 'invalid_answer' ],
    [ 'nobody', { status => 200, body => '{}' }, 502, 'invalid_answer' ],
    [ 'a reset', { rst => \1 }, 503, 'temporarily_unavailable' ],
    [ 'a redirect', { redirect => 'http://127.0.0.1:9/' }, 502,
        'invalid_answer' ],
);

for (@answers) {
    my ($name, $action, $status, $word) = @$_;

    $t->sim->script({ kind => 'userinfo', action => $action });
    $r = ask($token);
    is($r->status, $status, "Intuit answers with $name");
    is($r->json->{error}, $word, '... its word');
}

# the client leaves

$t->sim->reset('journal');
$t->sim->script({ kind => 'userinfo', action => { barrier => 'held' } });
my $c = $t->connect;
$c->send("GET /intuit/session HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: Bearer $token\r\n\r\n");
$t->sim->parked('held');
$c->close;
is(ask($token)->status, 200, 'one client leaves, the next is answered');
$t->sim->release('held');
$t->sim->wait_for(kind => 'userinfo', count => 2, answered => 1);

# with a session

my $jar = $t->signed_in(realm => '9130347957983546',
    user => 'bob@example.com');
my $before = $t->sim->count(kind => 'userinfo');
$r = ask($token, -jar => $jar);
is($r->json->{email}, 'bob@example.com', 'a cookie: the session document');
is($t->sim->count(kind => 'userinfo'), $before, '... and Intuit is not asked');

is($t->get('/intuit/session', Authorization => 'Basic eDp5', -json => 1)
    ->status, 401, 'other credentials are none');
is(ask('two words')->status, 401, 'nor is a token with a space');
is(ask('x' x 5000)->status, 401, 'nor one that is too long');
is($t->sim->count(kind => 'userinfo'), $before, '... Intuit is not asked');

done_testing();
