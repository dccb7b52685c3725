#!/usr/bin/perl

# The attack: a thousand requests at once over four workers, on a token that has
# expired; Intuit gives out a new refresh token and the old one is dead at once,
# so that a second refresh would cost the company its connection.  The promise:
# exactly one, and a thousand answers with the new token.  Also while the token
# endpoint is slow, while nginx reloads, while the client that started it goes
# away, and while the worker that is at it is killed.
#
# Rows: TK-16 F-ABU-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Crowd;
use Test::Intuit::Http2;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $N = 1000;
my $SOME = $ENV{TEST_ALL} ? $N : 200;

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";

my $POINTS = $t->dir . '/points';

mkdir $POINTS or die "$POINTS: $!";
$t->allow(qr/exited on signal 9/);

$t->write_secret('secret', 'sim-client-secret');

my $CONF = <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 4;
env INTUIT_POINTS=$POINTS;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {
    worker_connections 4096;
}

http {
    access_log off;

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
        connect_timeout     2s;
        read_timeout        10s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% backlog=4096 reuseport;
        listen 127.0.0.1:%%PORT_8082%% http2;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
            add_header X-Worker \$pid always;
        }
    }
}
CONF

$t->conf($CONF);
forward(0);
start_faked();
$t->sim->config(rotate_after => 0);
$t->signed_in(realm => $REALM);

# at once

expired();
refreshed_once('at once', crowd($t, $N, $API));

# while the token endpoint is slow

expired();
answer({ barrier => 'slow', rotate => \1 });
my @crowd = crowd($t, $N, $API);
$t->sim->parked('slow');
$t->sim->release('slow');
refreshed_once('a slow endpoint', @crowd);

# while nginx reloads

expired();
answer({ barrier => 'reload', when => 'after', rotate => \1 });
@crowd = crowd($t, $SOME / 2, $API);
$t->sim->parked('reload');
ok($t->reload($CONF, linger => 1), 'a reload in the middle of it');
push @crowd, crowd($t, $SOME / 2, $API);
$t->sim->release('reload');
refreshed_once('a reload', @crowd);
$t->wait_until(sub { my @workers = $t->children; @workers == 4 });

# the client that has started it goes away

for my $how (qw(close RST_STREAM GOAWAY)) {
    expired();
    answer({ barrier => 'left', when => 'after', rotate => \1 });

    my ($first) = $how eq 'close' ? crowd($t, 1, $API)
        : Test::Intuit::Http2->new(port => $t->port('8082'));
    my $stream = $how eq 'close' ? undef
        : $first->get($API, accept => 'application/json');

    $t->sim->parked('left');
    @crowd = crowd($t, $SOME, $API);

    $first->reset($stream) if $how eq 'RST_STREAM';
    $first->goaway if $how eq 'GOAWAY';
    $first->close if $how ne 'RST_STREAM';

    $t->sim->release('left');
    refreshed_once("its client leaves, $how", @crowd);
}

# the worker that is at it is killed

for my $point (qw(lease-taken before-request before-release)) {
    expired();
    $t->write_file("points/$point", '');
    @crowd = crowd($t, $SOME, $API);

    ok($t->wait_until(sub { !-e "$POINTS/$point" }), "killed at $point");
    $t->replaced or die "no new worker";

    my ($status) = crowd_statuses(60, @crowd);
    my $lost = delete $status->{0} // 0;

    is_deeply($status, { 200 => $SOME - $lost }, '... the others are served');
    is(call()->status, 200, '... and who comes later');
    is(scalar(sent()), 1, '... after one refresh');
    is_deeply(tokens_used(), [ valid() ], '... with the new token');
}

done_testing();


sub expired {
    forward(61);
    $t->sim->reset('journal', 'scripts');
}

sub refreshed_once {
    my ($name, @sockets) = @_;

    my ($status, $worker) = crowd_statuses(60, @sockets);

    is_deeply($status, { 200 => scalar @sockets }, "$name: all are served");
    ok(keys %$worker >= 4, '... by all workers');
    is(scalar(sent()), 1, '... after one refresh');
    is_deeply(tokens_used(), [ valid() ], '... with the new token');
}

sub tokens_used {
    my %used = map { ($_->{headers}{authorization} =~ s/^Bearer //r) => 1 }
        grep { $_->{path} =~ /companyinfo/ } $t->sim->journal(kind => 'api');
    return [ keys %used ];
}
