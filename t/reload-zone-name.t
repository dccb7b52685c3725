#!/usr/bin/perl

# A reload that gives the zone another name would have an empty one, of which
# core says nothing.  The promise: companies that are in no file are not lost by
# it, and what is dropped is said.
#
# Rows: F-RLD-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', '5d' x 32);
$t->write_file('html/index.html', "in\n");

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=%%NAME%%:1m;

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
        %%STATE%%
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

sub conf {
    my ($name, $state) = @_;
    return $conf =~ s/%%NAME%%/$name/r =~ s/%%STATE%%/$state/r;
}

my $api = '/v3/company/-/companyinfo/9130347957983546';
my $files = 'state_path %%DIR%%/state; encryption_key_file %%DIR%%/key;';

$t->conf(conf('one', ''))->start;

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');
is($t->get($api, -json => 1)->status, 200, 'connected');

$t->allow(qr/\[emerg\].*connections would be lost/);
ok(!$t->reload(conf('two', '')), 'another name is refused');
ok((grep { /"one".*connections would be lost/ } $t->log_lines),
    '... as one line says');
is($t->get('/index.html', -jar => $jar)->body, "in\n", 'nobody is signed out');
is($t->get($api, -json => 1)->status, 200, 'and the company is connected');

ok($t->reload(conf('one', $files)), 'with files');
$t->signed_in(path => '/index.html', realm => '9130347957983546');
ok($t->reload(conf('two', $files)), '... another name is taken');
is($t->get($api, -json => 1)->status, 200, 'the company is connected');
is($t->get('/index.html', -jar => $jar, -json => 1)->status, 401,
    'sessions are gone');
ok((grep { /sessions dropped/ } $t->log_lines), '... as one line says');

done_testing();
