#!/usr/bin/perl

# intuit_proxy calls Intuit's API for the session's own company and for no
# other, and on paths only that nginx and Intuit read alike: what one of them
# would take for another path is refused and not sent.
#
# Rows: BF-04 NGX-N1

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
    proxy_set_header Host $host;

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

    intuit_provider staff {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8081%%/intuit/callback;
        allow_email         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/ {
            intuit_proxy books;
        }

        location /slashes/ {
            rewrite ^/slashes(/v3/.*) $1 break;
            intuit_proxy books;
        }

        location ~ ^/if/ {
            if ($request_method = PATCH) { return 405; }
            if ($arg_again) {
                set $unused 1;
            }
            rewrite ^/if(/v3/.*) $1 break;
            intuit_proxy books;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        merge_slashes off;
        auth_intuit staff;

        location / {
            root %%DIR%%/html;
        }

        # a login without a company
        location /v3/ {
            intuit_proxy staff;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');

sub api { $t->sim->journal(kind => 'api') }
sub reset_all { $t->sim->reset('journal', 'scripts') }

# -- the company of the path --------------------------------------------------

for my $case (
    [ "/v3/company/$realm/companyinfo/$realm", undef, 'its own company' ],
    [ "/v3/company/-/companyinfo/$realm", undef, 'the company filled in' ],
    [ '/v3/company/-/query?query=select%20*%20from%20Item%20where%20Name%3D%27%25-%27&minorversion=75',
        undef, 'and the query string as it was' ],
    [ '/v3/company/-/query?a=/../b//c%2f;-&a=2', 'select - from -',
        'whatever is in it, and the body' ],
    [ '/v3/company/-/customer/-?requestid=-', '{"Id":"-"}',
        'in its one place only' ],
    [ '/v3/company/-', undef, 'at the end' ],
    [ '/v3/company/-?x', undef, 'before the query' ],
    [ '/v3/company/-/report/na%C3%AFve%20name', undef, 'beside escapes' ],
    [ '/slashes/v3/company/-/query?a=%2f', 'select', 'after a rewrite' ],
    [ '/if/v3/company/-/query?again=1', 'select', 'inside "if"' ])
{
    my ($path, $body, $name) = @$case;
    (my $target = $path) =~ s{/company/-}{/company/$realm};
    $target =~ s{^/(?:slashes|if)}{};

    reset_all();
    defined $body ? $t->post($path, $body, -jar => $jar)
        : $t->get($path, -jar => $jar);

    my ($call) = api();
    is($call->{target}, $target, "sent: $name");
    is($call->{body}, $body // '', '... with its body');
    is($call->{host}, '127.0.0.1:' . $t->sim->port, '... to the API\'s host');
}

reset_all();

for my $company ('4620816365041297150', '913034795798354', '91303479579835461',
    '', '--', '%2d', '-%20', '0', 'abc', '913034795798354A', '*', '@evil',
    '-@evil')
{
    my $r = $t->get("/v3/company/$company/companyinfo/1", -jar => $jar);
    like($r->status, qr/^40[03]$/, "refused: company \"$company\"");
}

for my $path ('/v3/company', '/v3/company/', '/v3/', '/v3/companies/-/x',
    '/v3/company-/x', '/V3/company/-/x', '/v3/Company/-/x')
{
    my $r = $t->get($path, -jar => $jar);
    like($r->status, qr/^40[0-4]$/, "refused: $path");
}

my $r = $t->get('/v3/company/-/query', -json => 1);
is($r->status, 401, 'nobody: a login is required');
is($r->json->{error}, 'login_required', '... which the answer says');

$r = $t->get('/v3/company/-/query', -json => 1,
    Cookie => '__Host-intuit=' . 'A' x 43);
is($r->status, 401, 'a cookie of nobody\'s: the same');

my $staff = $t->jar;
$r = $t->get('/index.html', -browser => 1, -jar => $staff,
    -port => $t->port(8081));
my $back = $t->consent($staff, $r->header('Location'));
$t->get($back, -browser => 1, -jar => $staff, -port => $t->port(8081));
$r = $t->get('/index.html', -jar => $staff, -port => $t->port(8081));
is($r->status, 200, 'signed in without a company');

$t->sim->reset('journal');
$r = $t->get('/v3/company/-/query', -json => 1, -jar => $staff,
    -port => $t->port(8081));
is($r->status, 403, '... there is no API');
is($r->json->{error}, 'not_connected', '... which the answer says');


# -- paths that mean two things -----------------------------------------------

my @twofold = map { "/v3/company/$_" } '-/../../x', '-/..', '-/.', '-/./x',
    '-/../4620816365041297150/query', '-/x/..%2f..%2f4620816365041297150/y',
    '-/%2e%2e/x', '-/%2E%2e/x', '-/.%2e/x', '-/..;/x', '-/x;y', '-/..%3bx/y',
    '-//x', '//-/x', '-/x//', '-/x%2fy', '-/x%2Fy', '-/x%5cy', '-\\x',
    '-/\\..\\x', '-/x%00y', '-/x%0d%0ay', '-/x%7f', '-/x%25y', '-/%252e%252e/x',
    '-/x%252fy', '-/%c0%af', '-/%c0%ae%c0%ae/x', '-/%e0%80%af', '-/%ff',
    '-/x%', '-/x%2', '-/x%zz', '-/x#y', "-/x\xc3\xa9", '-/x y';

for my $path (@twofold, '//v3/company/-/query', '/./v3/company/-/query',
    '/x/../v3/company/-/query', '/v3//company/-/query', '/%76%33/company/-/x/..',
    '/v3/company/-/query/../../..//v3/company/4620816365041297150/query')
{
    my $r = $t->get($path, -jar => $jar);
    is($r->status, 400, "refused: $path");
}

is($t->sim->count, 0, 'nothing of all this was sent');

for my $target ('http://localhost/v3/company/-/query',
    'http://evil.example/v3/company/-/query')
{
    my @cookie = (Cookie => '__Host-intuit=' . $jar->get('__Host-intuit'));

    reset_all();
    $r = $t->get($target, @cookie);
    my ($call) = api();
    is($call->{target}, "/v3/company/$realm/query", 'absolute form: the path');
    is($call->{host}, '127.0.0.1:' . $t->sim->port, '... and the API\'s host');

    $r = $t->get("$target/../../x", @cookie);
    is($r->status, 400, '... the same rules');
    is(scalar(api()), 1, '... nothing sent');
}

done_testing();
