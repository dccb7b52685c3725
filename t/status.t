#!/usr/bin/perl

# intuit_status shows companies, keys and memory: a page for browsers, JSON by its
# schema for everybody else; to clients of this host only, by GET and HEAD only, and
# never a token.  A company's name is what others wrote: it stays text.
#
# Rows: TK-10 BF-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Schema;

use JSON::PP qw(decode_json);
use MIME::Base64;
use Digest::SHA qw(sha256);

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
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location = /status {
            intuit_status;
        }

        location = /status.html {
            intuit_status format=html;
        }

        location = /status.json {
            intuit_status format=json;
        }

        location = /in {
            auth_intuit books;
            intuit_status;
        }

        location = /open {
            intuit_status clients=any;
        }

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }
    }
}
CONF

$t->conf($conf)->start;

my $realm = '4620816365041297150';
my $schema = decode_json(slurp("$FindBin::Bin/../conf-examples/status.schema.json"));

sub slurp {
    open my $fh, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return scalar <$fh>;
}

sub valid {
    my ($name, $r) = @_;
    my @wrong = problems($schema, $r->json);
    is("@wrong", '', "$name: as the schema says") or diag($r->body);
    return $r->json;
}

# -- nothing is there yet

my $r = $t->get('/status', -json => 1);
is($r->status, 200, 'before anything has happened');
like($r->header('Content-Type'), qr{^application/json}, 'JSON where it is asked for');
my $json = valid('empty', $r);
is($json->{connections}{total}, 0, 'no company');
is_deeply($json->{health}, { status => 'ok', problems => [] }, 'all is well');

$t->wait_log(qr/keys accepted/);
$json = valid('probed', $t->get('/status.json'));
is($json->{providers}[0]{keys}{state}, 'accepted', 'the probe has been heard of');
ok(abs($json->{providers}[0]{keys}{since} - time) < 60, '... and when');
ok($json->{providers}[0]{keys}{intuit_tid}, '... with the transaction id');
is($json->{counters}{errors}{login_required}, 0, 'nothing is refused yet');

my @twice = $t->get('/status.json')->body =~ /"(invalid_\w+)":/g;
is(scalar(@twice), scalar(keys %{ { map { $_ => 1 } @twice } }), 'no member twice');

# -- negative controls: the validator and the schema refuse

for (
    [ 'another version', sub { $_[0]{version} = 2 } ],
    [ 'a member too many', sub { $_[0]{zone}{more} = 1 } ],
    [ 'a member too few', sub { delete $_[0]{zone}{sessions} } ],
    [ 'a number as a string', sub { $_[0]{zone}{sessions} = 'x' } ],
    [ 'an unknown word', sub { $_[0]{health}{status} = 'fine' } ],
    [ 'less than nothing', sub { $_[0]{counters}{logins} = -1 } ],
    [ 'an odd item', sub { $_[0]{connections}{list} = [ {} ] } ],
) {
    my ($name, $spoil) = @$_;
    my $copy = decode_json($t->get('/status.json')->body);
    $spoil->($copy);
    ok(scalar problems($schema, $copy), "negative control: $name");
}

# -- a company and a session

my $jar = $t->signed_in(realm => '9130347957983546');
is($t->post('/connect', "realm=$realm&refresh_token="
        . $t->sim->issue(realm => $realm)->{refresh_token}, -json => 1)->status,
    200, 'a company is connected, and somebody of another has signed in');
$t->get('/', -json => 1);

$json = valid('a company', $t->get('/status.json'));
my %by = map { $_->{realm_id} => $_ } @{ $json->{connections}{list} };
my $c = $by{$realm};

is($c->{company}, "O'Brien & Sons <Joinery>", 'its name');
is($by{'9130347957983546'}{company}, undef, 'the other is known by its id only');
is($c->{provider}, 'books', 'its provider');
is($c->{state}, 'connected', 'its state');
is($c->{error}, undef, 'no error');
ok(abs($c->{token_expires} - time - 3600) < 60, 'when its access token ends');
ok(abs($c->{refresh_token_expires} - time - 8726400) < 60, '... its refresh token');
is($json->{providers}[0]{connections}{connected}, 2, 'counted by state');
is($json->{zone}{sessions}, 1, 'a session');
is($json->{zone}{sessions_created}, 1, '... was made');
is($json->{counters}{logins}, 2, 'a login and a connect');
is($json->{counters}{errors}{login_required}, 1, 'a request was refused');
ok($json->{zone}{free_bytes} < $json->{zone}{size_bytes}, 'the zone is in use');

# -- the page

