#!/usr/bin/perl

# After a 429 from Intuit nothing more is sent for that company for a minute,
# or for as long as Intuit asks: who would have to wait for too long is
# refused here, for others it is a pause.  Other companies go on.  An
# error_page that takes the 429's place hides it from nobody but the client.
#
# Rows: BF-11

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

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /a/ {
            rewrite ^/a(/.*) $1 break;
            intuit_proxy books realm=9130347957983546;
            add_header X-Limit $intuit_limit_status always;
        }

        location /b/ {
            rewrite ^/b(/.*) $1 break;
            intuit_proxy books realm=4620816365041297150;
            add_header X-Limit $intuit_limit_status always;
        }

        location /c/ {
            rewrite ^/c(/.*) $1 break;
            proxy_intercept_errors on;
            error_page 429 = /busy.html;
            intuit_proxy books realm=193514292156789;
        }

        location /d/ {
            rewrite ^/d(/.*) $1 break;
            proxy_intercept_errors on;
            error_page 404 = @elsewhere;
            intuit_proxy books realm=4620816365041297150;
        }

        location @elsewhere {
            proxy_pass %%SIM%%;
        }

        location = /busy.html {
            root %%DIR%%/html;
        }
    }
}
CONF

my %realm = (a => '9130347957983546', b => '4620816365041297150',
    c => '193514292156789');

$t->write_file('html/busy.html', "later\n");
$t->signed_in(realm => $_) for values %realm;
$t->sim->reset('journal');

sub call { $t->get("/$_[0]/v3/company/-/companyinfo/$realm{$_[0]}", -json => 1) }
sub intuit { $t->sim->script({ kind => 'api', action => { status => 429,
    body => 'slow down', headers => { @_ } } }) }
sub held { scalar grep { /\[warn\].*intuit quota is used up at Intuit \(429\): nothing is sent for $_[1] s, realm "$realm{$_[0]}"/ } $t->log_lines }
sub asked { $t->sim->count(kind => 'api', path => "/v3/company/$realm{$_[0]}/companyinfo/$realm{$_[0]}") }

# another application's 429 is not Intuit's

$realm{d} = $realm{b};
$t->sim->script({ kind => 'api', action => { status => 404, body => 'no' } },
    { kind => 'api', action => { status => 429, body => 'busy' } });
my $r = call('d');
is($r->body, 'busy', 'an error_page leads to another application');
is(call('d')->status, 200, '... whose 429 holds nobody up');
is(held('d', 60), 0, '... and is not said to be one of Intuit');

intuit();
$r = call('a');
is($r->status, 429, 'a 429 of Intuit is passed on');
is($r->body, 'slow down', '... as it is');
is($r->header('X-Limit'), 'PASSED', '... and was not made here');
is($r->header('Retry-After'), 60, 'it says when to come again');

for (1 .. 3) {
    $r = call('a');
    is($r->status, 429, 'the next is refused');
    is($r->json->{error}, 'quota_exceeded', '... here');
    cmp_ok($r->header('Retry-After'), '<=', 61, '... for the same time');
}

is(asked('a'), 1, 'Intuit is left alone');
is(held('a', 60), 1, 'a line says so');

is(call('b')->status, 200, 'another company goes on');
intuit('Retry-After' => 5);
$r = call('b');
is($r->status, 429, 'until it has a 429 of its own');
is($r->header('Retry-After'), 5, '... with another time');
$r = call('b');
is($r->status, 200, 'which is short enough to wait for');
is($r->header('X-Limit'), 'DELAYED', '... and so it did');
is(held('b', 5), 1, 'a line says so, too');

intuit('Retry-After' => 86400);
is(call('b')->status, 429, 'a day is');
is(held('b', 300), 1, '... five minutes');

intuit();
$r = call('c');
is($r->body, "later\n", 'an error_page instead of the 429');
ok($t->wait_until(sub { held('c', 60) }), '... does not hide it');
is(asked('c'), 1, 'asked once');
is(call('c')->body, "later\n", 'the next one sees the page, too');
is(asked('c'), 1, '... and Intuit nothing');

done_testing();
