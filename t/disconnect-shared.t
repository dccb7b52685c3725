#!/usr/bin/perl

# Two nginx over one state_path, as during a binary upgrade: a company that is
# disconnected in one of them stays so, and is revoked at Intuit at last.
# The attack: the other one has refreshed the connection since, and so its file
# is newer than what the first one knows; and it has a company of its own to
# revoke while Intuit is down.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(label => 'one');
my $u = Test::Intuit->new(label => 'two', sim => 0);

my $REALM = '9130347957983546';
my $OTHER = '193514292156789';
my $SIM = $t->sim->base;
my $STATE = $t->dir . '/state';
my $SECRET = $t->write_secret('secret', 'sim-client-secret');
my $KEY = $t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $CONF = <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          $SIM/.well-known/openid_sandbox_configuration;
        api_url             $SIM;
        client_id           sim-client-id;
        client_secret_file  $SECRET;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;

        state_path           $STATE;
        encryption_key_file  $KEY;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my @api = ("/v3/company/-/companyinfo/$REALM", -json => 1);

sub expired {
    my $until = time + 2;
    $t->wait_until(sub { time >= $until });
}

sub generation {
    my ($last) = sort { $b cmp $a } map { /-([0-9a-f]{16})\.state$/ }
        glob "$STATE/*.state";
    return $last;
}

$t->sim->config(access_ttl => 1, rotate_after => 0);
$t->conf($CONF)->start;
$t->signed_in(realm => $REALM);
$u->conf($CONF)->start;

for (1 .. 4) {
    expired();
    is($u->get(@api)->status, 200, 'the other one refreshes');
}

# Intuit says yes and does nothing, so that the tokens would still serve

$t->sim->script({ kind => 'revoke', times => -1, action => { status => 200 } });

my $before = generation();
my $r = $t->post('/disconnect', "realm=$REALM", -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded');
ok($r->json->{disconnected}, 'disconnected in the first');
ok($t->wait_until(sub { generation() gt $before }, 20),
    '... which is in the newest file');

sub refused {
    my ($name, $nginx) = @_;
    is($nginx->get(@api)->json->{error}, 'reconnect_required', $name);
}

expired();
refused('it is disconnected there', $t);
refused('... and in the other one, when it refreshes next', $u);
$t->sim->reset('journal');
$_->stop, $_->start for $t, $u;
refused('... also after a restart', $t);
refused('... of both', $u);
is($t->sim->count, 0, 'Intuit is not asked');

$t->signed_in(realm => $REALM);
is($t->get(@api)->status, 200, 'it can be connected again');
$u->stop;
$u->start;
is($u->get(@api)->status, 200, '... in both');

# each has something to do at Intuit that waits

sub disconnect {
    my ($nginx, $realm) = @_;
    return $nginx->post('/disconnect', "realm=$realm", -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded')->json->{revoked};
}

# whose tokens serve
sub active {
    my %realm = map { $_->{realm} => 1 } grep { $_->{state} eq 'active' } $t->sim->tokens;
    return join ' ', sort keys %realm;
}

$t->signed_in(realm => $OTHER);
$u->stop;
$u->start;
is(active(), "$OTHER $REALM", 'two companies are connected');

$t->sim->reset('scripts');
$t->sim->script({ kind => 'revoke', times => -1, action => { status => 503,
    headers => { 'Retry-After' => '1' } } });
is(disconnect($t, $REALM), 'pending', 'one is disconnected while Intuit is down');
is(disconnect($u, $OTHER), 'pending', '... and the other one, in the other nginx');
is(active(), "$OTHER $REALM", '... and Intuit does not know');

$_->stop for $t, $u;
$t->sim->reset('scripts');
$t->start;
ok($t->wait_until(sub { active() eq '' }, 300),
    'Intuit is back, and one nginx: both are revoked');

$u->finish;

done_testing();
