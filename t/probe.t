#!/usr/bin/perl

# The newcomer's first question, answered in the log without a login: does
# Intuit accept these keys, and which redirect URI is to be registered?  It is
# asked once for all workers, and again only for another secret; and it holds
# nothing up when Intuit cannot be reached.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('wrong', 'sim-client-secret-of-another-app');
$t->write_file('html/index.html', "the tool\n");

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log notice;
worker_processes 4;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/SECRET;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               on;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

my ($good, $bad) = map { $conf =~ s/SECRET/$_/r } 'secret', 'wrong';

# the first one, and a new one beside it
my ($block) = $good =~ /(    intuit_provider books.*?\n    \}\n)/s;
my $more = $block =~ s/books/more/r =~ s/sim-client-id/another-id/r;
my $two = $good =~ s/\Q$block\E/$block$more/r;

sub said { scalar grep { $_ =~ $_[0] } $t->log_lines }

my $redirect = 'http://localhost:' . $t->port . '/intuit/callback';
my $accepted = qr{\[notice\].*keys[ ]accepted[ ]by[ ]Intuit[ ]\(sandbox\);
    [ ]register[ ]exactly[ ]\Q$redirect\E}x;

# -- down at first

$t->sim->control('POST', '/down');
$t->conf($good)->start;

ok($t->wait_log(qr/discovery document could not be read/), 'asked in vain');
is($t->get('/', -json => 1)->status, 401, 'requests are answered');

$t->sim->control('POST', '/up');

ok($t->wait_log($accepted), 'it is asked again');

my @probes = $t->sim->journal(kind => 'token');

is(scalar @probes, 1, 'by one of four workers');
like($probes[0]{body}, qr/^grant_type=authorization_code&code=key-probe&/,
    'with a code that cannot work');
is($probes[0]{status}, 400, 'so that nothing happens at Intuit');
is(said($accepted), 1, 'and one line says so');

# -- after a reload

# the new provider's probe is asked by a worker after that of the old one
$t->reload($two);

ok($t->wait_log(qr/provider more .* is refused by Intuit/),
    'a new provider is asked for');
is(join(' ', sort map { $_->{client_id} } $t->sim->journal(kind => 'token')),
    'another-id sim-client-id', 'the old one is not asked for again');

# -- another secret

$t->sim->reset('journal');
$t->reload($bad);

ok($t->wait_log(qr/provider books .* is refused by Intuit/),
    'a wrong secret is refused');

my @lines = split /\n/, $t->read_file('nginx.conf');
my ($number) = grep { $lines[$_ - 1] =~ /intuit_provider books/ } 1 .. @lines;
my ($error) = grep { /provider books .* is refused/ } $t->log_lines;

like($error, qr/\[error\]/, 'as an error');
like($error, qr/client_secret_file of provider books/, 'that names the file');
like($error, qr{/nginx\.conf:$number\) is refused}, 'and the place');
is($t->sim->count(kind => 'token'), 1, 'asked once');
is($t->get('/', -browser => 1)->status, 302, 'it holds nothing up');

# -- answers that decide nothing are asked again, a decision is not

$t->write_secret('wrong', 'sim-client-secret-of-a-third-app');
$t->sim->reset('journal');
$t->sim->script({ kind => 'token', times => 1, action => { status => 503,
    body => 'SECRETMARK' } });
$t->reload($bad);

ok($t->wait_until(sub { said(qr/provider books .* is refused/) == 2 }),
    '503 at first: asked again');
is($t->sim->count(kind => 'token'), 2, 'twice');
ok(!said(qr/SECRETMARK/), 'no text of the answer is logged');

done_testing;
