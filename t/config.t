#!/usr/bin/perl

# What cannot work fails "nginx -t", with one line that names the directive
# and says what to do: a configuration that starts and then lets everybody
# in, or nobody, is the most expensive kind.
#
# Rows: AZ-01 TK-04 CK-11 NGX-S1 F-DSK-04 F-DSK-07

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

my $template = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
BEFORE
events {}

http {
    intuit_provider books {
        PROVIDER
    }

    OTHER

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        SERVER
        location / {
            LOCATION
        }
    }
}
CONF

my %provider = (
    environment   => 'sandbox',
    client_id     => 'sim-client-id',
    client_secret => 'sim-client-secret',
    scope         => '"openid email" com.intuit.quickbooks.accounting',
    redirect_uri  => 'http://localhost:8080/intuit/callback',
    allow_realm   => 'any',
);

$provider{scope} =~ tr/"//d;

my %place = (BEFORE => '', OTHER => '', LOCATION => 'root html;',
    SERVER => 'auth_intuit books;');

# What a case changes: directives of the provider in lower case (undef: left
# out), other places of the file in upper case.
sub conf_of {
    my (%change) = @_;
    my %d = (%provider, map { $_ => $change{$_} } grep { /[a-z]/ } keys %change);
    my %p = (%place, map { $_ => $change{$_} } grep { !/[a-z]/ } keys %change);

    $p{PROVIDER} = join "\n        ", map { "$_ $d{$_};" }
        grep { defined $d{$_} } sort keys %d;

    (my $text = $template) =~ s/\b([A-Z]{5,})\b/$p{$1} \/\/ $1/ge;

    return $text;
}

my ($status, $said) = $t->check_conf(conf_of());

is($status, 0, 'the configuration that the cases change is right')
    or diag $said;

my $second = join ' ', map { "$_ $provider{$_};" } sort keys %provider;
my $accounting = 'com.intuit.quickbooks.accounting';
my @production = (environment => 'production', redirect_uri =>);
my @host = (SERVER => 'server_name tools.example.com; auth_intuit books;');

$t->write_file('empty', " \n\t\r\n", 0600);
$t->write_file('huge', 'x' x 5000, 0600);
$t->write_file('part.conf', "client_id sim-client-id;\n");
$t->write_file('wrong.conf', "client_id sim-client-id;\ncolour blue;\n");

my %elsewhere = (client_id => undef,
    pkce => 'on; include %%DIR%%/part.conf');

is(($t->check_conf(conf_of(%elsewhere)))[0], 0,
    'a directive may stand in an included file');

$t->write_file('no-key', "0123456789abcdef\n", 0600);
$t->write_file('zeros', '0' x 63 . "g\n", 0600);
$t->write_secret('good-key', 'c4' x 32);

