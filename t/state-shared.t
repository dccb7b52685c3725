#!/usr/bin/perl

# Two nginx over one state_path, as during a binary upgrade.  The attack: all
# their clients come at once on an expired token, and Intuit kills the old
# refresh token with its answer.  One of the two refreshes, the other one waits
# and reads what was written; both go on with Intuit's last token.
#
# Rows: F-DSK-06

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(label => 'one');
my $u = Test::Intuit->new(label => 'two', sim => 0);

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $SIM = $t->sim->base;

my $STATE = $t->dir . '/state';
my $SECRET = $t->write_secret('secret', 'sim-client-secret');
my $KEY = $t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $CONF = <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

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
    }
}
CONF

# one and the same program is both
$t->sim->config(rotate_after => 0);
$t->sim->script({ kind => 'token', times => 1,
    action => { merge => { expires_in => 1 } } });

$t->conf($CONF)->start;
$t->signed_in(realm => $REALM);
$u->conf($CONF)->start;

my $until = time + 2;
$t->wait_until(sub { time >= $until });

$t->sim->script({ kind => 'token', times => 1, action => { barrier => 'refresh' } });

my @connections = map { ($t->connect, $u->connect) } 1 .. 20;

$_->send("GET $API HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    . "Connection: close\r\n\r\n") for @connections;

$t->sim->parked('refresh');
$t->sim->release('refresh');

my %status;
$status{$_->response->status}++ for @connections;

is_deeply(\%status, { 200 => 40 }, 'all are served, by both');
is(refreshes(), 1, 'after one refresh');
is_deeply([ keys %{ used() } ], [ current() ], 'with the token that is valid');

# the owner of the lock is killed: nobody waits for it longer than it lives
$t->sim->reset('journal');
$t->crash;
is($u->get($API, -json => 1)->status, 200, 'one is gone, the other goes on');

my @files = glob "$STATE/*.state";
is(scalar @files, 1, 'one file');

$t->start;
is($t->get($API, -json => 1)->status, 200, 'and it comes back');
is(refreshes(), 0, 'without a refresh');

$u->stop;
$u->finish;

done_testing();


sub refreshes {
    return scalar grep { $_->{body} =~ /grant_type=refresh_token/ }
        $t->sim->journal(kind => 'token');
}

sub used {
    return { map { $_->{headers}{authorization} => 1 }
        grep { $_->{path} =~ /companyinfo/ && $_->{headers}{authorization} }
        grep { $_->{n} > answered() } $t->sim->journal(kind => 'api') };
}

# calls before it are the login's own (CompanyInfo)
sub answered {
    my ($refresh) = grep { $_->{body} =~ /grant_type=refresh_token/ }
        $t->sim->journal(kind => 'token');
    return $refresh->{n};
}

sub current {
    my ($pair) = grep { $_->{access_state} eq 'valid' && $_->{state} eq 'active' }
        $t->sim->tokens;
    return "Bearer $pair->{access_token}";
}
