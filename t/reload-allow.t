#!/usr/bin/perl

# Sessions outlive a reload.  When the new configuration no longer allows
# somebody's company or e-mail address, their session ends with it, and
# nobody else's does.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        ALLOW
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

sub conf { my ($allow) = @_; return $conf =~ s/ALLOW/$allow/r }

my ($one, $two) = ('9130347957983546', '4620816365041297150');

$t->conf(conf('allow_realm any;'))->start;

my %jar = (
    'ada, one' => $t->signed_in(path => '/index.html', realm => $one),
    'bob, one' => $t->signed_in(path => '/index.html', realm => $one,
        user => 'bob@example.com'),
    'bob, two' => $t->signed_in(path => '/index.html', realm => $two,
        user => 'bob@example.com'),
    'mallory, one' => $t->signed_in(path => '/index.html', realm => $one,
        user => 'mallory@evil.example'),
);

# each of them with all the rules before it
for my $step (
    [ "allow_realm $one $two;",
      'ada, one', 'bob, one', 'bob, two', 'mallory, one' ],
    [ "allow_realm $one; allow_email any;",
      'ada, one', 'bob, one', 'mallory, one' ],
    [ "allow_realm $one; allow_email \@example.com;",
      'ada, one', 'bob, one' ],
    [ "allow_email ada\@example.com x\@example.com;", 'ada, one' ],
    [ 'allow_realm any;', 'ada, one' ])
{
    my ($allow, @in) = @$step;
    my %in = map { $_ => 1 } @in;

    ok($t->reload(conf($allow)), $allow);

    for my $who (sort keys %jar) {
        my $status = $in{$who} ? 200 : 401;
        my ($realm) = $who =~ /one/ ? $one : $two;
        my $api = "/v3/company/-/companyinfo/$realm";

        is($t->get('/index.html', -jar => $jar{$who}, -json => 1)->status,
            $status, "$who: page");
        is($t->get($api, -jar => $jar{$who}, -json => 1,
            -port => $t->port(8081))->status, $status, "$who: API");
    }
}

is(scalar(grep { /session is ended: provider/ } $t->log_lines), 3,
    'one line for each session that was ended');

done_testing();
