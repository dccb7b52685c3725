#!/usr/bin/perl

# A zone that is full makes room by ending the session that was idle for the
# longest time, and says so once; connections never go, and anonymous
# requests take no place at all.  A worker that is killed takes nothing along.
#
# The debug build verifies the whole zone whenever it is unlocked: damage
# would end a worker.
#
# Rows: F-SHM-01 F-SHM-02 F-ABU-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log warn;
worker_processes 1;

events {}

http {
    access_log off;
    keepalive_requests 100000;
    intuit_shared_zone zone=small:256k;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;

        location /v3/company/ {
            intuit_proxy books;
        }

        location /batch/ {
            auth_intuit off;
            rewrite ^/batch(/.*) $1 break;
            intuit_proxy books realm=193514292156789;
        }
    }
}
CONF

my @realms = qw(9130347957983546 193514292156789);

sub in { $t->get('/index.html', -jar => $_[0], -json => 1)->status == 200 }
sub warnings { scalar grep { /\[warn\].*"small" is full/ } $t->log_lines }

# Use counts by the second.
sub works {
    my ($jar) = @_;
    my $now = time;
    $t->wait_until(sub { time > $now });
    return in($jar);
}

# How often people may sign in is bounded, how many are in is what counts
# here: a callback that is delivered again makes one more session, up to
# sixty-four of one login.
my (%back, %made);

sub login {
    my ($realm) = @_;

    my $back = $back{$realm} //= do {
        my $jar = $t->jar;
        my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
        [ $t->consent($jar, $r->header('Location'), realm => $realm), $jar ];
    };

    delete $back{$realm} if ++$made{$realm} % 64 == 0;

    my $jar = $back->[1]->clone;
    my $r = $t->get($back->[0], -jar => $jar, -browser => 1);

    return $r->status == 302 ? $jar : die 'login: ', $r->status, $r->body;
}

# a company that nobody asks for any more, and somebody who works

my $once = login($realms[1]);
my $busy = login($realms[0]);
my @idle = map { login($realms[0]) } 1 .. 3;

ok(in($busy) && in($once) && !(grep { !in($_) } @idle), 'all are signed in');

# anonymous traffic: a login is not known to the zone until it comes back

my $c = $t->connect;
my $started = 0;

for (1 .. 5000) {
    my $r = $t->get('/index.html', -browser => 1, -connection => $c);
    $started++ if $r->status == 302;
}

is($started, 5000, 'five thousand logins are begun');
is(warnings(), 0, 'and nothing had to make room');
ok(in($busy) && in($once) && !(grep { !in($_) } @idle), 'nobody was signed out');

$t->get('/intuit/callback?code=a&state=' . Test::Intuit::Sim::escape(
    substr sprintf('%043d', $_), 0, 43), -connection => $c) for 1 .. 500;

is(warnings(), 0, 'nor for callbacks that nobody asked for');

# fill it, while one of them works

my @more;

ok(works($busy), 'somebody works');

while (warnings() == 0 && @more < 2000) {
    push @more, login($realms[0]);
}

ok(warnings(), 'the zone is full after ' . @more . ' sessions');
like((grep { /is full/ } $t->log_lines)[0],
    qr/\d+ sessions evicted; make intuit_shared_zone larger/,
    'a line says what to do');
ok(works($busy), 'who works stays');
ok(!in($once), 'who was idle for the longest time has gone');
ok(in($more[-1]), 'the newest is there');

push @more, map { login($realms[0]) } 1 .. 30;

cmp_ok(warnings(), '<=', 2, 'it is not said for every session');
ok(in($busy), 'who works still stays');
ok(!(grep { in($_) } @idle), 'the next ones have gone');

is($t->get("/batch/v3/company/-/companyinfo/$realms[1]", -json => 1)->status,
    200, 'the connection without sessions is there');
is($t->get("/v3/company/-/companyinfo/$realms[0]", -jar => $busy,
    -json => 1)->status, 200, 'and the other one');

# a worker is killed

my @there = grep { in($_) } @more;

$t->kill_worker;

is(scalar(grep { !in($_) } $busy, @there), 0,
    'a killed worker takes no session along');
is($t->get("/v3/company/-/companyinfo/$realms[0]", -jar => $busy,
    -json => 1)->status, 200, 'nor the connection');
is($t->get('/index.html', -jar => login($realms[0]))->status, 200,
    'and its successor lets people in');

done_testing();
