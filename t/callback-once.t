#!/usr/bin/perl

# One code, one exchange, however often and however concurrently its callback
# arrives (reload, double click, a browser that retries).  Each delivery that
# has the attempt's cookie gets a session of its own; one without it gets
# nothing but the way to where its session already is.
#
# Rows: CB-02 CB-16 TK-12 NGX-W3 F-OP-20

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    log_format worker '$pid $uri';
    access_log %%DIR%%/logs/access-worker.log worker;

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
        # reuseport spreads the connections over both workers
        listen 127.0.0.1:%%PORT_8080%% reuseport;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $realm = '9130347957983546';

sub begin {
    my $jar = $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, -browser => 1);

    return ($jar, $t->consent($jar, $r->header('Location'), realm => $realm));
}

# sends without waiting for the answer
sub deliver {
    my ($callback, $jar) = @_;
    my $c = $t->connect;
    my $cookie = $jar->header_for('/');

    $c->send("GET $callback HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: text/html\r\nConnection: close\r\n"
        . (defined $cookie ? "Cookie: $cookie\r\n" : '') . "\r\n");
    return $c;
}

# the session that an answer brought, when it opens the page
sub session {
    my ($r) = @_;
    my $jar = $t->jar->take($r);

    return undef if $r->status != 302 || !$jar->get('__Host-intuit');
    return undef if $t->get('/page.html', -jar => $jar)->body ne "in\n";
    return $jar->get('__Host-intuit');
}

sub distinct { my %seen = map { $_ => 1 } @_; return scalar keys %seen }

# -- one after the other

my ($jar, $callback) = begin();
my $before = $jar->clone;
my $r = $t->get($callback, -jar => $jar, -browser => 1);
my $first = session($r);

ok($first, 'the first delivery gets a session');

$r = $t->get($callback, -jar => $jar, -browser => 1);
is($r->status, 302, '"Back", signed in and without the cookie: a redirect');
is($r->path, '/', 'to the site');
is($r->header('Set-Cookie'), undef, 'and no other session');
is($t->get('/page.html', -jar => $jar)->body, "in\n", 'the one there lives');

$r = $t->get($callback, -jar => $before->clone, -browser => 1);
my $second = session($r);

ok($second, 'delivered again with the cookie it gets a session');
isnt($second, $first, 'of its own');
is($t->get('/page.html', -jar => $jar)->body, "in\n",
    'beside that of the first');

is($t->get($callback, -jar => $t->jar, -browser => 1)->status, 400,
    'anybody else gets 400');
is($t->sim->count(kind => 'token'), 1, 'one token call');

# -- at the same time

$t->sim->reset('journal');
$t->sim->script({ kind => 'token', action => { barrier => 'held' } });

($jar, $callback) = begin();

my @waiting = deliver($callback, $jar);
$t->sim->parked('held');
push @waiting, map { deliver($callback, $jar) } 1 .. 3;

is(deliver($callback, $t->jar)->response->status, 400,
    'others are refused while the exchange runs');

$t->sim->release('held');

my @sessions = map { session($_->response) } @waiting;

is(scalar(grep { defined } @sessions), 4, 'all who have the cookie get in');
is(distinct(@sessions), 4, 'each with a session of its own');
is($t->sim->count(kind => 'token'), 1, 'one token call');

# -- a crowd, on both workers, and the exchange fails for none of them

$t->sim->reset('journal');
$t->sim->script({ kind => 'token', action => { barrier => 'crowd' } });

($jar, $callback) = begin();

@waiting = map { deliver($callback, $jar) } 1 .. 50;
$t->sim->parked('crowd');
$t->sim->release('crowd');

@sessions = map { session($_->response) } @waiting;

is(scalar(grep { defined } @sessions), 50, 'a crowd of fifty gets in');
is(distinct(@sessions), 50, 'with fifty sessions');
is($t->sim->count(kind => 'token'), 1, 'one token call');
is($t->sim->count(kind => 'userinfo'), 1, 'one of everything');

my %worker = map { /^(\d+) \/intuit\/callback/ ? ($1 => 1) : () }
    $t->log_lines('logs/access-worker.log');

is(scalar keys %worker, 2, 'at both workers');

# -- the exchange fails: nobody tries the code a second time

$t->sim->reset('journal');
$t->sim->script({ kind => 'token', times => -1,
    action => { barrier => 'bad', status => 400,
                json => { error => 'invalid_grant' } } });

($jar, $callback) = begin();

@waiting = map { deliver($callback, $jar) } 1 .. 10;
$t->sim->parked('bad');
$t->sim->release('bad', open => 1);

is(distinct(map { $_->response->status } @waiting), 1, 'all are told the same');
is(deliver($callback, $jar)->response->status, 400, 'also who comes later');
is($t->sim->count(kind => 'token'), 1, 'one token call');

$t->sim->reset('scripts');
$jar = $t->jar;
is($t->login($jar, '/page.html', realm => $realm)->status, 302,
    'the next login works');

done_testing();
