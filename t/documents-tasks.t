#!/usr/bin/perl

# The promise: who does what a page of docs/ says gets what it says: programs and
# operators with several companies, a job, a page in the browser, a log.  The
# configurations are those of the pages, with what they leave out around them.
# The attack: a page that describes another module; a company's data for a name
# that is none.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Shown;

my ($bakery, $cycles) = ('9130347957983546', '193514292156789');


# -- several companies --------------------------------------------------------

my $s = started('companies', block('companies', 1));
my $companies = $s->port(8081);

{
    my ($ada, $bob) = ($s->jar, $s->jar);
    my $api = '/v3/company/-/companyinfo';
    my @program = (-port => $companies, -json => 1);

    is($s->get('/connect', -browser => 1)->status, 302, 'a stranger signs in first');
    $s->login($bob, '/', user => 'bob@example.com', realm => $bakery);
    is($s->get('/connect', -jar => $bob, -browser => 1)->status, 403,
        'who is no operator may not connect');

    is($s->login($ada, '/', realm => $bakery)->status, 302, 'ada may');

    for ([ $bakery, 'bakery', qr/Harbour Lane Bakery/ ],
        [ $cycles, 'cycles', qr/Tidewater Cycles/ ])
    {
        my ($realm, $name, $company) = @$_;

        my $r = $s->get("$api/$realm", @program, 'X-Company' => $name);
        is($r->status, 403, "$name is not connected yet");
        like(connect_company($s, $ada, $realm)->body, qr/Connected/, '... now it is');
        like($s->get("$api/$realm", @program, 'X-Company' => $name)->body, $company,
            '... and a program has its data');
    }

    my $asked = $s->sim->count(kind => 'api');

    isnt($s->get("$api/$bakery", @program, @$_)->status, 200, 'an unknown company: nothing')
        for [ 'X-Company' => 'brewery' ], [];
    is($s->sim->count(kind => 'api'), $asked, '... is sent');

    like($s->get('/companies', -jar => $ada, -browser => 1)->body,
        qr/>$cycles</, 'the page shows what is connected');

    is($s->post('/disconnect', "realm=$cycles", -jar => $ada, -json => 1)
        ->json->{revoked}, JSON::PP::true(), 'disconnected, and revoked');
    is($s->get("$api/$cycles", @program, 'X-Company' => 'cycles')->status, 403,
        '... a program has no data any more');
}

$s->stop;


# -- a job, and what it leaves to people --------------------------------------

$s = started('cron', block('cron', 1) . connecting());
my $job = $s->port(8081);

{
    my $path = "/v3/company/-/companyinfo/$bakery";
    my @program = (-port => $job, -json => 1);

    is($s->get($path, @program)->json->{error}, 'not_connected', 'first: not connected');
    import_company($s, $bakery);
    like($s->get($path, @program)->body, qr/Harbour Lane Bakery/, 'then: its data');
    is($s->get($path, @program, Host => 'books.example')->json->{error},
        'client_not_allowed', 'under a foreign name: nothing');
}

$s->stop;

$s = started('quota', "server {\n listen 8080;\n" . block('cron', 4) . "}\n" . connecting());

{
    import_company($s, $bakery);

    my $jar = $s->jar;
    $s->login($jar, '/intuit/books/login', realm => $bakery);

    my @said = map { $s->get("/v3/company/-/companyinfo/$bakery", -jar => $jar,
        -json => 1) } 1 .. 8;
    my ($held) = grep { $_->status == 429 } @said;

    ok($held, 'a job that is too fast gets 429 and does not wait');
    ok($held && $held->header('Retry-After'), '... with Retry-After');
    is(scalar(grep { $_->status == 200 } @said[0, 1]), 2, '... and not at once');
}

$s->stop;


# -- in the browser, and in the log -------------------------------------------

$s = started('browser', block('monitoring', 2) . block('browser', 1));

{
    my $jar = $s->jar;
    my $path = "/v3/company/-/companyinfo/$bakery";

    my $r = $s->get($path, -json => 1, 'Sec-Fetch-Mode' => 'cors');
    is($r->status, 401, 'a script without a session: no redirect');
    is($r->json->{error}, 'login_required', '... but the word');

    is($s->login($jar, $r->json->{login_uri}, realm => $bakery)->status, 302,
        '... and where to sign in');
    like($s->get($path, -jar => $jar, -json => 1)->body, qr/Harbour Lane/, 'then: the data');
    is($s->get("/v3/company/$cycles/companyinfo/$cycles", -jar => $jar, -json => 1)
        ->json->{error}, 'realm_mismatch', 'of no other company');
    is($s->post('/v3/company/-/invoice', '{}', -jar => $jar, -json => 1,
        'Sec-Fetch-Site' => 'cross-site')->json->{error}, 'cross_site_request',
        'and not for another site\'s page');
    is($s->get('/intuit/books/session', -jar => $jar, -json => 1)->json->{realm_id},
        $bakery, 'the session tells whose');

    my ($sample) = page('monitoring') =~ /^((?:    127\.0\.0\.1 .*\n)(?:    \S.*\n)+)/m;
    my @wanted = ($sample // '') =~ /\b(\w+)="?[^" ]/g;
    my ($line) = grep { m{GET \Q$path\E HTTP/1.1" 200 } } split /\n/,
        $s->read_file('logs/access.log');

    ok($line, 'the call is in access.log');
    cmp_ok(scalar(@wanted), '>=', 9, 'the sample in the page has fields');
    is(join(' ', grep { ($line // '') !~ /\b$_=/ } @wanted), '', '... each is in the line');
    like($line // '', qr/session="[0-9a-f]{16}" user="ada\@example\.com" realm="$bakery"/,
        '... with who it was');
    like($line // '', qr/refresh="fresh" limit="PASSED" .* module=\d/, '... and how it went');
}

my ($yml) = map { slurp("$FindBin::Bin/../$_") } 'conf-examples/prometheus-alerts.yml';
is(join(' ', sort(page('monitoring') =~ /^\| `(Intuit\w+)` \|/mg)),
    join(' ', sort($yml =~ /alert: (\w+)/g)), 'the page has the alerts of the file');

done_testing;


sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}

sub page { slurp("$FindBin::Bin/../docs/$_[0].md") }

# the n-th configuration of a page
sub block {
    my ($name, $n) = @_;
    my @blocks = page($name) =~ /^```nginx\n(.*?)^```$/msg;
    return $blocks[$n - 1] // die "docs/$name.md has no block $n\n";
}

# an nginx with this in it, before the simulator
sub started {
    my ($label, $part) = @_;
    my $t = Test::Intuit->new(label => $label);

    $t->write_secret('client_secret', $t->sim->{client_secret});
    $t->write_secret('key', 'c4' x 32);
    $t->conf(Test::Intuit::Shown::with_simulator($t,
        Test::Intuit::Shown::around($part)));

    return $t->start;
}

sub connecting {
    return "server {\n listen 127.0.0.1:8085;\n"
        . " location = /connect { intuit_connect books; }\n}\n";
}

sub import_company {
    my ($t, $realm) = @_;
    my $token = $t->sim->issue(realm => $realm)->{refresh_token};

    is($t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1,
        -port => $t->port(8085))->status, 200, 'the company is connected');
}

sub connect_company {
    my ($t, $jar, $realm) = @_;
    my $r = $t->get('/connect', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'), realm => $realm);

    return $t->get($callback, -jar => $jar, -browser => 1);
}
