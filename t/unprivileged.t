#!/usr/bin/perl

# The client secret and the encryption key are read by the master, once: the
# files may be root's alone while workers run as somebody else, and a worker
# that is taken over finds no file that it could read.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

plan(skip_all => 'only root can start workers of another user') if $> != 0;
plan(skip_all => 'there is no user www-data')
    if !defined getpwnam 'www-data';

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'b1' x 32);
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
user www-data;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        encryption_key_file  %%DIR%%/key;
        scope                openid email com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          9130347957983546;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

my @uids = map { (stat "/proc/$_")[4] } $t->workers;
my $uid = getpwnam 'www-data';

is("@uids", "$uid $uid", 'the workers are not root');
is((stat $t->dir . '/secret')[2] & 0777, 0600, 'the secret is root\'s alone');

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

is($t->get('/index.html', -jar => $jar)->body, "the tool\n", 'signed in');
is($t->get('/v3/company/-/companyinfo/9130347957983546', -jar => $jar,
    -json => 1)->status, 200, 'and the API is called');

my ($call) = $t->sim->journal(kind => 'token');

is($call->{status}, 200, 'with a secret that Intuit accepts');

unlink map { $t->dir . "/$_" } qw(secret key);

is($t->get('/index.html', -jar => $t->signed_in(path => '/index.html',
    realm => '9130347957983546'))->status, 200,
    'nothing is read again while it runs');

done_testing();
