#!/usr/bin/perl

# A rewrite that puts a decoded variable into the arguments ("...?q=$uri")
# brings line breaks there, and with them a second header or request that
# would carry the company's token: such a request is refused, not sent.  So
# is one with "#": a requestid behind it may be none to Intuit, and a POST that
# is sent again by it would be carried out twice.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

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
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }

        location /find/ {
            rewrite ^ /v3/company/-/query?query=$uri break;
            intuit_proxy books;
        }
    }
}
CONF

$t->write_file('html/index.html', "in\n");

my $jar = $t->signed_in(path => '/index.html');

$t->sim->reset('journal');

for my $text ('%20HTTP/1.1%0d%0aX-Added:%20yes', 'a%0ab', 'a%0db', 'a%20b',
    'a%09b', 'a%7fb', '%01')
{
    my $r = $t->get("/find/$text", -jar => $jar, -json => 1);

    is($r->status, 400, "decoded $text");
    is($r->json->{error}, 'invalid_path', 'is refused');
}

# some take it for the end, and for no part of a second try's requestid

for my $text ('a%23b', '%23') {
    is($t->get("/find/$text", -jar => $jar)->status, 400, "decoded $text");
}

for my $args ('?a=1#b', '?#', '?a=1#&requestid=1', '?requestid=#1') {
    is($t->post("/v3/company/-/invoice$args", '{}', -jar => $jar)->status,
        400, "$args is refused");
}

is($t->sim->count(kind => 'api'), 0, 'and nothing is sent');

for my $text ('plain', '%2bplus', '%22x%22') {
    $t->get("/find/$text", -jar => $jar, -json => 1);
}

is($t->sim->count(kind => 'api'), 3, 'what can do no harm is sent');

$t->get('/v3/company/-/query?query=select%20*%0d%0aX-Added:%20yes',
    -jar => $jar, -json => 1);

my ($call) = reverse $t->sim->journal(kind => 'api');

like($call->{target}, qr/%0d%0aX-Added/,
    "the client's own escapes stay as they are");

done_testing();
