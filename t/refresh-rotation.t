#!/usr/bin/perl

# Intuit gives out a new refresh token about once a day, and the old one is dead
# at once.  The new one is what is sent from then on; an answer without one keeps
# the old; and one that was lost on its way is tried once more, and then called
# what it is.  An answer that speaks of another person ends the connection.
#
# Rows: TK-09 ID-14 BF-07 F-OP-14 F-OP-16

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

sub signs_in {
    $t->sim->config(clock_offset => minutes() * 60);
    $t->signed_in(realm => '9130347957983546');
}

sub expired_call {
    clock(61);
    return call()->status;
}

signs_in();

answer({ rotate => \1 });
is(expired_call(), 200, 'rotated');
is(expired_call(), 200, 'refreshed again');

my @sent = sent();
is(scalar @sent, 2, 'two refreshes');
isnt($sent[1], $sent[0], '... the second with the new token');

answer({ omit => ['refresh_token'] });
is(expired_call(), 200, 'an answer without a refresh token');
is(expired_call(), 200, '... and the next refresh');
@sent = sent();
is($sent[3], $sent[2], '... goes with the one that was there');

# of another person

answer({ merge => { id_token => 'no.jwt.here' } });
is(expired_call(), 200, 'an id_token that says nothing is passed over');

answer({ id_token => { claims => { sub => 'somebody-else' } } });
is(expired_call(), 401, 'an id_token of another person');
ok(log_has('connection has ended: subject_changed'), '... ends it');

signs_in();
answer({ id_token => { claims => { iss => 'https://evil.example' } } });
is(expired_call(), 401, 'an id_token of another issuer');
ok(log_has('connection has ended: issuer_changed'), '... ends it');

# the answer is lost

signs_in();
answer({ rst => \1, effect => \1 });
is(expired_call(), 503, 'an answer is lost');
ok(log_has('it may have reached Intuit'), '... says the log');
is(expired_call(), 200, '... and the same token heals it');

answer({ rotate => \1, rst => \1, effect => \1 });
is(expired_call(), 503, 'an answer with a rotated token is lost');
is(expired_call(), 401, '... the old one is refused');
ok(log_has('connection has ended: rotation_lost'), '... for that reason');

done_testing();
