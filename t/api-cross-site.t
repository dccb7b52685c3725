#!/usr/bin/perl

# A page of another site can make a browser send requests with our cookie.
# intuit_proxy refuses those that could change something, by Sec-Fetch-Site or
# else by Origin, and sends nothing.
#
# Rows: BF-05 BF-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
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

        underscores_in_headers on;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/ {
            intuit_proxy books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');

sub api { $t->sim->journal(kind => 'api') }
sub reset_all { $t->sim->reset('journal', 'scripts') }

my $r;

reset_all();

my $here = 'http://localhost:' . $t->port;

for my $case (
    [ 403, 'Sec-Fetch-Site' => 'cross-site' ],
    [ 403, 'Sec-Fetch-Site' => 'same-site' ],
    [ 403, 'Sec-Fetch-Site' => 'Same-Origin' ],
    [ 403, 'Sec-Fetch-Site' => '' ],
    [ 403, 'Sec-Fetch-Site' => 'cross-site', Origin => $here ],
    [ 403, Origin => 'http://evil.example' ],
    [ 403, 'Sec_Fetch_Site' => 'same-origin', Origin => 'http://evil.example' ],
    [ 403, Origin => 'null' ],
    [ 403, Origin => '' ],
    [ 403, Origin => 'http://localhost' ],
    [ 403, Origin => "$here.evil.example" ],
    [ 403, Origin => 'http://localhost:1' ],
    [ 403, Origin => [ 'http://evil.example', $here ] ],
    [ 403, 'Sec-Fetch-Site' => [ 'cross-site', 'same-origin' ] ],
    [ 200, Origin => $here ],
    [ 200, Origin => $here =~ s/localhost/LocalHost/r ],
    [ 200, 'Sec-Fetch-Site' => 'same-origin', Origin => $here ],
    [ 200, 'Sec-Fetch-Site' => 'none' ],
    [ 200 ])
{
    my ($status, @headers) = @$case;
    my $name = join ' ', map { ref ? "(@$_)" : $_ } @headers;

    for my $type ('text/plain', 'application/json') {
        $t->sim->reset('journal', 'scripts');
        $t->sim->script({ kind => 'api', action => { status => 200,
            body => 'done' } });
        my $r = $t->post('/v3/company/-/query', 'select', -jar => $jar,
            -json => 1, 'Content-Type' => $type, @headers);

        is($r->status, $status, "POST of $type, $name");
        is(scalar(api()), $status == 200 ? 1 : 0, '... and what was sent');
        is($r->json->{error}, 'cross_site_request', '... says so')
            if $status == 403;
    }
}

for my $method (qw(OPTIONS PUT DELETE PATCH)) {
    reset_all();
    $r = $t->request($method, '/v3/company/-/query', -jar => $jar,
        Origin => 'http://evil.example', 'Sec-Fetch-Site' => 'cross-site',
        'Access-Control-Request-Method' => 'POST');
    is($r->status, 403, "$method of another site is refused");
    is(scalar(api()), 0, '... not sent');
    is(scalar(grep { /^Access-Control/i } map { $_->[0] } $r->headers), 0,
        '... no CORS answer');
}

done_testing();
