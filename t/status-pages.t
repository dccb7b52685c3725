#!/usr/bin/perl

# intuit_status with more companies than fit on a page: each is on exactly one page
# of the JSON document and of the HTML page, and other requests have their turn while
# they are looked at.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

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
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location = /status {
            intuit_status;
        }

        location = /metrics {
            intuit_status format=prometheus;
        }
    }
}
CONF

my $number = $ENV{TEST_COMPANIES} || 120;
my $web = $t->connect;

for (1 .. $number) {
    my $realm = 8000000000000000 + $_ * 7;
    my $token = $t->sim->issue(realm => "$realm")->{refresh_token};
    my $r = $t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1,
        -connection => $web);
    $r->status == 200 or die $r->body;
}

my (%met, @sizes);
my ($page, $pages) = (1, 1);

for (; $page <= $pages; $page++) {
    my $json = $t->get("/status?page=$page", -json => 1)->json->{connections};
    is($json->{page}, $page, "page $page");
    is($json->{total}, $number, '... of all of them');
    $pages = $json->{pages};
    push @sizes, scalar @{ $json->{list} };
    $met{ $_->{realm_id} }++ for @{ $json->{list} };
}

is($pages, int(($number + 99) / 100), 'a hundred a page');
is(scalar(keys %met), $number, 'each is there');
is(scalar(grep { $_ != 1 } values %met), 0, '... once');

%met = ();
my $url = '/status?page=1';

for (1 .. 1000) {
    my $body = $t->get($url, -browser => 1)->body;
    $met{$_}++ for $body =~ m{<small>(\d+)<br>by books</small></th>}g;
    my ($next) = $body =~ /rel="next" href="(\?page=\d+)"/ or last;
    $url = "/status$next";
}

is(scalar(keys %met), $number, 'each is on the page');
is(scalar(grep { $_ != 1 } values %met), 0, '... once, by its links');
like($t->get('/status?page=2', -browser => 1)->body, qr/>51 to 100 of $number</,
    'which say where one is');
like($t->get('/status?page=9999', -browser => 1)->body, qr/rel="prev"/,
    'beyond the last: the last');
like($t->get('/metrics')->body, qr/^intuit_connections_omitted 0$/m, 'metrics have them');

done_testing();
