#!/usr/bin/perl

# Two minutes of 20 clients who together ask for three times a company's quota,
# over two workers: Intuit's limits, which the simulator enforces, are never
# met, the quota is used up, and everybody gets an equal part of it.  Meanwhile
# another company is as fast as it is alone (shown, not judged).

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use IO::Select;
use Time::HiRes qw(time);

plan skip_all => 'slow; make test-all runs it' if !$ENV{TEST_ALL};

my $SECONDS = $ENV{LIMIT_SECONDS} || 120;

my $t = Test::Intuit->new(sim => ['--quota']);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    keepalive_requests 100000;

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
        }

        location /other/ {
            rewrite ^/other(/.*) $1 break;
            intuit_proxy books realm=193514292156789;
        }
    }
}
CONF

$t->signed_in(realm => $_) for qw(9130347957983546 193514292156789);
$t->sim->reset('journal');

my $busy = '/v3/company/-/companyinfo/9130347957983546';
my $other = '/other/v3/company/-/companyinfo/193514292156789';

sub send_one {
    my ($c, $path) = @_;
    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\n\r\n");
}

# one request after the other, four a second
sub probe {
    my ($c, $times, $due) = @_;
    my $start = time;
    send_one($c, $other);
    my $r = $c->response;
    push @$times, 1000 * (time - $start);
    return $r->status;
}

sub figures {
    my @t = sort { $a <=> $b } @_;
    return sprintf 'n %d, p50 %.1f ms, p99 %.1f ms', scalar @t,
        $t[$#t * 0.5], $t[$#t * 0.99];
}

my (@alone, @beside, %bad);
my $p = $t->connect;

for (1 .. 4 * ($SECONDS / 6)) {
    $bad{probe($p, \@alone)}++;
    select undef, undef, undef, 0.25;
}

# Each client asks at 3 * 480 / 60 / 20 requests a second, or as soon as it has
# its answer: a 429 counts as a request.

my @clients = map { { c => $t->connect, due => time + $_ / 24, served => 0,
    refused => 0 } } 1 .. 20;
my $select = IO::Select->new;
my $end = time + $SECONDS;
my $next = time;

while (time < $end) {
    for my $client (grep { !$_->{busy} && time >= $_->{due} } @clients) {
        send_one($client->{c}, $busy);
        $client->{busy} = 1;
        $client->{due} += 20 / 24;
        $client->{due} = time if $client->{due} < time;
        $select->add($client->{c}->socket);
    }

    for my $socket ($select->can_read(0.01)) {
        my ($client) = grep { $_->{c}->socket == $socket } @clients;
        my $status = $client->{c}->response->status;
        $status == 200 ? $client->{served}++ : $client->{refused}++;
        $bad{$status}++ if $status != 429;
        $client->{busy} = 0;
        $select->remove($socket);
    }

    if (time >= $next) {
        $bad{probe($p, \@beside)}++;
        $next = time + 0.25;
    }
}

my @served = sort { $a <=> $b } map { $_->{served} } @clients;
my $total = 0;
$total += $_ for @served;

delete $bad{200};
is_deeply(\%bad, {}, 'nothing but 200, and 429 of our own');
is($t->sim->count(kind => 'api', status => 429), 0, 'no 429 of Intuit');
cmp_ok($total, '>=', 0.9 * 8 * $SECONDS, "the quota is used: $total requests");
cmp_ok($served[-1], '<=', 1.5 * $served[0],
    "equal shares: $served[0] to $served[-1]");
cmp_ok($_->{served} + $_->{refused}, '>', 0, 'a client has asked') for $clients[0];

diag("another company alone:  ", figures(@alone));
diag("another company beside: ", figures(@beside));

done_testing();
