#!/usr/bin/perl

# However nginx is run, with one process, with threads for its files, as many
# workers as there are processors, a login and a call of the API work, through a
# reload, too.  And "nginx -t" asks nobody: not Intuit, not even a name server.
#
# Rows: NGX-W3 NGX-S1

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Dns;

my $dns = Test::Intuit::Dns->start;
my $realm = '9130347957983546';

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
%%PROCESSES%%

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    %%HTTP%%

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        state_path          %%DIR%%/state;
        encryption_key_file %%DIR%%/key;
        %%PROVIDER%%
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% %%LISTEN%%;
        auth_intuit books;

        location / { root %%DIR%%/html; }
        location /v3/company/ { intuit_proxy books; }
    }
}
CONF

sub new {
    my ($label) = @_;
    my $t = Test::Intuit->new(label => $label);

    $t->write_secret('secret', 'sim-client-secret');
    $t->write_secret('key', '5d' x 32);
    $t->write_file('html/index.html', "in\n");
    return $t;
}

for my $case (
    [ 'one process', 'worker_processes 0; master_process off;', '', '' ],
    [ 'threads', 'worker_processes 2;', 'aio threads; sendfile off;', '' ],
    [ 'reuseport', 'worker_processes 2;', '', 'reuseport' ])
{
    my ($name, $processes, $http, $listen) = @$case;
    my $t = new($name);

    $t->conf($conf =~ s/%%PROCESSES%%/$processes/r =~ s/%%HTTP%%/$http/r
        =~ s/%%LISTEN%%/$listen/r =~ s/%%PROVIDER%%/probe off;/r)->start;

    my $jar = $t->signed_in(path => '/index.html', realm => $realm);
    my $works = sub {
        is($t->get('/index.html', -jar => $jar)->body, "in\n", "$name: $_[0]");
        is($t->get("/v3/company/-/companyinfo/$realm", -jar => $jar,
            -json => 1)->status, 200, '... and the API');
    };

    $works->('signed in');

    $t->sim->control('POST', '/expire-access', { realm => $realm });
    $works->('after a refresh');

    # one process takes another configuration by itself
    ok($t->reload, 'reloaded') if $name ne 'one process';
    $works->('after a reload') if $name ne 'one process';
}

# -- nginx -t -----------------------------------------------------------------------

my $t = new('check');
my $port = $dns->port;
my $text = $conf =~ s/%%PROCESSES%%//r =~ s/%%LISTEN%%//r
    =~ s/%%HTTP%%/resolver 127.0.0.1:$port;/r
    =~ s/%%PROVIDER%%/probe on; migrate_url http:\/\/localhost:1\/x;/r
    =~ s/(config_url|api_url)( +)%%SIM%%/$1$2http:\/\/localhost:%%SIM_PORT%%/gr;

my ($status, $said) = $t->check_conf($text);

is($status, 0, '"nginx -t"') or diag $said;
is($t->sim->count, 0, '... sends nothing to Intuit');
is(scalar($dns->queries), 0, '... and asks no name server');
ok(!-e $t->dir . '/state', '... and makes no directory');

done_testing();
