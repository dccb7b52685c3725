#!/usr/bin/perl

# intuit_migrate takes a company's OAuth 1.0a tokens over: one POST to Intuit,
# signed by RFC 5849 (which the simulator checks, and Perl's Digest::SHA here),
# and what comes back becomes the company's connection when it is proven.  No
# key or secret gets into a log; nothing that is refused changes anything.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Digest::SHA qw(hmac_sha1_base64);
use JSON::PP;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF';
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
        migrate_url         %%SIM%%/v2/oauth2/tokens/migrate;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /migrate {
            intuit_migrate books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

$t->conf($conf)->start;

my $realm = '9130347957983546';
my %secret = (one => 'oauth1/consumer+secret&of%the app',
    two => "oauth1 token secret *'()~");

$t->secret(values %secret);

sub oauth1 {
    my (%more) = @_;
    my $token = 'oauth1-token-' . int rand 1e9;

    $t->secret($token);
    $t->sim->control(POST => '/oauth1', { consumer_key => 'our-consumer key',
        consumer_secret => $secret{one}, token => $token,
        token_secret => $secret{two}, realm => $realm, %more });

    return { consumer_key => 'our-consumer key',
        consumer_secret => $secret{one}, access_token => $token,
        access_secret => $secret{two} };
}

sub migrate {
    my ($body, @more) = @_;
    return $t->post('/migrate', ref $body ? encode_json($body) : $body,
        -json => 1, 'Content-Type' => 'application/json', @more);
}

sub api { $t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status }

# -- refused without asking Intuit

my %good = map { $_ => 'x' }
    qw(consumer_key consumer_secret access_token access_secret);

for (
    [ 'another site', 403, 'cross_site_request', \%good,
        'Sec-Fetch-Site' => 'cross-site' ],
    [ "another name's page", 403, 'client_not_allowed', \%good,
        Host => 'evil.example' ],
    [ 'no body', 400, 'invalid_body', '' ],
    [ 'no JSON', 400, 'invalid_body', 'consumer_key=x' ],
    [ 'a list', 400, 'invalid_body', '[]' ],
    [ 'a member twice', 400, 'invalid_body',
        '{"realm":"1",' . substr(encode_json({ %good, realm => '2' }), 1) ],
    (map { my $name = $_; my %less = %good; delete $less{$name};
        [ "no $name", 400, 'invalid_body', \%less ],
        [ "an empty $name", 400, 'invalid_body', { %good, $name => '' } ],
        [ "a $name of another type", 400, 'invalid_body',
            { %good, $name => [ 'x' ] } ] } sort keys %good),
    [ 'a line end in a value', 400, 'invalid_body',
        { %good, access_token => "a\r\nb" } ],
    [ 'an odd company', 400, 'invalid_body', { %good, realm => '../1' } ],
    [ 'a company that is not allowed', 403, 'realm_not_allowed',
        { %good, realm => '193514292156789' } ],
) {
    my ($name, $status, $error, $body, @headers) = @$_;
    my $r = migrate($body, @headers);

    is($r->status, $status, "$name: $status");
    is($r->json->{error}, $error, "because of $error");
}

my $r = $t->get('/migrate', -json => 1);
is($r->status, 405, 'GET is not for this');
is($r->header('Allow'), 'POST', 'and the answer says what is');
is($t->sim->count(kind => 'migrate'), 0, 'Intuit was not asked');

# -- refused by Intuit

$r = migrate({ %{ oauth1() }, access_secret => 'another' });
is($r->status, 400, 'a signature that does not hold: 400');
is($r->json->{error}, 'token_refused', 'Intuit has refused the tokens');
ok($r->json->{intuit_tid}, "with Intuit's transaction id");

$r = migrate(oauth1(realm => '193514292156789'));
is($r->status, 403, 'tokens of a company that is not allowed: 403');
is($r->json->{error}, 'realm_not_allowed', 'it is not allowed');

$r = migrate({ %{ oauth1(realm => '193514292156789') }, realm => $realm });
is($r->status, 403, 'tokens of another company than was said: 403');
is($r->json->{error}, 'realm_not_proven', 'it is not the company');

$t->sim->script({ kind => 'migrate',
    action => { merge => { realmId => $realm } } });
$r = migrate(oauth1(realm => '193514292156789'));
is($r->status, 403, "a realmId that the tokens do not read: 403");
is($r->json->{error}, 'realm_not_proven', 'it is not proven');

for (
    [ { status => 401, json => { error => 'invalid_client' } }, 502,
        'client_refused' ],
    [ { status => 503 }, 503, 'temporarily_unavailable' ],
    [ { status => 200, body => '<html>' }, 502, 'invalid_answer' ],
) {
    my ($action, $status, $error) = @$_;

    $t->sim->script({ kind => 'migrate', action => $action });
    $r = migrate(oauth1());
    is($r->status, $status, "Intuit says $action->{status}: $status");
    is($r->json->{error}, $error, "which is $error");
}

is(api(), 403, 'nothing is connected');

# -- taken over

$t->sim->reset('journal');
my $given = oauth1();
$r = migrate($given);

is($r->status, 200, 'OAuth 1.0a tokens are taken over');
is_deeply($r->json, { connected => JSON::PP::true(), realm_id => $realm,
    company => 'Harbour Lane Bakery' }, 'for a company that is named');
is(api(), 200, 'the API works');

my ($call) = $t->sim->journal(kind => 'migrate');
is_deeply(decode_json($call->{body}), {
    scope => 'com.intuit.quickbooks.accounting',
    redirect_uri => 'http://localhost:' . $t->port(8080) . '/intuit/callback',
    client_id => 'sim-client-id', client_secret => 'sim-client-secret' },
    'Intuit learns whose they will be');

# -- the signature, once more

sub enc {
    my ($s) = @_;
    return $s =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger;
}

my %p = $call->{headers}{authorization} =~ /(\w+)="([^"]*)"(?:,|$)/g;
s/%(..)/chr hex $1/ge for values %p;
my $signature = delete $p{oauth_signature};

is_deeply([ sort keys %p ], [ map { "oauth_$_" } qw(consumer_key nonce
    signature_method timestamp token version) ], 'six parameters are signed');

my $base = join '&', 'POST', enc($t->sim->base . '/v2/oauth2/tokens/migrate'),
    enc(join '&', map { enc($_) . '=' . enc($p{$_}) } sort keys %p);
my $wanted = hmac_sha1_base64($base, enc($secret{one}) . '&'
    . enc($secret{two}));

is($signature, "$wanted=", 'by HMAC-SHA1, as another program has it');
is($call->{base_string}, $base, 'over the same text');

# -- where it goes by itself

(my $wrong = $conf) =~ s{migrate_url\s+\S+;}{migrate_url http://example.com/x;};
my $other = Test::Intuit->new(sim => 0);
$other->write_secret('secret', 'sim-client-secret');
my ($status, $said) = $other->check_conf($wrong
    =~ s/%%SIM%%/http:\/\/127.0.0.1:1/gr);
isnt($status, 0, 'another host in cleartext is refused');
like($said, qr/"migrate_url" must be an https URL/, 'and why is said');

done_testing();
