#!/usr/bin/perl

# The zone is full of companies, and a refresh brings longer tokens, for which there
# is no room any more; Intuit holds nothing else valid.  The promise: they are in
# their file; the worker does not try for ever, taking memory each time;
# nobody sends Intuit the token that was replaced; and a larger zone has them.
#
# Rows: F-SHM-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'c0ffee' x 10 . 'beef');

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=intuit:SIZE;
    intuit_limit off;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
        connect_timeout      1s;
        read_timeout         3s;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

$t->allow(qr/intuit state_path ".*" cannot be used \(take over\)/);
$t->conf($conf =~ s/SIZE/256k/r)->start;

sub import_token {
    my ($realm) = @_;
    my $token = $t->sim->issue(realm => $realm,
        scope => 'com.intuit.quickbooks.accounting')->{refresh_token};

    return $t->post('/connect', "realm=$realm&refresh_token=$token",
        -json => 1, 'Content-Type' => 'application/x-www-form-urlencoded')
        ->status;
}

$t->sim->script({ kind => 'token', action => { merge => { expires_in => 1 } } });
is(import_token('9130347957983546'), 200, 'a company is connected');

my $n = 0;
$n++ while $n < 400 && import_token('70000000000' . (10000 + $n)) == 200;
ok($n > 20 && $n < 400, "and $n others, for more there is no room");

$t->sim->config(access_bytes => 4000, rotate_after => 0);
$t->sim->reset('journal');

is(call()->status, 503, 'a refresh for which there is no room');
ok(log_has('refresh could not be saved: no room in the shared zone'),
    'says the log');
is(scalar(sent()), 1, 'Intuit was asked');

is(call()->status, 503, 'nor is there later') for 1 .. 2;
is(scalar(sent()), 1, 'and the token that was replaced is not sent');

my ($file) = sort { -M $a <=> -M $b } glob $t->dir . '/state/*.state';
ok($t->wait_until(sub { my $m = (stat $file)[9]; $m && time - $m > 2 }, 30),
    'the file is left alone');

$t->stop;
$t->conf($conf =~ s/SIZE/1m/r)->start;

is(call()->status, 200, 'a larger zone has room');
is(used(), valid(), '... for the token that Intuit holds valid');
is(scalar(sent()), 1, '... which is in the file');

done_testing();
