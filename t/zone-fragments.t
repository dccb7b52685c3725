#!/usr/bin/perl

# The attack: tokens of changing length.  Each refresh of a company brings short
# tokens, then long ones, hundreds of times, while people sign in and out; that
# leaves holes in the zone.  The promise: afterwards it still holds nearly as many
# sessions as a new one of its size, and every company.
#
# Rows: F-SHM-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $ROUNDS = $ENV{TEST_ALL} ? 3000 : 150;
my @realms = qw(9130347957983546 4620816365041297150 193514292156789);

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log warn;
worker_processes 1;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log off;
    intuit_shared_zone zone=small:256k;
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
        session_timeout     1000d;
        session_idle_timeout 1000d;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;

        location ~ ^/program/(?<company>\d+)(?<rest>/.*) {
            auth_intuit off;
            rewrite ^ $rest break;
            intuit_proxy books realm=$company;
        }

        location = /status {
            auth_intuit off;
            intuit_status format=json;
        }
    }
}
CONF

my $t = Test::Intuit->new();
watch($t);
$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");
$t->conf($conf);
forward(0);
start_faked();

sub zone { $t->get('/status', -json => 1)->json->{zone} }
sub full { scalar grep { /"small" is full/ } $t->log_lines }

sub company {
    my ($realm) = @_;
    return $t->get("/program/$realm/v3/company/$realm/companyinfo/$realm",
        -json => 1)->status;
}

# so many sessions until one is evicted; one login makes up to 64
sub fill {
    my ($callback, $jar);
    my $made = 0;
    my $evicted = zone()->{sessions_evicted};

    while ($made < 3000) {
        if ($made % 50 == 0) {
            $jar = $t->jar;
            my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
            $callback = $t->consent($jar, $r->header('Location'),
                realm => $realms[0]);
            last if zone()->{sessions_evicted} > $evicted;
        }

        my $r = $t->get($callback, -jar => $jar->clone, -browser => 1);
        $made++;
        last if $r->status != 302;
    }

    return zone()->{sessions};
}

# as many as a new zone holds, with three companies of long tokens
$t->sim->config(access_bytes => 2500);
$t->signed_in(path => '/index.html', realm => $_) for @realms;
my $fresh = fill();
cmp_ok($fresh, '>', 50, "a new zone has room for $fresh sessions");

# a new nginx, and holes
$t->stop;
start_faked();
$t->signed_in(path => '/index.html', realm => $_) for @realms;

my %status;

for my $round (1 .. $ROUNDS) {
    $t->sim->config(access_bytes => $round % 2 ? 40 : 2500,
        ($round % 7 == 0 ? (rotate_after => 0) : (rotate_after => 86400)));
    forward(61);
    $status{company($_)}++ for @realms;

    if ($round % 10 == 0) {
        my $jar = $t->jar;
        $t->login($jar, '/index.html', realm => $realms[$round % 3]);
        $t->post('/intuit/logout', '', -jar => $jar,
            'Sec-Fetch-Site' => 'same-origin') if $round % 20;
        $t->sim->control('POST', '/reset', { only => [ 'journal' ] });
    }
}

is_deeply(\%status, { 200 => 3 * $ROUNDS }, 3 * $ROUNDS
    . ' refreshes, short and long by turns');
is(full(), 1, 'for which there was room');

$t->sim->config(access_bytes => 2500);
forward(61);
company($_) for @realms;
my $after = fill();

cmp_ok($after, '>=', 0.8 * $fresh,
    "$after sessions have room, where a new zone has $fresh");
is(company($_), 200, "company $_ is there") for @realms;

done_testing();
