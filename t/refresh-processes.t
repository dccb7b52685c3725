#!/usr/bin/perl

# A refresh that is under way survives a reload and a graceful end; and if the
# worker that is at it is killed, another one takes over once that one's time is
# up: nobody waits for a dead one for ever, and nothing is asked twice.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF';
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
        connect_timeout     1s;
        read_timeout        2s;
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

$t->conf($conf)->start;

my $api = '/v3/company/-/companyinfo/9130347957983546';

sub call { return $t->get($api, -json => 1, @_) }

# the refresh tokens that were sent
sub sent {
    return map { $_->{body} =~ /refresh_token=([^&]+)/ ? $1 : () }
        $t->sim->journal(kind => 'token', grant_type => 'refresh_token');
}

# the access token of the last API call
sub used {
    my ($last) = reverse grep { $_->{method} eq 'GET' }
        $t->sim->journal(kind => 'api');
    return $last->{headers}{authorization} =~ s/^Bearer //r;
}

sub log_has {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } $t->log_lines;
}

sub answer {
    my ($action, $times) = @_;
    $t->sim->script({ kind => 'token', match => { grant_type =>
        'refresh_token' }, times => $times // 1, action => $action });
}

# a token that the gateway takes to live for a second, and Intuit for an hour
sub expired {
    $t->sim->script({ kind => 'token', action => { merge =>
        { expires_in => 1 } } });
    $t->signed_in(realm => '9130347957983546');

    my $until = time + 2;
    $t->wait_until(sub { time >= $until });
    $t->sim->reset('journal', 'scripts');
}

sub asks {
    my $c = $t->connect(timeout => 30);
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nConnection: close\r\n\r\n");
    return $c;
}

# reload

expired();
answer({ barrier => 'reload' });
my @clients = map { asks() } 1 .. 5;
$t->sim->parked('reload');
ok($t->reload($conf, linger => 1), 'a reload in the middle of a refresh');
push @clients, map { asks() } 1 .. 5;
$t->sim->release('reload');

my %status;
$status{$_->response->status}++ for @clients;
is_deeply(\%status, { 200 => 10 }, 'all are served, of the old and the new');
is(scalar(sent()), 1, '... after one refresh');

# a graceful end

$t->wait_until(sub { my @workers = $t->children; @workers == 2 });
$t->stop;
$t->start;
expired();
answer({ delay_ms => 1000, when => 'after' });
my $first = asks();
$t->sim->wait_for(kind => 'token');
$t->stop;
is($first->response->status, 200, 'QUIT in the middle of a refresh: served');
is(scalar(sent()), 1, '... after that refresh');

# the worker that is at it

$t->start;
expired();
answer({ barrier => 'killed' });
$first = asks();
$t->sim->parked('killed');

# whose connection to the simulator is it?
my @owner = grep { has_upstream($_) } $t->workers;
is(scalar @owner, 1, 'one worker is at it');
$t->kill_worker($owner[0], 'KILL');
$t->sim->release('killed');

@clients = map { asks() } 1 .. 5;
%status = ();
$status{$_->response->status}++ for @clients;
is_deeply(\%status, { 200 => 5 }, 'killed: another worker takes over');
is(scalar(sent()), 2, '... with one more refresh');
ok(log_has('left unfinished by another worker'), '... says the log');

sub has_upstream {
    my ($pid) = @_;
    my $hex = sprintf '0100007F:%04X', $t->sim->port;
    my %inode;

    open my $tcp, '<', '/proc/net/tcp' or return 0;

    while (<$tcp>) {
        my @f = split;
        $inode{$f[9]} = 1 if $f[2] eq $hex && $f[3] eq '01';
    }

    return scalar grep { (readlink // '') =~ /^socket:\[(\d+)\]/ && $inode{$1} }
        glob "/proc/$pid/fd/*";
}

done_testing();
