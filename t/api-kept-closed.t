#!/usr/bin/perl

# A kept connection that the other side has closed costs nobody a 502: what is
# safe to repeat is sent again on another.  A POST that may have arrived is
# never sent twice, whatever proxy_next_upstream says elsewhere, unless it has
# a requestid, by which Intuit knows it again.  An answer that nobody asked for
# closes its connection, and is nobody's.
#
# Rows: F-NET-07 F-NET-08

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    proxy_next_upstream error timeout http_503 non_idempotent;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
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
            intuit_proxy books;
        }

        location /off/ {
            proxy_next_upstream off;
            rewrite ^/off(/.*) $1 break;
            intuit_proxy books;
        }
    }
}
CONF

$t->conf($conf)->start;

my $realm = '9130347957983546';
my $jar = $t->signed_in(realm => $realm, path => '/index.html');
my $other = $t->signed_in(realm => '193514292156789', path => '/index.html');
my $path = "/v3/company/-/companyinfo/$realm";

sub read_it { $t->get(($_[0] // '') . $path, -jar => $jar, -json => 1) }

sub write_it {
    my ($args) = @_;
    return $t->post("/v3/company/-/invoice$args", '{"Line":[]}', -jar => $jar,
        -json => 1, 'Content-Type' => 'application/json');
}

# a connection is kept, and then the next request on it meets this
sub kept_then {
    my ($action, $times) = @_;

    is(read_it()->status, 200, 'a connection is kept');
    $t->sim->reset('journal', 'scripts', 'data');
    $t->sim->script({ kind => 'api', times => $times // 1, action => $action });
}

sub sent { $t->sim->count(kind => 'api') }

sub executed {
    my $of = $t->sim->control('GET', '/state')->{executions}{$realm} // {};
    my $n = 0;
    $n += $_ for values %$of;
    return $n;
}

# -- closed while nobody asks

my @failed;

for (1 .. 10) {
    $t->sim->control('POST', '/down');
    $t->sim->control('POST', '/up');
    push @failed, grep { $_ != 200 } $_ % 2 ? read_it()->status
                                            : write_it('')->status;
}

is("@failed", '', 'no call fails when kept connections were closed');

# -- reset when a request has come

kept_then({ rst => 1 });
is(read_it()->status, 200, 'a GET after which the connection is reset');
is(sent(), 2, '... is sent again');

for my $effect (0, 1) {
    kept_then({ rst => 1, effect => \$effect });
    is(write_it('')->status, 502, 'a POST that may have arrived is not');
    is(sent(), 1, '... it is sent once');
    is(executed(), $effect, "... executed: $effect");
}

for my $args ('?requestid=', '?x=requestid', '?requestid=1&requestid=2') {
    kept_then({ rst => 1, effect => \1 });
    is(write_it($args)->status, 502, "$args is no requestid");
    is(sent(), 1, '... sent once');
}

kept_then({ rst => 1, effect => \1 });
is(write_it('?minorversion=75&requestid=abc-1')->status, 200,
    'a POST with a requestid');
is(sent(), 2, '... is sent again');
is(executed(), 1, '... and executed once');

kept_then({ status => 503, effect => \1 });
is(write_it('')->status, 503, 'a POST that Intuit has answered with 503');
is(sent(), 1, '... is not sent again');

# -- always reset: one kept connection, and one new one

kept_then({ rst => 1 }, -1);
is(read_it()->status, 502, 'a GET that is reset again and again');
is(sent(), 2, '... is not sent for ever');
$t->sim->reset('scripts');

kept_then({ rst => 1 });
is(read_it('/off')->status, 502, 'a GET, where proxy_next_upstream is off');
is(sent(), 1, '... is sent once');

# -- answers that nobody asked for

my $extra = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";

for my $body ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}$extra",
    "HTTP/1.1 204 No Content\r\n\r\n$extra",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "2\r\n{}\r\n0\r\n\r\n$extra")
{
    kept_then({ raw => $body, keep => \1 });

    unlike(read_it()->body, qr/POISON/, 'an answer with another behind it');

    my $r = $t->get('/v3/company/-/companyinfo/193514292156789',
        -jar => $other, -json => 1);

    is($r->status, 200, '... and then somebody else');
    like($r->body, qr/Tidewater/, '... who has an answer of his own');

    my @entries = $t->sim->journal(kind => 'api');
    isnt($entries[0]{connection}, $entries[1]{connection}, '... of a new one');
}

done_testing;
