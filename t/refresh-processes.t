#!/usr/bin/perl

# A refresh that is under way survives a reload and a graceful end; and if the
# worker that is at it is killed, another one takes over once that one's time is
# up: nobody waits for a dead one for ever, and nothing is asked twice.
#
# Rows: NGX-W1 F-RLD-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

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
        connect_timeout     1s;
        read_timeout        2s;
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

$t->conf($conf)->start;

my $api = '/v3/company/-/companyinfo/9130347957983546';

# a token that the gateway takes to live for a second, and Intuit for an hour
sub expired {
    $t->sim->script({ kind => 'token', action => { merge =>
        { expires_in => 1 } } });
    $t->signed_in(realm => '9130347957983546');

    my $until = time + 2;
    $t->wait_until(sub { time >= $until });
    $t->sim->reset('journal', 'scripts');
}

sub asks {
    my $c = $t->connect(timeout => 30);
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nConnection: close\r\n\r\n");
    return $c;
}

# reload

expired();
answer({ barrier => 'reload' });
my @clients = map { asks() } 1 .. 5;
$t->sim->parked('reload');
ok($t->reload($conf, linger => 1), 'a reload in the middle of a refresh');
push @clients, map { asks() } 1 .. 5;
$t->sim->release('reload');

my %status;
$status{$_->response->status}++ for @clients;
is_deeply(\%status, { 200 => 10 }, 'all are served, of the old and the new');
is(scalar(sent()), 1, '... after one refresh');

# a graceful end

$t->wait_until(sub { my @workers = $t->children; @workers == 2 });
$t->stop;
$t->start;
expired();
answer({ delay_ms => 1000, when => 'after' });
my $first = asks();
$t->sim->wait_for(kind => 'token');
$t->stop;
is($first->response->status, 200, 'QUIT in the middle of a refresh: served');
is(scalar(sent()), 1, '... after that refresh');

# the worker that is at it

$t->start;
expired();
answer({ barrier => 'killed' });
$first = asks();
$t->sim->parked('killed');

# whose request is it?
my ($owner) = map { /(\d+)#\d+: intuit asks, intuit job: refresh/ ? $1 : () }
    reverse $t->log_lines;
ok((grep { $_ == $owner } $t->workers), 'one worker is at it');
$t->kill_worker($owner, 'KILL');
$t->sim->release('killed');

@clients = map { asks() } 1 .. 5;
%status = ();
$status{$_->response->status}++ for @clients;
is_deeply(\%status, { 200 => 5 }, 'killed: another worker takes over');
is(scalar(sent()), 2, '... with one more refresh');
ok(log_has('left unfinished by another worker'), '... says the log');

done_testing();
