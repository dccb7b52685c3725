#!/usr/bin/perl

# A crowd of requests for one company, over two workers, is sent to Intuit as
# fast as Intuit takes it and no faster: the simulator enforces Intuit's limits
# and answers no 429.  Nobody is refused, everybody says how it went, and
# another company does not notice.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => ['--quota']);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    log_format limit '$request_uri $status $intuit_limit_status';
    access_log %%DIR%%/logs/access.log limit;

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
        listen 127.0.0.1:%%PORT_8080%% reuseport;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
            add_header X-Limit $intuit_limit_status always;
        }

        location /other/ {
            rewrite ^/other(/.*) $1 break;
            intuit_proxy books realm=193514292156789;
            add_header X-Limit $intuit_limit_status always;
        }

        location /some/ {
            rewrite ^/some(/.*) $1 break;
            auth_intuit books;
            auth_intuit_require $intuit_claim_email;
            intuit_proxy books;
            add_header X-Limit $intuit_limit_status always;
        }

        location /session/ {
            rewrite ^/session(/.*) $1 break;
            auth_intuit books;
            intuit_proxy books;
            add_header X-Limit $intuit_limit_status always;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm);
$t->signed_in(realm => '193514292156789');

# those of the logins count as well, and at Intuit only
$t->sim->reset('journal');

sub ask {
    my ($path, $headers) = (@_, '');
    my $c = $t->connect;
    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\n${headers}\r\n");
    return $c;
}

my $api = "/v3/company/-/companyinfo/$realm";
my $cookie = 'Cookie: __Host-intuit=' . $jar->get('__Host-intuit') . "\r\n";

my @crowd = map { $_ % 3 == 0 ? ask($api) : ask(($_ % 3 == 1 ? '/session' : '/some')
    . $api, $cookie) } 1 .. 36;

my $r = $t->get('/other/v3/company/-/companyinfo/193514292156789', -json => 1);
is($r->status, 200, 'another company');
is($r->header('X-Limit'), 'PASSED', '... does not wait');

my (%status, %limit);

for (@crowd) {
    my $r = $_->response;
    $status{$r->status}++;
    $limit{$r->header('X-Limit')}++;
}

is_deeply(\%status, { 200 => 36 }, 'all are served');
cmp_ok($limit{PASSED}, '>=', 9, 'nine at once') or diag explain \%limit;
cmp_ok($limit{DELAYED}, '>', 0, 'some after a while');
is($limit{PASSED} + $limit{DELAYED}, 36, '... and no others');
is($t->sim->count(kind => 'api', status => 429), 0, 'no 429 of Intuit');
is($t->sim->count(kind => 'api', realm => $realm), 36, 'each is sent once');
is(scalar(grep { /\[warn\].*intuit delaying request, wait: \d+ ms, realm "$realm"/ }
    $t->log_lines), $limit{DELAYED}, 'a line for each that waits');
is(scalar(grep { / 200 DELAYED/ } $t->log_lines('logs/access.log')),
    $limit{DELAYED}, '... and its status in the log');

done_testing();
