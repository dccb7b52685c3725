#!/usr/bin/perl

# The attack: a disk that takes its time, and a reload with another zone size.
# The worker that waits for the disk serves everybody else meanwhile, nobody
# gets a token that is not yet in its file, and a new zone is filled from the
# files.
#
# Rows: F-DSK-08

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Fcntl qw(:flock);

my $t = Test::Intuit->new();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);
$t->write_file('html/open.html', "open\n");

sub configured {
    my ($size) = @_;

    return <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=intuit:$size;

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

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /open.html {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF
}

$t->conf(configured('1m'))->start;

# whoever holds this lock is a disk that does not answer
open my $lock, '>', "$STATE/.lock" or die "$STATE/.lock: $!";
flock $lock, LOCK_EX or die $!;

my $jar = $t->jar;
my $page = $t->get('/', -jar => $jar, -browser => 1);
my $callback = $t->consent($jar, $page->header('Location'), realm => $REALM);

my $c = $t->connect;
$c->send("GET $callback HTTP/1.1\r\nHost: localhost:" . $t->port
    . "\r\nCookie: " . $jar->header_for($callback)
    . "\r\nConnection: close\r\n\r\n");

ok($t->wait_until(sub { waits_for_lock() }), 'the login waits for the disk');

is($t->get('/open.html')->body, "open\n", 'the worker does not');
is($t->get($API, -json => 1)->json->{error}, 'not_connected',
    'nobody uses what is not saved');

flock $lock, LOCK_UN;

my $r = $c->response;
is($r->status, 302, 'then the login ends');
is($t->get($API, -json => 1)->status, 200, 'and the company is connected');

ok($t->reload(configured('2m')), 'a reload with another zone size');
is($t->get($API, -json => 1)->status, 200, 'the company is still connected');
is($t->get('/', -jar => $jar->take($r), -json => 1)->status, 401,
    'its sessions are not');

my @files = glob "$STATE/*.state";
ok($t->reload(configured('2m')), 'a plain reload');
is($t->get($API, -json => 1)->status, 200, 'changes nothing');
is_deeply([ glob "$STATE/*.state" ], \@files, 'in the files either');
is($t->sim->count(kind => 'token'), 1, 'and Intuit was asked once');

done_testing();


# a thread of the worker, in flock()
sub waits_for_lock {
    open my $fh, '<', '/proc/locks' or return 1;
    my ($worker) = $t->workers;
    return scalar grep { /-> FLOCK .* $worker / } <$fh>;
}
