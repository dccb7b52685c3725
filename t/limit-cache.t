#!/usr/bin/perl

# The promise: what is answered from proxy_cache costs the company nothing, and
# an update in the background costs as much as any request.
# The attack: a page that is asked for again and again, and a quota that is used
# up without Intuit being asked; an old answer that hides a request.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    proxy_cache_path %%DIR%%/cache keys_zone=answers:1m;
    intuit_limit on rate=4r/m queue=0;

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
            proxy_cache answers;
            proxy_cache_valid 200 2s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            add_header X-Cache $upstream_cache_status always;
            add_header X-Limit $intuit_limit_status always;
        }
    }
}
CONF

$t->signed_in(realm => '9130347957983546');
$t->sim->reset('journal');
$t->sim->script({ kind => 'api', times => -1, action => { status => 200,
    json => { well => 1 } } });

sub ask { $t->get("/v3/company/-/item/$_[0]", -json => 1) }
sub asked { $t->sim->count(kind => 'api') }

is(ask(1)->header('X-Cache'), 'MISS', 'the first is asked for');

for (1 .. 12) {
    my $r = ask(1);
    like($r->status . $r->header('X-Cache'),
        qr/^200(?:HIT|STALE|UPDATING|EXPIRED)$/, '... and those after it');
    last if $r->header('X-Cache') ne 'HIT';
}

my $until = time + 3;
$t->wait_until(sub { time >= $until });

my $before = asked();
is(ask(1)->header('X-Cache'), 'STALE', 'an old answer');
ok($t->wait_until(sub { asked() == $before + 1 }),
    '... and Intuit is asked in the background');

# as many as are left

is(ask("other$_")->status, 200, 'another one') for asked() + 1 .. 4;
my $r = ask('last');
is($r->status, 429, 'one is too many');
is($r->header('X-Limit'), 'REJECTED', '... as the variable says');
is(asked(), 4, 'so often was Intuit asked');

done_testing();
