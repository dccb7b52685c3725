#!/usr/bin/perl

# A login without a company (scope "openid email"): its tokens live in the
# session and are shared with nobody, and no company is taken from anywhere -
# not from the callback's address, and not from an id_token that names one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit staff;

        location / {
            add_header X-User $intuit_claim_email;
            add_header X-Realm $intuit_realm_id;
            root %%DIR%%/html;
        }

        # who Intuit takes the bearer of the session's token for
        location = /v1/openid_connect/userinfo {
            proxy_pass %%SIM%%;
            proxy_set_header Authorization "Bearer $intuit_access_token";
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $realm = '9130347957983546';

sub owner {
    my ($jar) = @_;
    my $r = $t->get('/v1/openid_connect/userinfo', -jar => $jar);

    return ($r->json // {})->{email} // $r->status;
}

sub login {
    my ($user, $more) = @_;
    my $jar = $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'), user => $user);

    unlike($callback, qr/realmId/, 'Intuit names no company');
    $r = $t->get($callback . ($more // ''), -jar => $jar, -browser => 1);
    is($r->status, 302, "$user signs in");

    return $jar;
}

sub both_apart {
    my ($name, $ada, $bob) = @_;

    for ([ $ada, 'ada@example.com' ], [ $bob, 'bob@example.com' ]) {
        my ($jar, $user) = @$_;
        my $r = $t->get('/page.html', -jar => $jar);

        is($r->body, "in\n", "$name: in");
        is($r->header('X-User'), $user, "as $user");
        is($r->header('X-Realm'), undef, 'of no company');
        is(owner($jar), $user, 'with a token of their own');
    }
}

both_apart('a login', login('ada@example.com'), login('bob@example.com'));

both_apart('a company in the address',
    login('ada@example.com', "&realmId=$realm"),
    login('bob@example.com', "&realmId=$realm"));

# signed by Intuit, but not what this login is about: were it taken for the
# company of a connection, its people would share one person's token

$t->sim->script({ kind => 'token', times => -1,
    action => { id_token => { claims => { realmid => $realm } } } });

both_apart('a company in the id_token', login('ada@example.com'),
    login('bob@example.com'));

both_apart('a company in both',
    login('ada@example.com', "&realmId=$realm"),
    login('bob@example.com', "&realmId=$realm"));

is($t->sim->count(kind => 'api'), 0, 'the API was never asked');

done_testing();
