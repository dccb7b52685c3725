#!/usr/bin/perl

# The attack: SIGSEGV in a worker, and SIGKILL for the master.  A worker that
# crashes takes nobody's session along.  Workers without a master go on serving;
# a second nginx does not start beside them (its port is taken) and does them no
# harm; once they have ended it starts, and the company is connected, by its file.
#
# Rows: F-PRC-02 F-PRC-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', '5d' x 32);
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

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
        allow_realm         any;
        probe               off;
        state_path          %%DIR%%/state;
        encryption_key_file %%DIR%%/key;
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
my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

sub serves {
    my ($name) = @_;
    is($t->get('/index.html', -jar => $jar)->body, "in\n", "$name: signed in");
    is($t->get($api, -json => 1)->status, 200, '... and connected');
}

serves('at first');

# AddressSanitizer would report it
my $signal = Test::Intuit::variant() eq 'asan' ? 'KILL' : 'SEGV';

for (1 .. 3) {
    $t->kill_worker($_, $signal) for $t->workers;
    serves('both workers have crashed');
}

# -- the master -------------------------------------------------------------------

my @workers = $t->workers;
my $master = $t->pid;

kill 'KILL', $master;
ok($t->wait_until(sub { $t->gone }), 'the master is killed');

serves('workers without a master');
is($t->login($t->jar, '/index.html', realm => '9130347957983546')->status, 302,
    '... and one can sign in');

$t->allow(qr/bind\(\) to \S+ failed|still could not bind\(\)/);
{
    # it tries for a few seconds, and gives up
    my $pid = $t->spawn($t->dir . '/logs/second.log', $t->command('nginx.conf'));
    waitpid $pid, 0;
    isnt($? >> 8, 0, 'a second nginx does not start');
}
like($t->read_file('logs/second.log') . $t->read_file('logs/error.log'),
    qr/Address already in use/, '... and says why');
serves('the first goes on');

kill 'QUIT', @workers;
ok($t->wait_until(sub { !grep { -e "/proc/$_" } @workers }),
    'its workers end when told to');

$t->start;
is($t->get($api, -json => 1)->status, 200, 'a new one is connected');
is($t->get('/index.html', -jar => $t->signed_in(path => '/index.html',
    realm => '9130347957983546'))->body, "in\n", '... and one can sign in');

done_testing();
