#!/usr/bin/perl

# The client library's AuthClientError(status_code, content, headers, intuit_tid,
# timestamp): its members are in the JSON, on the page, in $intuit_error and $intuit_tid, and
# in one line of the log.  What Intuit has sent as content is not repeated: it may hold what
# was sent.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', $t->sim->{client_secret});
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    log_format variables "$intuit_error $intuit_tid";
    access_log %%DIR%%/logs/access.log;
    access_log %%DIR%%/logs/variables.log variables;

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

        location / {
            auth_intuit books;
        }
    }
}
CONF

my $realm = '9130347957983546';
$t->sim->script({ kind => 'token', times => -1, action => { status => 400,
    json => { error => 'invalid_grant', error_description => 'SECRETMARK' } } });

sub failed {
    my ($jar, @how) = ($t->jar, @_);
    my $url = $t->get('/index.html', -jar => $jar, -browser => 1)
        ->header('Location');
    return $t->get($t->consent($jar, $url, realm => $realm), -jar => $jar, @how);
}

my $r = failed(-json => 1);
my $tid = (reverse $t->sim->journal(kind => 'token'))[0]{intuit_tid};
my $json = $r->json;

is($json->{status_code}, $r->status, 'status_code, the same as in HTTP');
is($json->{error}, 'code_refused', 'error');
like($json->{error_description}, qr/sign\s+in again/, 'error_description: what to do');
is($json->{intuit_tid}, $tid, "intuit_tid: Intuit's own");
like($json->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'timestamp');

my @lines = grep { /intuit code_refused: / } $t->log_lines;
is(scalar @lines, 1, 'one line in the log');
like($lines[0], qr/^\d{4}\/\d\d\/\d\d .*, status_code: 400, intuit_tid: \Q$tid\E/,
    '... with the time, the status and the tid');

$r = failed(-browser => 1);
$tid = (reverse $t->sim->journal(kind => 'token'))[0]{intuit_tid};
like($r->body, qr{<dd>code_refused</dd>.*<dd>400</dd>.*<dd>\Q$tid\E</dd>.*<dd>\d{4}-}s,
    'the page has them, too');
unlike($r->raw, qr/SECRETMARK/, "and nothing of Intuit's text");

my ($last) = reverse split /\n/, $t->read_file('logs/variables.log');
is($last, "code_refused $tid", '$intuit_error and $intuit_tid');

done_testing();
