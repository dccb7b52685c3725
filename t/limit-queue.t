#!/usr/bin/perl

# The queue is bounded by requests and by time; who is beyond gets a 429 that
# says when to come again, and Intuit is not asked.  Who leaves the queue,
# over any version of HTTP, keeps no slot that nobody was given after him.
#
# Rows: NGX-R2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Http2;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    log_format limit '$request_uri $status $intuit_limit_status $intuit_error';
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
        listen 127.0.0.1:%%PORT_8080%%;
        listen 127.0.0.1:%%PORT_8082%% http2;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_limit on rate=1r/m queue=2 timeout=10m;
            intuit_proxy books realm=9130347957983546;
            add_header X-Limit $intuit_limit_status always;
        }

        location /short/ {
            rewrite ^/short(/.*) $1 break;
            intuit_limit on rate=2r/m timeout=20s;
            intuit_proxy books realm=4620816365041297150;
            add_header X-Limit $intuit_limit_status always;
        }

        location /few/ {
            rewrite ^/few(/.*) $1 break;
            intuit_limit on rate=5r/m queue=0;
            intuit_proxy books realm=193514292156789;
            add_header X-Limit $intuit_limit_status always;
        }
    }
}
CONF

$t->conf($conf)->start;

$t->signed_in(realm => $_)
    for qw(9130347957983546 4620816365041297150 193514292156789);
$t->sim->reset('journal');

my $api = '/v3/company/-/companyinfo/9130347957983546';

sub waiting { scalar grep { /intuit delaying request/ } $t->log_lines }
sub gone { scalar grep { / 499 / } $t->log_lines('logs/access.log') }

sub queued {
    my ($client) = @_;
    my $before = waiting();
    my $c = $client->();
    ok($t->wait_until(sub { waiting() > $before }), '... waits');
    return $c;
}

sub one {
    my $c = $t->connect;
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return $c;
}

sub two {
    my $c = Test::Intuit::Http2->new(port => $t->port('8082'));
    $c->{stream} = $c->get($api, accept => 'application/json');
    return $c;
}

sub refused {
    my ($path, $least, $most) = @_;
    my $r = $t->get($path, -json => 1);
    is($r->status, 429, 'one is too many') or diag $r->raw;
    is($r->json->{error}, 'quota_exceeded', '... and is told so');
    is($r->header('X-Limit'), 'REJECTED', '... by the variable, too');
    cmp_ok($r->header('Retry-After'), '>=', $least, '... and when to come');
    cmp_ok($r->header('Retry-After'), '<=', $most, '... again');
}


# -- how many -----------------------------------------------------------------

# five minutes' pause, so that nobody's time comes during the test

$t->sim->script({ kind => 'api', action => { status => 429,
    headers => { 'Retry-After' => 300 } } });
is($t->get($api, -json => 1)->status, 429, 'the first, refused by Intuit');

my $first = queued(\&one);
my $second = queued(\&one);
refused($api, 300, 425);

# the last one leaves: its slot is for the next

for ([ 'HTTP/1', sub { $_[0]->close } ],
    [ 'HTTP/2, RST_STREAM', sub { $_[0]->reset($_[0]{stream}) } ],
    [ 'HTTP/2, closes', sub { $_[0]->close } ])
{
    my ($name, $leave) = @$_;
    my $before = gone();

    $leave->($second);
    ok($t->wait_until(sub { gone() > $before }), "$name leaves");
    $second = queued(\&two);
    refused($api, 300, 425);
}

# one in the middle keeps it: nobody else's time changes

my $before = gone();
$first->close;
ok($t->wait_until(sub { gone() > $before }), 'the one in the middle leaves');
refused($api, 300, 425);
is($t->sim->count(kind => 'api'), 1, 'Intuit was asked once');


# -- how long -----------------------------------------------------------------

my $short = '/short/v3/company/-/companyinfo/4620816365041297150';

is($t->get($short, -json => 1)->status, 200, 'one') for 1 .. 2;
refused($short, 30, 62);


# -- how many a minute, and other numbers -------------------------------------

my $few = '/few/v3/company/-/companyinfo/193514292156789';

is($t->get($few, -json => 1)->status, 200, 'one') for 1 .. 5;
refused($few, 1, 62);

$second->close;
(my $more = $conf) =~ s/rate=5r/rate=7r/;
$t->reload($more);
is($t->get($few, -json => 1)->status, 200, 'two more after a reload') for 1 .. 2;
refused($few, 1, 62);

$more =~ s/rate=7r/rate=700r/;
$t->reload($more);
is($t->get($few, -json => 1)->status, 200, 'many') for 1 .. 2;

is($t->sim->count(kind => 'api'), 12, 'what was refused was not sent');
is(scalar(grep { /\[error\].*intuit limiting requests, next slot in \d+ ms, realm "/ }
    $t->log_lines), 8, 'a line for each that was refused');

done_testing();
