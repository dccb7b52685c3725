#!/usr/bin/perl

# The attack: the host's clock jumps, by an hour, by ten years, over 2038, and
# back.  The promise: no crash, nobody loses a session for a step back, no token
# lives for ever because it was received by a clock that was wrong, no lease or
# pause lasts for years, and no storm of refreshes.  Intuit's clock goes on as
# ever, and what it holds valid is what is used in the end.
#
# Rows: F-CLK-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

my $REALM = '9130347957983546';
my $POINTS = $t->dir . '/points';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

$t->conf(<<"CONF");
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env INTUIT_POINTS=$POINTS;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    %%TEMP_PATHS%%
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

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

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

my ($HOUR, $DAY, $YEAR) = (60, 24 * 60, 365 * 24 * 60);

mkdir $POINTS or die "$POINTS: $!";
$t->write_file('html/index.html', 'hello');
$t->allow(qr/exited on signal 9/);
$t->sim->config(rotate_after => 0);

clock(0);
start_faked();
my $jar = $t->signed_in(realm => $REALM);
is(call()->status, 200, 'connected');

# backwards

for my $back (1, $HOUR - 1, $DAY) {
    clock(-$back);
    is($t->get('/', -jar => $jar)->body, 'hello', "$back minutes back: signed in");
    is(call()->status, 200, '... and connected');
    served();
}

# forwards and back again

for my $jump ($HOUR + 1, $YEAR, 10 * $YEAR, 13 * $YEAR) {
    # before the clock: it may be refreshed for its age alone, at once
    $t->sim->reset('journal');
    clock($jump);
    served("$jump minutes ahead");
    is(scalar(sent()), 1, '... after one refresh');

    clock(-$jump);
    $t->sim->reset('journal');
    served('and back');
    served('and again');
    cmp_ok(scalar(sent()), '<=', 1, '... with one refresh at most');
}

# to the beginning of time

clock(-now() / 60 + 5);
served('1970');
clock((time - now()) / 60);
served('and back to the present');

# nobody calls, after a jump of ten years and back: it is kept alive

clock(10 * $YEAR);
served('ten years ahead');
my $done = log_has('refresh succeeded');
clock(-10 * $YEAR);
ok($t->wait_until(sub { log_has('refresh succeeded') > $done }),
    'and back: kept alive though nobody calls');
served('and called');

# what was put off, and a lease, by a clock that was wrong

clock(10 * $YEAR);
$t->sim->reset('scripts');
answer({ status => 503 });
call();
clock(-10 * $YEAR);
served('a failure ten years ahead');

# whoever is first: the call, or a worker that keeps the connection alive
$t->write_file('points/before-request', '');
clock(10 * $YEAR + 5);
my $c = $t->connect;
$c->send("GET /v3/company/-/companyinfo/9130347957983546 HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
ok($t->wait_until(sub { !-e "$POINTS/before-request" }), 'killed with the lease');
$t->replaced or die 'no new worker';
clock(-10 * $YEAR - 5);
served('ten years before its end');

done_testing();


# in the end
sub served {
    my ($name) = @_;

    ok($t->wait_until(sub { call()->status == 200 && used() eq valid() }),
        ($name // '... in the end') . ': with the token that Intuit holds valid');
}
