#!/usr/bin/perl

# The company's token goes to Intuit's API and nowhere else: not with a
# mirrored copy, not along with an error_page, a named location or a
# subrequest to another upstream.  And who has signed in stays signed in on
# the way.
#
# Rows: TK-10 BF-03 BF-04 NGX-I1 NGX-I2 NGX-I3 NGX-I5 NGX-I6 NGX-H3 NGX-H4
#       LES-38

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

    # what an operator may have set for everything else
    proxy_set_header Host $host;
    proxy_set_header Authorization "";
    proxy_intercept_errors on;
    recursive_error_pages on;

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location ~ ^/v3/company/-/named/ {
            intuit_proxy books;
            error_page 404 = @elsewhere;
        }

        location ~ ^/v3/company/-/path/ {
            intuit_proxy books;
            error_page 404 = /elsewhere;
        }

        location ~ ^/v3/company/-/checked/ {
            intuit_proxy books;
            error_page 404 = @checked;
        }

        location ~ ^/v3/company/-/back/ {
            intuit_proxy books;
            error_page 404 = /v3/company/-/companyinfo/9130347957983546;
        }

        location ~ ^/v3/company/-/appended/ {
            intuit_proxy books;
            proxy_set_header Accept application/json;
            add_after_body /elsewhere;
            addition_types *;
        }

        location ~ ^/v3/company/-/mirrored/ {
            mirror /copy;
            intuit_proxy books;
        }

        location /v3/company/ {
            intuit_proxy books;
            proxy_set_header X-Tool demo;
        }

        # headers as the client (or somebody) left them
        location @elsewhere {
            rewrite ^ /elsewhere break;
            proxy_set_header X-Nothing "";
            proxy_pass %%SIM%%;
        }
        location = /elsewhere {
            auth_intuit off;
            proxy_set_header X-Nothing "";
            proxy_pass %%SIM%%;
        }
        location = /copy {
            internal;
            proxy_set_header X-Nothing "";
            proxy_pass %%SIM%%/copy;
        }
        location @checked {
            auth_request /check;
            rewrite ^ /elsewhere break;
            proxy_set_header X-Nothing "";
            proxy_pass %%SIM%%;
        }
        location = /check {
            internal;
            proxy_set_header X-Nothing "";
            proxy_pass %%SIM%%/check;
        }

        # an application that hands over to another location
        location /app/ {
            proxy_pass %%SIM%%;
        }
        location /open/ {
            auth_intuit off;
            proxy_pass %%SIM%%;
            error_page 401 = /intuit/login;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');

sub script {
    $t->sim->reset('journal', 'scripts');
    $t->sim->script(@_,
        { kind => 'other', times => -1, action => { status => 200,
          body => 'app' } });
}

sub bearer { scalar grep { /^Bearer / } $_[0]{headers}{authorization} // '' }

for my $way (qw(named path checked)) {
    script({ kind => 'api', action => { status => 404 } });

    my $r = $t->get("/v3/company/-/$way/1", -jar => $jar);
    is($r->status, 200, "error_page ($way) leads to another upstream");

    my ($api) = $t->sim->journal(kind => 'api');
    ok(bearer($api), '... the API got the token');

    my @other = $t->sim->wait_for(kind => 'other',
        count => $way eq 'checked' ? 2 : 1);

    is_deeply([ grep { exists $_->{headers}{authorization} } @other ], [],
        '... nobody else did');
    is_deeply([ grep { exists $_->{headers}{cookie} } @other ], [],
        '... nor our cookie');
}

script({ kind => 'api', action => { status => 404 } });
my $r = $t->get('/v3/company/-/back/1', -jar => $jar, -json => 1);
is($r->status, 200, 'error_page may lead to the API again');
is($r->json->{CompanyInfo}{CompanyName}, 'Harbour Lane Bakery',
    '... which answers');
is_deeply([ map { $_->{headers}{authorization} ? 1 : 0 }
    $t->sim->journal(kind => 'api') ], [ 1, 1 ], '... with the token');

script({ kind => 'api', action => { status => 200, body => 'books' } });
$r = $t->get('/v3/company/-/appended/1', -jar => $jar);
is($r->body, 'booksapp', 'a subrequest appends to the API\'s answer');
my ($other) = $t->sim->wait_for(kind => 'other');
ok(!exists $other->{headers}{authorization}, '... without the token');

script();
$r = $t->post('/v3/company/-/mirrored/query', 'select * from Item',
    -jar => $jar, 'Content-Type' => 'application/text');
my ($copy) = $t->sim->wait_for(path => '/copy');
ok(!exists $copy->{headers}{authorization}, 'nothing for the mirrored copy');
ok(!exists $copy->{headers}{cookie}, '... nor our cookie');
is($copy->{body}, 'select * from Item', '... but the body');

my ($call) = $t->sim->journal(kind => 'api');
ok(bearer($call), '... the API got the token');
is($call->{body}, 'select * from Item', '... and the body');


# -- what might keep the token from the API -----------------------------------

for my $case (
    [ 'proxy_set_header of the server and the location' ],
    [ 'Connection: Authorization', Connection => 'close, Authorization' ],
    [ 'the client\'s own', Authorization => 'Bearer client-made-this-up' ],
    [ 'an expectation', Expect => '100-continue' ])
{
    my ($name, @headers) = @$case;

    script();
    $t->post('/v3/company/-/query', 'select', -jar => $jar, @headers);

    my ($entry) = $t->sim->journal(kind => 'api');
    my @all = grep { lc $_->[0] eq 'authorization' } @{ $entry->{raw_headers} };
    my @host = grep { lc $_->[0] eq 'host' } @{ $entry->{raw_headers} };

    is(@all, 1, "$name: one Authorization");
    like($all[0][1], qr/^Bearer (?!client)/, '... with the token');
    is_deeply([ map { $_->[1] } @host ], [ '127.0.0.1:' . $t->sim->port ],
        '... for the API\'s host');
    is($entry->{headers}{'x-tool'}, 'demo', '... and the location\'s header');
}


# -- the login on the way -----------------------------------------------------

script({ kind => 'other', action => { status => 200,
    headers => { 'X-Accel-Redirect' => '/index.html' } } });

$r = $t->get('/app/x', -jar => $jar);
is($r->body, "the tool\n", 'X-Accel-Redirect leads a user to the tool');

script({ kind => 'other', action => { status => 200,
    headers => { 'X-Accel-Redirect' => '/index.html' } } });

$r = $t->get('/open/x', -browser => 1, -jar => $t->jar);
is($r->status, 302, '... and a stranger to the login');

script({ kind => 'other', action => { status => 200,
    headers => { 'X-Accel-Redirect' => '/index.html' } } });

my $new = $t->jar;
$t->login($new, '/open/x', realm => $realm);
is($t->get('/index.html', -jar => $new)->status, 200, '... that works');

script({ kind => 'other', action => { status => 401 } });
$new = $t->jar;
$t->login($new, '/open/y', realm => $realm);
is($t->get('/index.html', -jar => $new)->status, 200,
    'so does one by an error_page for the application\'s 401');

for my $uri ('/intuit/session', '/intuit/callback', '/check', '/copy') {
    script({ kind => 'other', action => { status => 200,
        headers => { 'X-Accel-Redirect' => $uri } } });

    $r = $t->get('/open/z', -jar => $jar);
    unlike($r->raw, qr/Bearer|token"\s*:\s*"/,
        "an application that redirects to $uri learns nothing");
}

done_testing();
