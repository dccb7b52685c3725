#!/usr/bin/perl

# The signing keys are read by the first login that needs them.  A second
# login that comes meanwhile waits for the same answer: it neither fails nor
# asks Intuit again, and a failure is not multiplied.
#
# Rows: F-OP-17

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

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
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;
    }
}
CONF

# The callbacks of so many browsers, up to the moment when the first has asked
# for the keys and all tokens have come; then what they got.
sub together {
    my ($count, $action) = @_;
    my (@connections, @callbacks);

    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'jwks', action => $action });

    for (1 .. $count) {
        my $jar = $t->jar;
        my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
        my $callback = $t->consent($jar, $r->header('Location'),
            realm => '9130347957983546');

        push @callbacks, "GET $callback HTTP/1.1\r\nHost: localhost:"
            . $t->port . "\r\nCookie: " . $jar->header_for($callback)
            . "\r\nConnection: close\r\n\r\n";
    }

    for my $callback (@callbacks) {
        push @connections, my $c = $t->connect;
        $c->send($callback);
    }

    $t->sim->wait_for(kind => 'token', count => $count, answered => 1);
    $t->sim->parked('keys');

    # the only worker answers this after it has read the tokens
    $t->get('/index.html', -json => 1);

    $t->sim->release('keys');

    return map { $_->response->status } @connections;
}

is(join(' ', together(3, { barrier => 'keys', when => 'after',
    status => 500 })), '503 503 503', 'without keys nobody is signed in');
is($t->sim->count(kind => 'jwks'), 1, 'and Intuit was asked once');

# after a failure Intuit is left alone for a second
my $until = time + 2;
$t->wait_until(sub { time >= $until });

is(join(' ', together(4, { barrier => 'keys' })), '302 302 302 302',
    'all who came together are signed in');
is($t->sim->count(kind => 'jwks'), 1, 'after one question for the keys');

done_testing();
