#!/usr/bin/perl

# Two things are taken from Intuit's own issuer alone, because Intuit does
# them: an id_token without the nonce that was sent, and a signature by an RSA
# key of 1024 bits (with a warning).  A nonce that is there must be the right
# one in any case, and another issuer gets neither.
#
# Rows: ID-07

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Attempt;

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

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
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

sub started {
    my ($label, @sim) = @_;
    my $t = Test::Intuit->new(label => $label, sim => \@sim);

    $t->write_secret('secret', 'sim-client-secret');
    $t->write_file('html/index.html', "the tool\n");

    return $t->conf($conf)->start;
}

sub forged { return [ { kind => 'token', action => { id_token => { @_ } } } ] }

# -- Intuit: the simulator's issuer is Intuit's unless it is told another

my $t = started('Intuit', '--nonce', 'none');

accepted($t, 'no nonce', []);
accepted($t, 'the right nonce', forged(claims => { nonce => '$nonce' }));
refused($t, 'a wrong nonce', 403, 'invalid_id_token',
    forged(claims => { nonce => 'A' x 22 }));
accepted($t, '1024 bits', forged(sign_with => 'weak'));

ok((grep { /\[warn\].*signing key has only 1024 bits/ } $t->log_lines),
    'with a warning');

# -- somebody else

my $other = started('another', '--issuer', 'http://127.0.0.1:1/op');

accepted($other, 'the right nonce', []);
refused($other, 'no nonce', 403, 'invalid_id_token',
    forged(omit => [ 'nonce' ]));
refused($other, '1024 bits', 503, 'keys_unavailable',
    forged(sign_with => 'weak'));

ok(!(grep { /signing key has only/ } $other->log_lines),
    'without a warning: there is no such key');

done_testing;