$r = $t->get('/status', -browser => 1);
is($r->status, 200, 'a browser');
like($r->header('Content-Type'), qr{^text/html; charset=utf-8}, 'gets a page');
like($r->body, qr/<html lang="en">.*<main>.*<h1>/s, 'with a language and a landmark');
like($r->body, qr/O&#39;Brien &amp; Sons &lt;Joinery&gt;/, 'the name is text');
unlike($r->body, qr/<Joinery>/, '... and no markup');
unlike($r->body, qr/<form/, 'no forms without manage');
unlike($r->body, qr/\son\w+=|\sstyle=|(?:src|href)="(?!\?)/, 'nothing inline or external');

my ($style) = $r->body =~ m{<style>(.*?)</style>}s;
my ($script) = $r->body =~ m{<script>(.*?)</script>}s;
my $csp = $r->header('Content-Security-Policy');

for ([ 'style', $style ], [ 'script', $script ]) {
    my ($what, $text) = @$_;
    my $hash = encode_base64(sha256($text), '');
    like($csp, qr/$what-src 'sha256-\Q$hash\E'/, "the $what is allowed by its hash");
}

like($csp, qr/^default-src 'none';/, 'and nothing else');
unlike($csp, qr/unsafe|\*/, 'in no other way');
is($r->header('Cache-Control'), 'no-store', 'it is not kept');



is($t->get('/status.html')->header('Content-Type'), 'text/html; charset=utf-8',
    'format=html whatever is asked for');
like($t->get('/status.json', -browser => 1)->header('Content-Type'),
    qr{^application/json}, 'format=json, too');

# -- who may, and how

$r = $t->request('HEAD', '/status', -browser => 1);
is($r->status, 200, 'HEAD');
is($r->body, '', '... has no body');

for my $method (qw(POST PUT DELETE PATCH)) {
    $r = $t->request($method, '/status', -json => 1,
        'Sec-Fetch-Site' => 'same-origin');
    is($r->status, 405, "$method: not allowed");
    is($r->header('Allow'), 'GET, HEAD', '... and what is');
}

$r = $t->get('/status', -json => 1, Host => 'evil.example');
is($r->status, 403, "another name's page: refused");
is($r->json->{error}, 'client_not_allowed', '... its word');
is($t->get('/status', -json => 1, 'X-Forwarded-For' => '10.0.0.1')->status, 403,
    'a request that was passed on: refused');
is($t->get('/open', -json => 1, 'X-Forwarded-For' => '10.0.0.1')->status, 200,
    'clients=any: served');
is($t->get('/in', -json => 1)->status, 401, 'auth_intuit: a login is needed');
is($t->get('/in', -json => 1, -jar => $jar)->status, 200, '... and is enough');
is($t->get('/status?page=', -json => 1)->json->{connections}{page}, 1, 'an odd page');
is($t->get('/status?page=99', -json => 1)->json->{connections}{page}, 99, 'no such page');
is_deeply($t->get('/status?page=99', -json => 1)->json->{connections}{list}, [],
    '... is empty');
unlike($t->get('/status?done=<b>x', -browser => 1)->body, qr/<b>x/, 'no echo');

# -- never a token

for my $path (qw(/status.html /status.json)) {
    my $body = $t->get($path)->body;
    my @found = grep { length && index($body, $_) >= 0 }
        (map { @$_{qw(access_token refresh_token)} } $t->sim->tokens), $jar->values;
    is("@found", '', "$path: no token, no cookie");
}

# -- what nginx -t says

sub refuses {
    my ($name, $location, $said) = @_;
    my ($status, $text) = $t->check_conf($conf =~ s/intuit_status;/$location/r);
    ok($status != 0, "$name: refused");
    like($text, $said, '... and why');
}

refuses('an unknown format', 'intuit_status format=xml;', qr/invalid parameter "format=xml"/);
refuses('an unknown word', 'intuit_status all;', qr/invalid parameter "all"/);
refuses('twice', 'intuit_status; intuit_status;', qr/is duplicate/);
refuses('beside another', 'proxy_pass http://127.0.0.1:1; intuit_status;',
    qr/stands beside another handler/);
refuses('forms for a machine', 'intuit_status format=prometheus manage;',
    qr/"manage" is for people/);
refuses('forms for anybody', 'intuit_status manage clients=any;',
    qr/cannot let "clients=any" "manage"/);

my ($status, $text) = $t->check_conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
events {}
http {
    %%TEMP_PATHS%%
    server {
        listen 127.0.0.1:%%PORT_8080%%;
        location / {
            intuit_status;
        }
    }
}
CONF
ok($status != 0, 'without a provider: refused');
like($text, qr/"intuit_status" has nothing to show/, '... and why');

done_testing();
