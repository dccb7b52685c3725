#!/usr/bin/perl

# intuit_status format=prometheus: text that a strict reader takes, names by the
# conventions, and labels that stay labels whatever a company calls itself.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Metrics;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }

        location = /metrics {
            intuit_status format=prometheus;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

sub metrics {
    my ($name) = @_;
    my $r = $t->get('/metrics', -browser => 1);
    my ($metrics, @wrong) = parse($r->body);
    is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
        "$name: the type of this format");
    is(join("\n", @wrong), '', '... which a strict reader takes');
    return ($metrics, $r->body);
}

# -- negative controls: the reader refuses

my $sample = "# HELP intuit_x_total X.\n# TYPE intuit_x_total counter\n";

my (undef, @none) = parse("${sample}intuit_x_total{a=\"b\\n\\\\\\\"\"} 1\n");
is("@none", '', 'a good text');

for (
    [ 'no line feed at the end', "${sample}intuit_x_total 1" ],
    [ 'a bare quote', "${sample}intuit_x_total{a=\"b\"c\"} 1\n" ],
    [ 'an escape of its own', "${sample}intuit_x_total{a=\"b\\t\"} 1\n" ],
    [ 'no value', "${sample}intuit_x_total{a=\"b\"}\n" ],
    [ 'a comma too many', "${sample}intuit_x_total{a=\"b\",} 1\n" ],
    [ 'a label twice', "${sample}intuit_x_total{a=\"b\",a=\"c\"} 1\n" ],
    [ 'a series twice', "${sample}intuit_x_total 1\nintuit_x_total 2\n" ],
    [ 'less than nothing', "${sample}intuit_x_total -1\n" ],
    [ 'no type', "intuit_x_total 1\n" ],
    [ 'a type twice', "$sample${sample}intuit_x_total 1\n" ],
    [ 'torn apart', "${sample}intuit_x_total{a=\"1\"} 1\n"
        . ($sample =~ s/_x_/_y_/gr) . "intuit_y_total 1\nintuit_x_total{a=\"2\"} 1\n" ],
    [ 'a counter without _total', $sample =~ s/_total//gr . "intuit_x 1\n" ],
    [ 'milliseconds', $sample =~ s/_x_total/_x_ms/gr =~ s/counter/gauge/r
        . "intuit_x_ms 1\n" ],
    [ 'nothing', "\n" ],
    [ 'no UTF-8', "${sample}intuit_x_total{a=\"\xff\"} 1\n" ],
) {
    my ($name, $text) = @$_;
    my (undef, @wrong) = parse($text);
    ok(scalar @wrong, "negative control: $name");
}

# -- before anything has happened

$t->wait_log(qr/keys accepted/);
my ($m) = metrics('empty');
is(value($m, 'intuit_healthy'), 1, 'healthy');
is(value($m, 'intuit_keys_accepted', provider => 'books'), 1, 'the keys are good');
is(value($m, 'intuit_connections', provider => 'books', state => 'connected'), 0,
    'no company');
ok(value($m, 'intuit_zone_size_bytes') == 16 * 1024 * 1024, "the zone's size in bytes");
is(value($m, 'intuit_logins_total', result => 'succeeded'), 0, 'no login');

# -- companies, one with a name for a parser's nightmares

my $bakery = '9130347957983546';
my $joinery = '4620816365041297150';
my $name = "Say \"hi\" \\n \n{a=\"b\"} 1 # caf\x{e9}\r";

$t->sim->script({ kind => 'api', times => 1, action => { json => { CompanyInfo => {
    CompanyName => $name, Id => '1' } } } });

for my $realm ($bakery, $joinery) {
    my $token = $t->sim->issue(realm => $realm)->{refresh_token};
    is($t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1)->status, 200,
        "$realm is connected");
}

is($t->post('/connect', 'realm=1', -json => 1)->status, 400, 'an error');

($m, my $text) = metrics('two companies');

my ($info) = series($m, 'intuit_connection_info', realm => $bakery);
my $shown = $name =~ s/\r/?/r;
utf8::encode($shown);
is($info->[0]{company}, $shown, 'a name that is read back');
is((series($m, 'intuit_connection_info', realm => $joinery))[0][0]{company},
    "O'Brien & Sons <Joinery>", '... and another');
is(value($m, 'intuit_connection_state', realm => $bakery), 1, 'one state each');
is((series($m, 'intuit_connection_state', realm => $bakery))[0][0]{state}, 'connected',
    '... which is connected');
is(value($m, 'intuit_connection_up', realm => $bakery), 1, 'it can be served');
ok(abs(value($m, 'intuit_connection_access_token_expiry_timestamp_seconds',
    realm => $bakery) - time - 3600) < 60, 'seconds since the epoch');
ok(abs(value($m, 'intuit_connection_last_refresh_timestamp_seconds',
    realm => $bakery) - time) < 60, '... too');
is(value($m, 'intuit_connections', provider => 'books', state => 'connected'), 2,
    'counted by state');
is(value($m, 'intuit_connections_omitted'), 0, 'none is left out');
is(value($m, 'intuit_logins_total', result => 'succeeded'), 2, 'two connects');
is(value($m, 'intuit_errors_total', error => 'invalid_body'), 1, 'the error');

# what conf-examples/prometheus-alerts.yml asks for is there

is($t->get("/v3/company/-/companyinfo/$bakery", -json => 1)->status, 200, 'a call');
($m) = metrics('after a call');

my $rules = slurp("$FindBin::Bin/../conf-examples/prometheus-alerts.yml");
my @asked = $rules =~ /^ +expr: (.*)$/mg;
my @unknown;

for my $expr (@asked, 'intuit_nobody{state="lost"}') {
    for my $asked ($expr =~ /\b(intuit_\w+(?:\{[^}]*\})?)/g) {
        my ($series, $label, $values) = $asked =~ /^(\w+)(?:\{(\w+)=~?"([^"]*)"\})?$/;
        push @unknown, $series if !$label && !series($m, $series);
        push @unknown, map { "$series $_" }
            grep { !series($m, $series, $label => $_) } split /\|/, $values // '';
    }
}

cmp_ok(scalar @asked, '>', 5, 'the alert rules of the example');
is("@unknown", 'intuit_nobody lost', '... ask for what there is (and a control does not)');

is($t->post('/disconnect', "realm=$bakery", -json => 1)->status, 200, 'one goes');
($m) = metrics('one company');
is(scalar(series($m, 'intuit_connection_info')), 1, '... with its series');
is(value($m, 'intuit_disconnects_total'), 1, 'which is counted');

my @found = grep { length && index($text, $_) >= 0 }
    map { @$_{qw(access_token refresh_token)} } $t->sim->tokens;
is("@found", '', 'no token');

done_testing();


sub slurp {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!";
    local $/;
    return <$file>;
}
