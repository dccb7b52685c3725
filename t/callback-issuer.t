#!/usr/bin/perl

# The issuer in the callback (RFC 9207) says which server answered, against
# mix-up attacks: it has to be there when the discovery document promises it,
# and whenever it is there it has to be the issuer's, byte by byte.
#
# Rows: CB-03 CB-06 LES-11

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

# one of the two discovery documents makes the promise
$t->sim->script({ kind => 'discovery', times => -1,
    path => '/.well-known/openid_configuration*',
    action => { merge => {
        authorization_response_iss_parameter_supported => JSON::PP::true() } }
});

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider silent {
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

    intuit_provider named {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit silent;
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        auth_intuit named;
    }
}
CONF

my $issuer = Test::Intuit::Sim::escape($t->sim->info->{issuer});

# [ what, argument, status without the promise, status with it ]
my @cases = (
    [ 'none', '', 302, 400 ],
    [ "the issuer's", "&iss=$issuer", 302, 302 ],
    [ 'the same, escaped differently',
        '&iss=' . join('', map { sprintf '%%%02x', ord }
            split //, $t->sim->info->{issuer}), 302, 302 ],
    [ 'an empty one', '&iss=', 302, 400 ],
    [ 'with a slash more', "&iss=$issuer/", 400, 400 ],
    [ 'in capital letters', '&iss=' . uc $issuer, 400, 400 ],
    [ 'one byte shorter', '&iss=' . substr($issuer, 0, -1), 400, 400 ],
    [ "another's", '&iss=https%3A%2F%2Fevil.example', 400, 400 ],
    [ 'given twice', "&iss=$issuer&iss=$issuer", 400, 400 ],
    [ 'given twice in disguise', "&iss=$issuer&%69ss=x", 400, 400 ],
);

for my $case (@cases) {
    my ($name, $argument, @status) = @$case;

    for my $port ('8080', '8081') {
        my $status = shift @status;
        my @on = (-port => $t->port($port), -browser => 1);
        my $jar = $t->jar;
        my $promised = $port eq '8081' ? 'promised' : 'not promised';

        $t->sim->reset('journal');

        my $r = $t->get('/', -jar => $jar, @on);
        my $callback = $t->consent($jar, $r->header('Location'));

        $r = $t->get($callback . $argument, -jar => $jar, @on);

        is($r->status, $status, "iss is $promised, it is $name: $status");
        is($t->sim->count(kind => 'token'), $status == 302 ? 1 : 0,
            'and the code goes ' . ($status == 302 ? 'to Intuit' : 'nowhere'));
        is(defined $jar->get('__Host-intuit'), $status == 302,
            'as does the session');
    }
}

done_testing();
