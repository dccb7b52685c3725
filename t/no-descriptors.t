#!/usr/bin/perl

# The attack: no descriptor is left, or no connection.  Clients that sit on all of
# a worker's keep others out; the promise is that nothing else comes of it: no
# worker dies, a refresh or a login that finds no socket says 503 or 502 and loses
# no token, and all is as before when they have gone.
#
# Rows: F-PRC-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");
$t->allow(qr/\[alert\].*worker_connections are not enough/);
$t->allow(qr/\[alert\] .*socket\(\) failed \(24: Too many open files\)/);
$t->allow(qr/\[(?:crit|alert)\] .*\(24: Too many open files\)/);

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
%%RLIMIT%%

events { worker_connections %%CONNECTIONS%%; }

http {
    access_log %%DIR%%/logs/access.log;
    client_header_timeout 120s;
    intuit_limit off;

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

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $api = '/v3/company/-/companyinfo/9130347957983546';
my $started;

for my $case ([ 'connections', '', 24 ],
    [ 'descriptors', 'worker_rlimit_nofile 32;', 512 ])
{
    my ($what, $rlimit, $connections) = @$case;

    $t->stop if $started++;
    $t->conf($conf =~ s/%%RLIMIT%%/$rlimit/r =~ s/%%CONNECTIONS%%/$connections/r)
        ->start;

    my $jar = $t->signed_in(path => '/index.html',
        realm => '9130347957983546');

    for my $free (1 .. 4) {
        # an API call that will need a refresh, and a login at its callback
        $t->sim->control('POST', '/expire-access', { realm => '9130347957983546' });
        my $new = $t->jar;
        my $r = $t->get('/index.html', -jar => $new, -browser => 1);
        my $callback = $t->consent($new, $r->header('Location'),
            realm => '9130347957983546');

        # those who ask come first, those who sit there take the rest
        my @asking = map { $t->connect(timeout => 20) } 1, 2;
        my @sitting = map { my $c = eval { $t->connect }; $c // () } 1 .. 60;
        $_->send('GET / HTTP/1.1') for @sitting;
        select undef, undef, undef, 0.2;
        $_->close for splice @sitting, 0, $free;

        $asking[0]->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
            . "Accept: application/json\r\n\r\n");
        $asking[1]->send("GET $callback HTTP/1.1\r\nHost: localhost\r\nCookie: "
            . $new->header_for($callback) . "\r\n\r\n");

        for my $c (@asking) {
            my $r = $c->response;
            like($r ? $r->status : 0, qr/^(?:0|200|302|401|50[0234])$/,
                "no $what, $free of them free: " . ($r ? $r->status : 'closed'));
        }

        $_->close for @asking, @sitting;

        ok($t->wait_until(sub {
            my $r = eval { $t->get($api, -json => 1) };
            $r && $r->status =~ /^(?:200|401)$/ }), '... the API is there again');
        ok($t->wait_until(sub {
            my $r = eval { $t->login($t->jar, '/index.html',
                realm => '9130347957983546') };
            $r && $r->status == 302 }), '... and logins work');
        ok($t->wait_until(sub { $t->get($api, -json => 1)->status == 200 }),
            '... the company is connected');
        is($t->get('/index.html', -jar => $jar)->body, "in\n",
            '... who was signed in is so still');
    }
}

is(scalar(grep { /connection has ended/ } $t->log_lines), 0,
    'no token was lost');

done_testing();