my @cases = (

    'an unknown provider' => [ SERVER => 'auth_intuit boks;' ],
        qr/no intuit_provider "boks": define it/,
    'an unknown provider in intuit_proxy' =>
        [ LOCATION => 'intuit_proxy boks;' ],
        qr/no intuit_provider "boks": define it.* in \S+nginx\.conf:\d+$/,
    'two providers of one name' =>
        [ OTHER => "intuit_provider books { $second }" ],
        qr/duplicate intuit_provider "books", the first is in .*:\d+/,
    'no environment' => [ environment => undef ],
        qr/no "environment": write sandbox or production/,
    'an unknown environment' => [ environment => 'staging' ],
        qr/"staging".*"environment".*sandbox or production/,
    'no client_id' => [ client_id => undef ],
        qr/no "client_id": .*Keys page/,
    'no secret' => [ client_secret => undef ],
        qr/no "client_secret" or "client_secret_file": .*Keys page/,
    'two secrets' => [ client_secret_file => '%%DIR%%/no-key' ],
        qr/"client_secret_file".* stands beside "client_secret": keep one/,
    'no redirect_uri' => [ redirect_uri => undef ],
        qr/no "redirect_uri": write the absolute URL/,
    'no scope' => [ scope => undef ],
        qr/no "scope": write for example "openid/,
    'scopes with commas' => [ scope => 'openid,email' ],
        qr/"openid,email" in "scope": write scopes as separate words, without/,
    'an answer that may take an hour' => [ read_timeout => '1h' ],
        qr/"connect_timeout", twice, and "read_timeout" are more than 30/,
    'a connect_timeout that overflows' => [ connect_timeout => '20d' ],
        qr/"connect_timeout", twice, and "read_timeout" are more than 30/,
    'no rule who may enter' => [ allow_realm => undef ],
        qr/no "allow_realm" or "allow_email": every Intuit customer/,
    'any company and one company' => [ allow_realm => 'any 123' ],
        qr/"allow_realm".* has both "any" and values: keep one/,
    'one company, later any' => [ allow_realm => '123; allow_realm any' ],
        qr/"allow_realm".* has both "any" and values: keep one/,
    'any address and one address' =>
        [ allow_email => '@example.com any' ],
        qr/"allow_email".* has both "any" and values: keep one/,
    'a company id with letters' => [ allow_realm => '12x' ],
        qr/"12x" in "allow_realm": write company ids/,
    'a company id without end' => [ allow_realm => '1' x 40 ],
        qr/in "allow_realm": write company ids/,
    'an address without @' => [ allow_email => 'example.com' ],
        qr/"example.com" in "allow_email": write name\@example/,
    'a mask, which would let nobody in' => [ allow_email => '*@example.com' ],
        qr/"\*\@example.com" in "allow_email": write name\@example/,
    'allow_email without a scope that tells it' =>
        [ allow_email => '@example.com', scope => $accounting ],
        qr/"allow_email" needs "openid email" in "scope"/,
    'allow_email without userinfo' =>
        [ allow_email => '@example.com', userinfo => 'off' ],
        qr/"allow_email" needs .*"userinfo on"/,

    (map { ("redirect_uri $_" => [ redirect_uri => $_ ],
        qr/"redirect_uri" must be an absolute URL such as/) }
        '/intuit/callback', 'ftp://localhost/a', 'localhost/cb', 'http://',
        'http://localhost:99999/cb', 'http://u@localhost/cb',
        'http://localhost/cb#x'),
    (map { ("redirect_uri $_" => [ redirect_uri => $_ ],
        qr/"redirect_uri" needs a plain path of its own/) }
        qw(http://localhost http://localhost/ http://localhost/cb?x=1
           http://localhost/cb? http://localhost/a/../cb
           http://localhost/%63b http://localhost//cb)),
    (map { ("redirect_uri $_ in production" => [ @production, $_ ],
        qr/"redirect_uri" of a production app must be https with a host/) }
        qw(http://tools.example.com/cb https://192.0.2.1/cb
           https://localhost/cb https://127.0.0.1/cb https://[2001:db8::1]/cb
           http://localhost:8080/cb)),

    'a redirect host that no server has' =>
        [ @host, redirect_uri => 'https://other.example.com/cb' ],
        qr/host "other.example.com" of its "redirect_uri": add it to/,
    'a redirect host that a wildcard does not take' =>
        [ SERVER => 'server_name *.example.com; auth_intuit books;',
          redirect_uri => 'https://tools.example.org/cb' ],
        qr/host "tools.example.org" of its "redirect_uri": add it to/,

    'two logins at one login_uri' =>
        [ OTHER => "intuit_provider staff { $second }",
          LOCATION => 'auth_intuit staff;' ],
        qr{"/intuit/login" would serve two.*needs another "login_uri"},
    'two uris of one provider that are the same' =>
        [ logout_uri => '/intuit/login' ],
        qr{"/intuit/login" would serve two.*needs another "logout_uri"},
    (map { ("login_uri $_" => [ login_uri => $_ ],
        qr/in "login_uri": write a local path such as/) }
        qw(login //evil.example/ /a/../b /l?x=1 / https://evil.example/)),
    'post_logout_uri elsewhere' =>
        [ post_logout_uri => 'https://evil.example/' ],
        qr/in "post_logout_uri": write a local path such as/,

    'proxy_pass before intuit_proxy' => [ LOCATION =>
        'proxy_pass http://127.0.0.1:1; intuit_proxy books;' ],
        qr/"intuit_proxy".* stands beside proxy_pass .*remove the other/,
    'proxy_pass after intuit_proxy' => [ LOCATION =>
        'intuit_proxy books; proxy_pass http://127.0.0.1:1;' ],
        qr/"proxy_pass" directive is duplicate/,
    (map { ("$_ after intuit_proxy" => [ LOCATION => "intuit_proxy books; $_" ],
        qr/another handler beside intuit_proxy in the location "\/" would get/) }
        'fastcgi_pass 127.0.0.1:1;', 'uwsgi_pass 127.0.0.1:1;',
        'scgi_pass 127.0.0.1:1;', 'grpc_pass 127.0.0.1:1;', 'empty_gif;',
        'if ($arg_x) { proxy_pass http://127.0.0.1:1; }',
        'if ($arg_x) { proxy_pass http://$host; }',
        'if ($arg_x) { fastcgi_pass 127.0.0.1:1; }',
        'limit_except GET { proxy_pass http://127.0.0.1:1; }'),
    'proxy_cache_key after intuit_proxy' => [ LOCATION =>
        'intuit_proxy books; proxy_cache_key $request_uri;' ],
        qr/"proxy_cache_key" directive is duplicate/,
    'proxy_store' => [ LOCATION => 'proxy_store on; intuit_proxy books;' ],
        qr/"proxy_store" keeps the answers of all companies .*proxy_store off/,
    'the API\'s 401 intercepted' => [ OTHER =>
        'proxy_intercept_errors on; error_page 401 /in.html;',
        LOCATION => 'intuit_proxy books;' ],
        qr/"proxy_intercept_errors" with an "error_page" for 401 hides .*location "\/"/,
    '... in a location' => [ LOCATION => 'proxy_intercept_errors on; '
        . 'error_page 401 403 = @in; intuit_proxy books;' ],
        qr/"proxy_intercept_errors" with an "error_page" for 401 hides/,
    'a request id for a server' => [ SERVER => 'intuit_request_id on;' ],
        qr/"intuit_request_id" directive is not allowed here/,
    'a realm= with letters' => [ LOCATION => 'intuit_proxy books realm=abc;' ],
        qr/realm "abc" in "intuit_proxy": write the company id/,
    'an empty realm=' => [ LOCATION => 'intuit_proxy books realm=;' ],
        qr/invalid parameter "realm=" in "intuit_proxy": .* it takes realm=ID/,
    'an unknown parameter' =>
        [ LOCATION => 'intuit_proxy books clients=all;' ],
        qr/parameter "clients=all" in "intuit_proxy": .* and clients=any/,
    'a rate without its unit' => [ SERVER => 'intuit_limit on rate=480;' ],
        qr{invalid parameter "rate=480" in "intuit_limit": write rate=1r/m to rate=3000r/m},
    'a rate of nothing' => [ SERVER => 'intuit_limit on rate=0r/m;' ],
        qr{"rate=0r/m" in "intuit_limit": write rate=1r/m},
    'a rate a second' => [ SERVER => 'intuit_limit on rate=8r/s;' ],
        qr{"rate=8r/s" in "intuit_limit": write rate=1r/m},
    'a burst a minute' => [ SERVER => 'intuit_limit on burst_rate=9r/m;' ],
        qr{"burst_rate=9r/m" in "intuit_limit": write burst_rate=1r/s to},
    'too many batches' => [ SERVER => 'intuit_limit on batch_rate=3001r/m;' ],
        qr{"batch_rate=3001r/m" .* write batch_rate=1r/m to batch_rate=3000r/m},
    'a queue with a unit' => [ SERVER => 'intuit_limit on queue=10r;' ],
        qr{"queue=10r" in "intuit_limit": write queue=0 to queue=1000},
    'an empty queue=' => [ SERVER => 'intuit_limit on queue=;' ],
        qr{"queue=" in "intuit_limit": write queue=0},
    'a long timeout' => [ SERVER => 'intuit_limit dry_run timeout=1h;' ],
        qr{"timeout=1h" in "intuit_limit": write a time of at most 10m},
    'another parameter' => [ SERVER => 'intuit_limit on burst=9;' ],
        qr{parameter "burst=9" in "intuit_limit": it takes rate=, burst_rate=},
    'a limit without a word' => [ SERVER => 'intuit_limit rate=480r/m;' ],
        qr{"intuit_limit" directive begins with "on", "off" or "dry_run"},
    'off with a rate' => [ SERVER => 'intuit_limit off rate=480r/m;' ],
        qr{"intuit_limit" directive takes no parameters after "off"},
    'intuit_limit twice' => [ SERVER => 'intuit_limit on; intuit_limit off;' ],
        qr{"intuit_limit" directive is duplicate},
    'intuit_proxy twice' =>
        [ LOCATION => 'intuit_proxy books; intuit_proxy books;' ],
        qr/"intuit_proxy" directive is duplicate/,

    'a zone that is too small' => [ OTHER => 'intuit_shared_zone zone=a:8k;' ],
        qr/intuit_shared_zone "a" is too small: \d+k is the least/,
    'a zone without a size' => [ OTHER => 'intuit_shared_zone zone=a;' ],
        qr/"intuit_shared_zone".* takes zone=name:size/,
    'a zone without a name' => [ OTHER => 'intuit_shared_zone zone=:1m;' ],
        qr/"intuit_shared_zone".* takes zone=name:size/,
    'a zone without zone=' => [ OTHER => 'intuit_shared_zone a:1m;' ],
        qr/"intuit_shared_zone".* takes zone=name:size/,
    'a size that is none' => [ OTHER => 'intuit_shared_zone zone=a:1x;' ],
        qr/invalid zone size "1x" in "intuit_shared_zone"/,
    'two zones' =>
        [ OTHER => 'intuit_shared_zone zone=a:1m; intuit_shared_zone zone=b:1m;' ],
        qr/"intuit_shared_zone" directive is duplicate/,

    (map { ("extra_auth_args $_" => [ extra_auth_args => $_ ],
        qr/"extra_auth_args" repeats an argument/) }
        qw(state=x a=b&scope=x &nonce=1 redirect_uri=x st%61te=x)),
    'extra_auth_args with blanks' => [ extra_auth_args => '"a=b c"' ],
        qr/"extra_auth_args" must be written percent-encoded/,
    'config_url in the clear' =>
        [ config_url => 'http://op.example.com/doc' ],
        qr/"config_url" must be an https URL/,
    'api_url in the clear' => [ api_url => 'http://api.example.com' ],
        qr/"api_url" must be https:/,
    'api_url with a path' => [ api_url => 'https://api.example.com/v3' ],
        qr/"api_url" must be .*without a path/,

    'a missing secret file' => [ client_secret => undef,
        client_secret_file => '%%DIR%%/nowhere' ],
        qr/client_secret_file: cannot open ".*nowhere".*No such file/,
    'an empty secret file' => [ client_secret => undef,
        client_secret_file => '%%DIR%%/empty' ],
        qr/"client_secret_file".*empty file: put the app's client secret/,
    'a huge secret file' => [ client_secret => undef,
        client_secret_file => '%%DIR%%/huge' ],
        qr/client_secret_file: .*longer than 4096 bytes/,
    'a directory for a secret file' => [ client_secret => undef,
        client_secret_file => '%%DIR%%/html' ],
        qr/client_secret_file: cannot (?:open|read) ".*html"/,
    'a key that is too short' =>
        [ encryption_key_file => '%%DIR%%/no-key' ],
        qr/"encryption_key_file".* no key: make one with "openssl rand/,
    'a key that is not hex' => [ encryption_key_file => '%%DIR%%/zeros' ],
        qr/"encryption_key_file".* no key: make one with "openssl rand/,

    'state_path without a key' => [ state_path => '%%DIR%%/state' ],
        qr/"state_path" without "encryption_key_file": put the output of "openssl rand/,
    'state_path in a directory that is not there' =>
        [ state_path => '%%DIR%%/nowhere/state; encryption_key_file %%DIR%%/good-key' ],
        qr/"state_path" \S+ cannot be made in \S+nowhere /,
    'state_path that is a file' =>
        [ state_path => '%%DIR%%/zeros; encryption_key_file %%DIR%%/good-key' ],
        qr/"state_path" \S+ is no directory/,
    'state_path that others can enter' =>
        [ state_path => '%%DIR%%/html; encryption_key_file %%DIR%%/good-key' ],
        qr/"state_path" \S+ is open to other users: chmod 0700/,

    (map { ("cookie_name $_ over plain http" =>
        [ redirect_uri => 'http://tools.example.com/cb',
          SERVER => 'server_name tools.example.com; auth_intuit books;',
          cookie_name => $_ ],
        qr/"cookie_name" begins with __Host- or __Secure-/) }
        qw(__Host-a __Secure-a __host-a)),
    'a cookie name with a blank' => [ cookie_name => '"a b"' ],
        qr/"cookie_name" has a character that no cookie name may have/,
    'a cookie flag that is none' => [ cookie_flags => 'samesite=none' ],
        qr/"samesite=none" in "cookie_flags": write secure/,
    'a cookie that no browser keeps' =>
        [ redirect_uri => 'http://tools.example.com/cb',
          SERVER => 'server_name tools.example.com; auth_intuit books;',
          cookie_flags => 'secure' ],
        qr/"cookie_flags" has secure, but "redirect_uri" is plain http/,

    (map { ("auth_intuit_require $_" =>
        [ LOCATION => "auth_intuit_require $_;" ],
        qr/"auth_intuit_require".* takes error=4xx or error=5xx/) }
        ('$a error=200', '1 error=302', '1 error=abc', '1 error=444')),
    'auth_intuit_require without a value' =>
        [ LOCATION => 'auth_intuit_require error=403;' ],
        qr/"auth_intuit_require".* needs a value to look at/,
    'auth_intuit_mode sometimes' => [ LOCATION => 'auth_intuit_mode maybe;' ],
        qr/"maybe".*"auth_intuit_mode".*require or verify/,
    'auth_intuit twice' =>
        [ LOCATION => 'auth_intuit books; auth_intuit off;' ],
        qr/"auth_intuit" directive is duplicate/,

    'intuit_provider in a server' => [ SERVER => 'intuit_provider a { }' ],
        qr/"intuit_provider" directive is not allowed here/,
    'intuit_proxy in a server' => [ SERVER => 'intuit_proxy books;' ],
        qr/"intuit_proxy" directive is not allowed here/,
    'a mistake in an included file' =>
        [ client_id => undef, pkce => 'on; include %%DIR%%/wrong.conf' ],
        qr/unknown directive "colour" in \S+wrong\.conf:2$/,
    'client_id in a server' => [ SERVER => 'client_id x;' ],
        qr/"client_id" directive is not allowed here/,
    'a location in a provider' => [ client_id => 'a; location / { }' ],
        qr/"location" directive is not allowed here/,
    'an unknown directive in a provider' => [ client_id => 'a; cleint_id b' ],
        qr/unknown directive "cleint_id"/,
    'intuit_provider without a name' => [ OTHER => 'intuit_provider { }' ],
        qr/invalid number of arguments in "intuit_provider"/,
);

while (my ($name, $change, $pattern) = splice @cases, 0, 3) {
    my ($status, $said) = $t->check_conf(conf_of(@$change));
    my @lines = grep { /\[emerg\]/ } split /\n/, $said;

    ok($status && @lines == 1 && $lines[0] =~ $pattern, $name)
        or diag "status $status: $said";

    unlike($said, qr/sim-client-secret/, "$name: the secret is not shown")
        if $said =~ /sim-client-secret/;
}

done_testing();
