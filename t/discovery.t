#!/usr/bin/perl

# nginx starts while Intuit's discovery document cannot be read; logins say
# 503 until it can, and then work by themselves.  A document that would send
# the client secret or the browser over plain http, or that is none, is
# refused.  Intuit's own environments have their endpoints built in: nobody
# waits for a document there.
#
# Rows: DI-01 F-NET-02 F-OP-18

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Attempt;
use Test::Intuit::Dns;

my $t = Test::Intuit->new;
my $dns = Test::Intuit::Dns->start('hold');
my $port = $dns->port;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my $conf = <<'CONF' =~ s/%%DNS%%/$port/r;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%% ipv6=off;    # which does not answer

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    intuit_provider intuit {                # without a config_url
        environment         sandbox;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        allow_realm         any;
        probe               off;
        connect_timeout     100ms;
        read_timeout        100ms;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        auth_intuit intuit;
    }
}
CONF

# -- down at first

$t->sim->control('POST', '/down');
$t->conf($conf)->start;

my $r = $t->get('/', -browser => 1);

is($r->status, 503, 'no document, no login');
ok($r->header('Retry-After'), 'try again later');
is($t->get('/', -json => 1)->status, 401, 'an API client still gets its 401');

$t->sim->control('POST', '/up');

ok($t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 }),
    'it heals');
accepted($t, 'a login', []);

# -- documents

sub document {
    my ($name, @action) = @_;

    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'discovery', times => -1, action => { @action } });
    $t->reload;

    my $r = $t->get('/', -browser => 1);
    my @other = grep { $_->{kind} ne 'discovery' } $t->sim->journal;

    is(join(' ', $r->status, scalar @other), '503 0', "refused: $name");
    unlike($r->raw, qr/SECRETMARK/, 'and not shown') if $name =~ /HTML/;
}

document("$_->[0] $_->[1]", merge => { $_->[0] => $_->[1] })
    for [ issuer => 'http://intuit.example/op' ], [ issuer => 1 ],
        [ issuer => 'https://intuit.example/op?a=b' ],
        [ token_endpoint => 'http://192.0.2.1/token' ],
        [ token_endpoint => 'http://127.0.0.1.example/token' ],
        [ token_endpoint => 'http://127.0.0.1@192.0.2.1/token' ],
        [ token_endpoint => 'ftp://127.0.0.1/token' ],
        [ token_endpoint => '//127.0.0.1/token' ], [ token_endpoint => '' ],
        [ token_endpoint => "http://127.0.0.1/a\r\nX-Evil: 1" ],
        [ authorization_endpoint => 'javascript:alert(1)' ],
        [ authorization_endpoint => 'http://192.0.2.1/' ],
        [ jwks_uri => 'http://192.0.2.1/jwks' ],
        [ userinfo_endpoint => 'http://192.0.2.1/userinfo' ],
        [ revocation_endpoint => 'http://192.0.2.1/revoke' ];

document("no $_", omit => [ $_ ])
    for qw(issuer authorization_endpoint token_endpoint jwks_uri);

document(@$_)
    for [ 'an HTML page', body => '<html>SECRETMARK</html>' ],
        [ 'a list', json => [] ], [ 'half', close_after => 100 ],
        [ '500', status => 500 ], [ 'too long', pad => 70000 ],
        [ 'elsewhere', redirect => $t->sim->base . '/other' ];

# -- built in

$r = $t->get('/', -browser => 1, -port => $t->port(8081));

is($r->status, 302, 'nobody waits for the document');
like($r->header('Location'), qr{^https://appcenter\.intuit\.com/connect/oauth2\?},
    'where the built-in endpoints are Intuit\'s');
ok($t->wait_until(sub { scalar $dns->queries }), 'while its host is looked up');
ok($t->wait_log(qr/job took longer.*job: discovery, provider: "intuit"/),
    'which ends with its deadline');
is((grep { $_ ne 'developer.intuit.com' } $dns->queries), 0,
    'and nothing else is');

done_testing;
