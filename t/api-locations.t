#!/usr/bin/perl

# The promise: whatever way a request takes to intuit_proxy (a regex, a nested or
# a named location, a rewrite, slashes that are not merged), the path is judged
# as it goes to Intuit, for the session's company and at the API's host; and no
# answer can send nginx anywhere else.
# The attack: "..", "//" and escapes in a place that another location has let
# through; X-Accel-Redirect to an internal location; a client's own Host.
#
# Rows: BF-04 NGX-N3 NGX-I2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");
$t->write_file('html/internal/x', "internal\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Host $http_host;
    root %%DIR%%/html;

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
        merge_slashes off;
        location / { auth_intuit books; }
        location /internal/ { internal; }

        location /outer/ {
            location ~ ^/outer/nested/ {
                rewrite ^/outer/nested(/.*) $1 break;
                intuit_proxy books;
            }
        }

        location ~* ^/v3/company/[^/]+/(query|x) { intuit_proxy books; }
        location /tried/ { try_files $uri @api; }
        location /last/ { rewrite ^/last(/.*) $1 last; }
        location /paged/ { error_page 404 = @api; }

        location @api {
            rewrite ^/(?:tried|paged)(/.*) $1 break;
            intuit_proxy books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');

sub calls { $t->sim->journal(kind => 'api') }
sub clean { $t->sim->reset('journal', 'scripts') }

my @ways = ('', '/outer/nested', '/tried', '/last', '/paged');

for my $way (@ways) {
    clean();
    $t->get("$way/v3/company/-/query?query=select", -jar => $jar,
        Host => 'evil.example');
    my ($call) = calls();

    is($call->{target}, "/v3/company/$realm/query?query=select",
        "way \"$way\": sent");
    is($call->{host}, '127.0.0.1:' . $t->sim->port, "... to the API's host");
}

clean();

for my $way (@ways) {
    for my $path ("/v3/company/4620816365041297150/query", '/v3/company/-//query',
        '/v3/company/-/query/../../4620816365041297150/query',
        '/v3/company/-/query/..%2f..%2f4620816365041297150/query',
        '/v3/company/-/x/%2e%2e/%2e%2e/4620816365041297150/query',
        '/v3/company/-/query;x', '/v3/company/-/query%5c..%5cx',
        '/v3/company/-/query%00', '/v3//company/-/query',
        '//v3/company/-/query', '/V3/company/-/query')
    {
        my $r = $t->get("$way$path", -jar => $jar);
        like($r->status, qr/^40[0-4]$/, "way \"$way\": $path is refused");
    }
}

is($t->sim->count, 0, 'nothing of all this was sent');


# -- what the API's answer cannot do ------------------------------------------

for my $status (200, 401, 403, 404, 500) {
    for my $header ([ 'X-Accel-Redirect' => '/internal/x' ],
        [ 'X-Accel-Redirect' => '@api' ], [ 'X-Sendfile' => '/etc/passwd' ],
        [ 'Location' => $t->sim->base . '/v3/company/1/x' ],
        [ 'Refresh' => '0; url=/internal/x' ])
    {
        clean();
        $t->sim->script({ kind => 'api', times => -1, action => {
            status => $status, body => 'of the API', headers => { @$header } } });
        my $r = $t->post('/v3/company/-/query', 'select', -jar => $jar);

        is($r->status . ' ' . $r->body, "$status of the API",
            "$status with $header->[0]: is passed on");
        is(scalar(calls()), 1, '... and leads nowhere');
    }
}

done_testing();
