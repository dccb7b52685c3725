#!/usr/bin/perl

# A failure is a page for browsers and JSON for programs, with the same fields
# in both and in one line of the log.  The page runs and loads nothing, and
# nothing that a stranger sent stands in it unescaped.
#
# Rows: AZ-08 CB-04 CB-10 BF-01 BF-12 NGX-B3 LES-09 F-OP-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Digest::SHA qw(sha256_base64);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

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
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;
        auth_intuit books;

        location = /forbidden {
            auth_intuit_require $intuit_claim_nothing;
        }
    }
}
CONF

my @xss = ('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'", '</style><svg/onload=alert(1)>', '&lt;b&gt;{{7*7}}');

# The failures that a browser may meet: name => [ status, error, how ].
my $realm = '9130347957983546';

sub callback_of {
    my ($jar, %o) = @_;
    my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
    return $t->consent($jar, $r->header('Location'), %o);
}

sub refused {
    my ($how) = @_;
    my $jar = $t->jar;
    my $callback = callback_of($jar, realm => $realm);
    my ($state) = $callback =~ /[?&](state=[^&]*)/;

    return ($jar, $how->($callback, $state));
}

sub fault { $t->sim->script({ kind => 'token', action => $_[0] }) }

my $signed_in = $t->signed_in(path => '/index.html', realm => $realm);

my %failures = (
    'a cancelled login' => [ 403, 'access_denied', sub { refused(sub {
        "/intuit/callback?error=access_denied&$_[1]" }) } ],
    'an error of Intuit' => [ 400, 'authorization_error', sub { refused(sub {
        "/intuit/callback?error=invalid_scope&$_[1]" }) } ],
    'an unknown state' => [ 400, 'invalid_state', sub { ($t->jar,
        '/intuit/callback?code=a&state=' . 'A' x 43) } ],
    'a repeated argument' => [ 400, 'invalid_request', sub { refused(sub {
        "$_[0]&code=b" }) } ],
    'a refused code' => [ 400, 'code_refused', sub { fault({ status => 400,
        json => { error => 'invalid_grant' } }); refused(sub { $_[0] }) } ],
    'refused credentials' => [ 502, 'client_refused', sub { fault({
        status => 401, json => { error => 'invalid_client' } });
        refused(sub { $_[0] }) } ],
    'an Intuit that is down' => [ 503, 'temporarily_unavailable', sub {
        fault({ status => 503 }); refused(sub { $_[0] }) } ],
    'an id_token of somebody else' => [ 403, 'invalid_id_token', sub { fault({
        id_token => { claims => { aud => [ 'other' ] } } });
        refused(sub { $_[0] }) } ],
    'another company' => [ 403, 'realm_not_allowed', sub { my $jar = $t->jar;
        ($jar, callback_of($jar, realm => '193514292156789')) } ],
    'a page that is not for everybody' => [ 403, 'forbidden', sub {
        ($signed_in, '/forbidden') } ],
);

sub check_page {
    my ($r, $name) = @_;
    my ($style) = $r->body =~ m{<style>(.*?)</style>}s;
    my $hash = sha256_base64($style // '');
    $hash .= '=' while length($hash) % 4;

    my $csp = $r->header('Content-Security-Policy') // '';

    is($r->header('Content-Type'), 'text/html; charset=utf-8', "$name: HTML");
    like($csp, qr/^default-src 'none'; style-src 'sha256-\Q$hash\E'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'(?: http:\/\/localhost:\d+)?$/,
        '... whose policy allows its own style and nothing else');
    is(scalar(() = $r->body =~ /<style/g), 1, '... of which there is one');
    unlike($r->body, qr/<script|<link|<img|<iframe|\bon\w+\s*=|\bsrc=|\bstyle=|url\(|\@import|https?:/i,
        '... without script or anything from elsewhere');
}

sub check_headers {
    my ($r, $name) = @_;
    is($r->header('Cache-Control'), 'no-store', "$name: not to be cached");
    is($r->header('X-Content-Type-Options'), 'nosniff', '... or guessed at');
    is($r->header('Referrer-Policy'), 'no-referrer', '... or told of');
}

for my $name (sort keys %failures) {
    my ($status, $error, $how) = @{ $failures{$name} };

    my ($jar, $path) = $how->();
    my $before = () = $t->log_lines;
    my $r = $t->get($path, -jar => $jar, -browser => 1);
    my @lines = $t->log_lines;
    @lines = grep { /intuit \Q$error\E\b/ } splice @lines, $before;

    is($r->status, $status, $name);
    check_headers($r, $name);
    check_page($r, $name);
    like($r->body, qr{<dt>Error</dt><dd>$error</dd>\n<dt>Status</dt><dd>$status</dd>},
        '... with error and status');
    like($r->body, qr{<dt>Time</dt><dd>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ</dd>},
        '... and the time');
    is(scalar @lines, 1, '... and one line in the log');

    my ($tid) = $r->body =~ m{<dt>intuit_tid</dt><dd>([^<]+)</dd>};
    like($lines[0] // '', qr/, intuit_tid: \Q$tid\E/, '... with the same tid')
        if defined $tid;

    ($jar, $path) = $how->();
    $r = $t->get($path, -jar => $jar, -json => 1);
    my $json = $r->json // {};

    is($r->status, $status, "$name, as JSON");
    check_headers($r, $name);
    is($r->header('Content-Type'), 'application/json', '... by its type');
    is($json->{error}, $error, '... with error');
    is($json->{status_code}, $status, '... status_code');
    like($json->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
        '... timestamp');
    like($json->{error_description}, qr/\w{3}/, '... error_description');
    ok(exists $json->{intuit_tid}, '... intuit_tid');
    is(defined $json->{intuit_tid}, defined $tid, '... as on the page');
}

is($t->get('/index.html', -json => 1)->status, 401, 'login_required');

# what strangers send

for my $xss (@xss) {
    my $e = Test::Intuit::Sim::escape($xss);

    for my $case (
        [ 'error', sub { refused(sub { "/intuit/callback?error=$e&$_[1]" }) } ],
        [ 'error_description', sub { refused(sub {
            "/intuit/callback?error=access_denied&error_description=$e&$_[1]"
            }) } ],
        [ 'error without state', sub { ($t->jar,
            "/intuit/callback?error=$e&error_description=$e") } ],
        [ 'state', sub { ($t->jar, "/intuit/callback?code=a&state=$e") } ],
        [ 'realmId', sub { refused(sub { my $c = $_[0];
            $c =~ s/realmId=[^&]*/realmId=$e/; $c }) } ],
        [ 'path', sub { ($signed_in, "/v3/company/$e/../x") } ],
        [ 'Intuit\'s answer', sub { fault({ status => 400, json => {
            error => $xss, error_description => $xss },
            headers => { intuit_tid => $xss } });
            refused(sub { $_[0] }) } ],
    ) {
        my ($name, $how) = @$case;
        my ($jar, $path) = $how->();
        my $r = $t->get($path, -jar => $jar, -browser => 1);

        cmp_ok($r->status, '>=', 400, "$name $xss");
        ok(index($r->raw, $xss) < 0, '... does not come back as it is');
        unlike($r->body, qr/<(?:script|img|svg)/i, '... nor as an element');
    }
}

# the page of a login that goes round shows the host that was asked for

my $round = $t->jar;
my $r;

for (1 .. 4) {
    $r = $t->get('/index.html', -jar => $round, -browser => 1,
        Host => "a'b\"&c.example");
    last if $r->status != 302;
}

unlike($r->raw, qr/a'b"&c/, 'a host with quotes is escaped');

# HEAD

for my $path ('/intuit/callback?code=a&state=b', '/index.html') {
    my $r = $t->request('HEAD', $path, Accept => 'text/html');

    cmp_ok($r->status, '>=', 400, "HEAD $path");
    is($r->body, '', 'has no body');
    is($r->header('Cache-Control'), 'no-store', 'but the headers');
    cmp_ok($r->header('Content-Length'), '>', 0, 'and the length');
}

done_testing();
