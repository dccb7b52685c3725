#!/usr/bin/perl

# Whatever Intuit's token endpoint answers to a refresh, if it is no pair of
# tokens the stored one stays as it is: requests go on with the access token as
# long as it lasts, then get a 503 that says when to come again; Intuit is not
# asked again before the back-off; and all is well once Intuit is.  A pair that
# is replaced or dropped for a broken answer would cost the company a new consent.
#
# Rows: TK-05 TK-15 F-OP-05 F-OP-07

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
worker_processes 1;
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
        read_timeout        3s;     # a busy machine answers, too
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


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

my $tokens = '"token_type":"bearer","expires_in":3600,'
    . '"refresh_token":"RT1-other-other-other-other"';

# [ what comes, how, the word in the log ]
my @answers = (
    [ '500', { status => 500 }, 'server_error' ],
    [ '503', { status => 503 }, 'server_error' ],
    [ '204', { status => 204 }, 'refused' ],
    [ '302', { redirect => 'http://127.0.0.1:9/' }, 'refused' ],
    [ '403, not of Intuit', { status => 403, body => '<html>no</html>' },
        'refused' ],
    [ '418', { status => 418 }, 'refused' ],
    [ '429', { status => 429 }, 'throttled' ],
    [ 'HTML', { status => 200, body => '<html>maintenance</html>' },
        'invalid_answer' ],
    [ 'nothing', { status => 200, body => '' }, 'invalid_answer' ],
    [ 'a part', { close_after => 30 }, 'no_answer' ],
    [ '10 MB', { pad => 10 * 1024 * 1024 }, 'no_answer' ],
    [ 'an object 20,000 levels deep', { status => 200,
        body => '[' x 20000 }, 'invalid_answer' ],
    [ 'a member twice', { status => 200, body =>
        qq({"access_token":"one","access_token":"two",$tokens}) },
        'invalid_answer' ],
    [ 'a NUL', { status => 200, body =>
        qq({"access_token":"one\\u0000",$tokens}) }, 'invalid_answer' ],
    [ 'a line break in the token', { status => 200, body =>
        qq({"access_token":"one\\r\\nX-Evil: 1",$tokens}) },
        'invalid_answer' ],
    [ 'no access token', { omit => ['access_token'] }, 'invalid_answer' ],
    [ 'an expires_in of 0', { merge => { expires_in => 0 } },
        'invalid_answer' ],
    [ 'an empty refresh token', { merge => { refresh_token => '' } },
        'invalid_answer' ],
    [ 'an error with 200', { status => 200, body =>
        qq({"error":"invalid_grant","access_token":"one",$tokens}) },
        'invalid_answer' ],
    [ 'a reset', { rst => \1 }, 'no_answer' ],
    [ 'silence', { hang => \1 }, 'no_answer' ],
);

$t->signed_in(realm => '9130347957983546');

for (@answers) {
    my ($name, $action, $word) = @$_;

    $t->sim->reset('journal', 'scripts');
    answer($action, 2);

    is(call()->status, 200, "$name: before it");
    my $token = used();
    my $failures = log_has("refresh failed: $word");

    # about to expire
    clock(57);
    is(call()->status, 200, "$name: still valid, the request goes on");
    is(used(), $token, '... with the token that was there');
    ok($t->wait_until(sub {
        log_has("refresh failed: $word") == $failures + 1 }), "... $word");

    is(call()->status, 200, '... and goes on');
    is(scalar(sent()), 1, '... without asking again');

    # expired
    clock(4);
    my $r = call();
    is($r->status, 503, "$name: expired, 503");
    like($r->header('Retry-After'), qr/^\d+$/, '... with Retry-After');
    is($r->json->{error}, 'temporarily_unavailable', '... and its word');
    is(call()->status, 503, '... also the next');
    is(scalar(sent()), 2, '... without asking again');

    # over
    clock(3);
    is(call()->status, 200, "$name: healed");
    isnt(used(), $token, '... with a new token');

    my %sent = map { $_ => 1 } sent();
    is(scalar keys %sent, 1, '... for the same refresh token');
}

ok(!log_has('connection has ended'), 'nothing has ended');

done_testing();
