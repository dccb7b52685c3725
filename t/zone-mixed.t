#!/usr/bin/perl

# A full zone, and a record of another size than the sessions in it, which were
# used in random order: to give it room one page's sessions end, not those of
# half the zone, which everybody else would wait for, too.

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(shuffle);
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
    intuit_shared_zone zone=small:384k;

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
        root %%DIR%%/html;
        auth_intuit books;

        location = /connect {
            auth_intuit off;
            intuit_connect books;
        }

        location = /status {
            auth_intuit off;
            intuit_status;
        }
    }
}
CONF

my $realm = '9130347957983546';

sub in { $t->get('/index.html', -jar => $_[0], -json => 1)->status == 200 }
sub zone { $t->get('/status', -json => 1)->json->{zone} }

# a callback that is delivered again makes one more session
my ($back, $made);

sub login {
    if ($made++ % 64 == 0) {
        my $jar = $t->jar;
        my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
        $back = [ $t->consent($jar, $r->header('Location'), realm => $realm),
            $jar ];
    }

    my $jar = $back->[1]->clone;
    my $r = $t->get($back->[0], -jar => $jar, -browser => 1);

    return $r->status == 302 ? $jar : die 'login: ', $r->status, $r->body;
}

# so many that the last ones do not find any room

my @jars;

push @jars, login() while zone()->{sessions_evicted} == 0 && @jars < 2000;

cmp_ok(scalar @jars, '>=', 100, 'the zone is full of sessions');

# use counts by the second; all of them, in no order

my $now = time;
$t->wait_until(sub { time > $now });

@jars = shuffle grep { in($_) } @jars;
$now = time;
$t->wait_until(sub { time > $now });
in($_) for @jars;

# companies, which take more room each than a session

my $before = zone()->{sessions_evicted};
my @realms = map { "91303479579836$_" } 60 .. 67;

for my $realm (@realms) {
    my $pair = $t->sim->issue(realm => $realm,
        scope => 'openid email com.intuit.quickbooks.accounting');

    is($t->post('/connect', "realm=$realm&refresh_token=$pair->{refresh_token}",
        -json => 1, 'Content-Type' => 'application/x-www-form-urlencoded')
        ->status, 200, "company $realm is connected");
}

my $gone = zone()->{sessions_evicted} - $before;

cmp_ok($gone, '>', 0, 'sessions had to go');
cmp_ok($gone, '<=', 8 * @realms, "... a page of them each at most ($gone)");
is(scalar(grep { in($_) } @jars), @jars - $gone, 'the others are signed in');

done_testing;
