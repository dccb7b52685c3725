#!/usr/bin/perl

# A connection that nobody uses is refreshed by itself, after half of the life that
# Intuit has stated for its refresh token, and after 30 days at the latest: its
# end is never reached.  The wall clock counts, so that a host that was asleep is
# not late by that; and one worker does it, however many look.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 4;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

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
    }

    intuit_provider slow {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/slow-callback;
        login_uri           /slow-login;
        logout_uri          /slow-logout;
        session_uri         /slow-session;
        cookie_name         slow;
        allow_realm         any;
        probe               off;
        refresh_keepalive   0;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location /slow/ {
            auth_intuit slow;
            root %%DIR%%/html;
        }

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


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

# after such a time: so many refreshes, all in all
sub refreshed {
    my ($forward, $count, $name) = @_;

    clock($forward);
    $t->wait_until(sub { log_has('refresh succeeded') >= $count });
    is(scalar(sent()), $count, $name);
}

# nothing comes: some rounds of every worker's timer go by
sub quiet {
    my ($forward, $name) = @_;
    my $count = sent();
    my $until = time + 3;

    clock($forward);
    $t->wait_until(sub { time >= $until });
    is(scalar(sent()), $count, $name);
}

my ($hour, $day) = (60, 24 * 60);

# never refreshed
$t->signed_in(realm => '4620816365041297150', path => '/slow/index.html');

# a token of 24 hours
$t->sim->script({ kind => 'token', times => -1, action => { merge => {
    x_refresh_token_expires_in => 86400 } } });
$t->signed_in(realm => '9130347957983546');
$t->sim->reset('journal');

quiet(11 * $hour, 'eleven hours of a token of 24: nothing');
refreshed(2 * $hour, 1, 'thirteen: refreshed');
refreshed(13 * $hour, 2, '... and thirteen hours later again');
refreshed(13 * $hour, 3, '... and again');

# a token of 100 days
$t->sim->reset('scripts');
refreshed(13 * $hour, 4, 'one that is stated to live for 100 days now');
quiet(29 * $day, '... lives for 29 days without');
refreshed(2 * $day, 5, '... and is refreshed after 30');
refreshed(31 * $day, 4 + $_, '... a year of it') for 2 .. 13;

# Intuit is down in that moment
$t->sim->script({ kind => 'token', action => { status => 503 } });
clock(31 * $day);
ok($t->wait_until(sub { log_has('refresh failed') }), 'Intuit is down');
refreshed(5, 19, '... and is asked again');

is(call()->status, 200, 'a year and more: the API answers');

my %realm = map { ($_->{realm} // '') => 1 }
    $t->sim->journal(kind => 'token', grant_type => 'refresh_token');
is_deeply([keys %realm], ['9130347957983546'], 'the other was left alone');

done_testing();
