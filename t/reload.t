#!/usr/bin/perl

# A reload costs nobody a login: sessions and connections stay, and so does
# whoever is on the way to Intuit, or whose code is being exchanged by a
# worker that is about to end.
#
# Rows: CK-12 NGX-W2 F-RLD-01 F-RLD-02 F-RLD-03 F-RLD-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('key-old', 'a7' x 32 . "\n", 0600);
$t->write_file('key-new', '5c' x 32 . "\n", 0600);
$t->write_file('html/index.html', "the tool\n");

my $realm = '9130347957983546';

sub conf {
    my (%o) = @_;

    my $keys = join ' ', map { "encryption_key_file %%DIR%%/$_;" }
        @{ $o{keys} // [] };
    my $zone = $o{zone} // '1m';
    my $id = $o{client_id} // 'sim-client-id';
    my $more = $o{more} // '';

    return <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=intuit:$zone;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           $id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         $realm;
        probe               off;
        $keys
    }

    $more

    server {
        listen 127.0.0.1:%%PORT_8080%%;
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
}

sub session_ok {
    my ($jar) = @_;
    return $t->get('/index.html', -jar => $jar, -browser => 1)->status == 200;
}

sub call_ok {
    my ($jar) = @_;
    return $t->get("/v3/company/-/companyinfo/$realm", -jar => $jar,
        -json => 1)->status == 200;
}

sub running { my @workers = $t->children; return scalar @workers }

$t->conf(conf())->start;

my $jar = $t->signed_in(path => '/index.html', realm => $realm);

ok(session_ok($jar) && call_ok($jar), 'signed in');

# between the page and the callback

my $tab = $t->jar;
my $r = $t->get('/index.html', -jar => $tab, -browser => 1);
my $callback = $t->consent($tab, $r->header('Location'), realm => $realm);

ok($t->reload, 'reloaded');
ok(session_ok($jar), 'the session is there');
ok(call_ok($jar), 'and the connection');
is($t->get($callback, -jar => $tab, -browser => 1)->status, 302,
    'who was at Intuit meanwhile comes back');
ok(session_ok($tab), 'and is signed in');

# while the exchange is under way

$t->sim->reset('journal');
$t->sim->script({ kind => 'token', action => { barrier => 'exchange' } });

my $held = $t->jar;
$r = $t->get('/index.html', -jar => $held, -browser => 1);
$callback = $t->consent($held, $r->header('Location'), realm => $realm);

my $c = $t->connect;
$c->send("GET $callback HTTP/1.1\r\nHost: localhost:" . $t->port
    . "\r\nCookie: " . $held->header_for($callback)
    . "\r\nConnection: close\r\n\r\n");
$t->sim->parked('exchange');

ok($t->reload(undef, linger => 1), 'reloaded during an exchange');
cmp_ok(running(), '>', 2, 'the worker that exchanges is kept');
$t->sim->release('exchange');

$r = $c->response;
is($r->status, 302, 'and answers');
ok(session_ok($held->take($r)), 'with a session that the new workers know');
is($t->sim->count(kind => 'token'), 1, 'after one exchange');
ok($t->wait_until(sub { running() == 2 }), 'then the old worker ends');

# a configuration that is no good

$t->allow(qr/no "scope"/);

(my $bad = conf()) =~ s/^\s*scope .*\n//m;

ok(!$t->reload($bad), 'a bad configuration is refused');
ok(session_ok($jar) && call_ok($jar), 'and the old one goes on');

# another size of the zone

$t->allow(qr/cannot be changed by a reload: 1 connections would be lost/);

ok(!$t->reload(conf(zone => '2m')),
    'the zone cannot change its size while it holds connections');
is(scalar(grep { /\[emerg\].*set it back to zone=intuit:1048576, or restart nginx/ }
    $t->log_lines), 1, 'as one line says');
ok(session_ok($jar) && call_ok($jar), 'and the old one goes on');

# other keys, in an order in which they are replaced

ok($t->reload(conf(keys => [ 'key-old' ])), 'an encryption key');

my $sealed = $t->jar;
$r = $t->get('/index.html', -jar => $sealed, -browser => 1);
$callback = $t->consent($sealed, $r->header('Location'), realm => $realm);

ok($t->reload(conf(keys => [ qw(key-new key-old) ])), 'a new one before it');
ok(session_ok($jar), 'sessions do not depend on it');
is($t->get($callback, -jar => $sealed, -browser => 1)->status, 302,
    'a login that the old key sealed goes on');

$r = $t->get('/index.html', -jar => $tab->clear, -browser => 1);
$callback = $t->consent($tab, $r->header('Location'), realm => $realm);

ok($t->reload(conf(keys => [ 'key-old' ])), 'without the new one');
is($t->get($callback, -jar => $tab, -browser => 1)->status, 400,
    'a login that the new key sealed is over');

# another app

$t->sim->control('POST', '/client', { client_id => 'another-client-id',
    client_secret => 'sim-client-secret' });

ok($t->reload(conf(client_id => 'another-client-id')), 'another client_id');
is($t->get('/index.html', -jar => $jar, -json => 1)->status, 401,
    'ends the sessions of the old app');

$r = $t->login($jar, '/index.html', realm => $realm);

ok($r->status == 302 && session_ok($jar), 'who signs in again is in');

ok($t->reload(conf()), 'back to the first app');
ok(session_ok($sealed), 'whose other sessions are as they were');

done_testing();
