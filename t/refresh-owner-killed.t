#!/usr/bin/perl

# The promise: whoever waits for a refresh whose worker is killed waits no
# longer than he must: another worker takes it over when the process is gone,
# and not when its time would have been up.  But a request that Intuit may be
# working on never meets a second one, and a worker that lives is waited for.
# The attack: a lease of half an hour, and the kill before the request was sent,
# after that, and after the answer was noted.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

use Time::Piece ();

my $REALM = '9130347957983546';

my $t = Test::Intuit->new(sim => ['--access-ttl', 1, '--rotate-after', 0]);
watch($t);

my $POINTS = $t->dir . '/points';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env INTUIT_POINTS=$POINTS;

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

        connect_timeout      14m;       # a lease is twice that, and
        read_timeout         8s;        # this, which an answer may take

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% reuseport;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF

plan(skip_all => 'a release has no points')
    if $t->variant eq 'release';

$t->allow(qr/exited on signal 9/);
mkdir $POINTS or die "$POINTS: $!";
$t->start;
$t->signed_in(realm => $REALM);

sub refreshes { $t->sim->journal(kind => 'token', grant_type => 'refresh_token') }

# on a slow machine a new token may have ended, too, before all are served
sub twice {
    my %n;
    $n{$_}++ for sent();
    return scalar grep { $_ > 1 } values %n;
}

sub asks {
    my $c = $t->connect;
    $c->send("GET /v3/company/-/companyinfo/$REALM HTTP/1.1\r\n"
        . "Host: localhost\r\nAccept: application/json\r\n"
        . "Connection: close\r\n\r\n");
    return $c;
}

sub expired {
    my $over = time + 3;
    $t->wait_until(sub { time >= $over });
    $t->sim->reset('journal', 'scripts');
}

sub seconds {
    my ($call) = @_;
    return Time::Piece->strptime($call->{time} =~ s/\..*//r,
        '%Y-%m-%dT%H:%M:%S')->epoch;
}

sub statuses {
    my %n = map { ($_ ? $_->status : 0) => 1 } map { scalar $_->response } @_;
    delete $n{0};       # the killed one's clients
    return join ' ', sort keys %n;
}

for my $point ('lease-taken', 'file-locked', 'before-request', 'answer-noted') {

    expired();
    $t->write_file("points/$point", '');

    my @clients = map { asks() } 1 .. 8;
    ok($t->wait_until(sub { !-e "$POINTS/$point" }), "killed at $point");
    $t->replaced or die 'no new worker';

    is(statuses(@clients, asks()), 200, '... the others are served');
    is(twice(), 0, '... and no token was sent twice');
}


# -- Intuit may be working on it ----------------------------------------------

sub owner {
    my ($pid) = map { /(\d+)#\d+: intuit asks, intuit job: refresh/ ? $1 : () }
        reverse $t->log_lines;
    return $pid;
}

expired();
$t->sim->config(rotate_after => 1000);
answer({ barrier => 'sent' });

my @clients = map { asks() } 1 .. 8;
$t->sim->parked('sent');
ok(kill('KILL', owner()), 'killed while Intuit works');
$t->replaced or die 'no new worker';
$t->sim->release('sent');

is(statuses(@clients, asks()), 200, '... the others are served');

my ($first) = sent();
my @sent = grep { $_->{body} =~ /refresh_token=\Q$first\E(?:&|$)/ } refreshes();
is(scalar(@sent), 2, '... after a second request');
cmp_ok(seconds($sent[1]) - seconds($sent[0]), '>=', 8,
    '... which did not come while the first could be answered');


# -- a worker that lives ------------------------------------------------------

expired();
answer({ barrier => 'slow' });

@clients = map { asks() } 1 .. 8;
$t->sim->parked('slow');
ok(kill('STOP', my $owner = owner()), 'stopped for a while');
my $later = time + 2;
$t->wait_until(sub { time >= $later });
is(scalar(refreshes()), 1, '... it is waited for');
$t->sim->release('slow');
ok(kill('CONT', $owner), '... and goes on');
is(statuses(@clients), 200, '... all are served');
is(twice(), 0, '... and no token was sent twice');

done_testing();
