#!/usr/bin/perl

# Who says "Retry-After" is left alone for that long: all companies of the
# provider, in all workers, also after a reload, and clients are told when to
# come again.  Nonsense there is worth nothing, and no number puts anybody off for
# more than ten minutes: a slip of Intuit's must not end a connection.
#
# Rows: F-OP-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(my $conf = <<'CONF');
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

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location /v3/company/193514292156789/ {
            intuit_proxy books realm=193514292156789;
        }
    }
}
CONF


clock(0);

start_faked();

my $other = '/v3/company/193514292156789/companyinfo/193514292156789';

$t->signed_in(realm => '9130347957983546');
$t->signed_in(realm => '193514292156789', user => 'bob@example.com');

# 61 minutes on, both companies need a refresh, and the first one is put off
sub put_off {
    my ($name, $status, $value, $wait) = @_;

    $t->sim->reset('journal', 'scripts');
    clock(61);
    answer({ status => $status, headers => { 'Retry-After' => $value } });

    my $r = call();
    is($r->status, 503, "$name: 503");
    is($r->header('Retry-After'), $wait, '... the client is told how long')
        if $wait;
    return $r;
}

sub held {
    my ($name) = @_;
    my %status;

    $status{$t->get($_, -json => 1)->status}++
        for (('/v3/company/-/companyinfo/9130347957983546', $other) x 8);
    is_deeply(\%status, { 503 => 16 }, "... $name, for both companies");
    is(scalar(sent()), 1, '... and Intuit is left alone');
}

sub healed {
    my ($name) = @_;
    is(call()->status, 200, "... $name: healed");
    is($t->get($other, -json => 1)->status, 200, '... the other as well');
    is(scalar(sent()), 3, '... by one refresh each');
}

for my $status (429, 503) {
    put_off("$status, 300 seconds", $status, '300', 300);
    held('at once');
    clock(4);
    is($t->get($other, -json => 1)->header('Retry-After'), 60,
        '... less after four minutes');
    $t->reload($conf) if $status == 503;
    held($status == 503 ? 'also after a reload' : 'still');
    clock(1);
    healed('after five minutes');
}

my $date = POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT',
    gmtime(now() + (61 + 2) * 60));
put_off("429, a date", 429, $date, 120);
held('at once');
clock(2);
healed('then');

put_off('503, 10^9 seconds', 503, '1000000000', 600);
clock(9);
held('after nine minutes');
clock(1);
healed('after ten minutes');

put_off('429, a year that is far away', 429, 'Thu, 01 Jan 2099 00:00:00 GMT',
    600);
clock(10);
healed('after ten minutes');

for my $value ('soon', '-5', '0', '', 'Thu, 01 Jan 1970 00:00:00 GMT') {
    my $r = put_off("429, \"$value\"", 429, $value);
    cmp_ok($r->header('Retry-After'), '<=', 60, '... the usual pause');
    is($t->get($other, -json => 1)->status, 200,
        '... for this company only');
    clock(2);
    is(call()->status, 200, '... healed');
}

ok(!log_has('connection has ended'), 'nothing has ended');

done_testing();
