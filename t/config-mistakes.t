#!/usr/bin/perl

# The promise: who makes a likely mistake reads one line that names the
# directive, the value, and what to do; the lines are in docs/mistakes.md as they
# are said here, and each says where in nginx.conf the mistake is.
# The attack: a line that says "invalid", without a remedy, or that sends
# somebody to another line than his; a mistake that is found by nobody, and is a
# door that stays open or shut.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

# The cases change one thing of it: the first text, which is there once, into
# the second.
my $right = <<'CONF';
load_module modules/ngx_http_intuit_auth_module.so;
error_log /var/log/nginx/error.log notice;

events {}

http {
    intuit_shared_zone zone=intuit:16m;

    intuit_store shared {
        server         127.0.0.1:6379;
        user           nginx;
        password_file  /etc/nginx/redis.password;
    }

    intuit_provider staff {
        environment         sandbox;
        client_id           ABcStaff;
        client_secret_file  /etc/nginx/staff.secret;
        scope               openid email;
        redirect_uri        http://localhost:8080/intuit/callback;
        allow_email         @example.com;
        store               shared;
        encryption_key_file /etc/nginx/shared.key;
    }

    intuit_provider books {
        environment         production;
        client_id           ABcBooks;
        client_secret_file  /etc/nginx/books.secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        https://tools.example.com/intuit/callback;
        allow_realm         9130347957983546;
        cookie_name         __Host-intuit-books;
        login_uri           /intuit/books/login;
        logout_uri          /intuit/books/logout;
        session_uri         /intuit/books/session;
        session_timeout     12h;
        encryption_key_file /etc/nginx/intuit.key;
        state_path          /var/lib/nginx/intuit;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  tools.example.com;
        auth_intuit  staff;

        location / {
            proxy_pass        http://127.0.0.1:3000;
            auth_intuit_mode  verify;
        }

        location /ledger/ {
            auth_intuit  books;
            root         /var/www;
        }

        location /v3/company/ {
            intuit_proxy  books realm=9130347957983546;
            intuit_limit  on rate=240r/m;
        }

        location = /connect-books {
            intuit_connect  books;
        }

        location = /status {
            intuit_status  manage;
        }
    }
}
CONF

$t->write_secret("etc/$_.secret", 'not-a-secret-of-anybody') for qw(staff books);
$t->write_secret("etc/$_.key", 'c4' x 32) for qw(shared intuit);
$t->write_secret('etc/redis.password', 'not-the-password-of-anybody');
$t->write_file('etc/open.secret', "not-a-secret-of-anybody\n", 0644);
$t->write_file('etc/empty.secret', "\n", 0600);
$t->write_file('etc/base64.key', "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\n", 0600);
mkdir $t->dir . '/lib';
mkdir $t->dir . '/lib/open', 0755;

# made for another nginx: another signature
(my $other = slurp($t->module)) =~ s/\b8,4,8,([01])/"8,4,8," . (1 - $1)/ge;
$t->write_file('etc/other.so', $other);

sub checked {
    my ($text) = @_;
    my $dir = $t->dir;

    $text =~ s{modules/ngx_http_intuit_auth_module.so}{%%MODULE%%}g;
    $text =~ s{/var/log/nginx/}{$dir/logs/}g;
    $text =~ s{/var/lib/nginx/}{$dir/lib/}g;
    $text =~ s{/etc/nginx/}{$dir/etc/}g;
    $text =~ s{127\.0\.0\.1:8080}{127.0.0.1:%%PORT_8080%%};

    my ($status, $said) = $t->check_conf($text);

    for ($said) {
        s{^nginx: }{}mg;
        s{^\S+ \S+ (\[\w+\]) \d+#\d+: }{$1 }mg;
        s{$dir/nginx\.conf}{/etc/nginx/nginx.conf}g;
        s{$dir/etc/}{/etc/nginx/}g;
        s{$dir/lib/}{/var/lib/nginx/}g;
        s{$dir/logs/}{/var/log/nginx/}g;
    }

    return ($status, $said);
}

my @cases = (
    'the secret forgotten' =>
        [ 'client_secret_file  /etc/nginx/books.secret;' => '' ],
    'a name of a file that is not there' =>
        [ '/etc/nginx/books.secret' => '/etc/nginx/boks.secret' ],
    'a secret that everybody on the host can read' =>
        [ '/etc/nginx/books.secret' => '/etc/nginx/open.secret' ],
    'an empty file' =>
        [ '/etc/nginx/books.secret' => '/etc/nginx/empty.secret' ],
    'the path where the secret belongs' =>
        [ 'client_secret_file  /etc/nginx/books.secret' => 'client_secret /etc/nginx/books.secret' ],
    'the secret twice' =>
        [ 'ABcBooks;' => 'ABcBooks; client_secret not-a-secret-of-anybody;' ],
    'a variable, or a placeholder of a template' =>
        [ 'ABcBooks' => '${INTUIT_CLIENT_ID}' ],
    'a misspelled directive' =>
        [ 'client_secret_file  /etc/nginx/books.secret' => 'client_secret_path /etc/nginx/books.secret' ],
    'an environment that Intuit has not' =>
        [ 'production' => 'prod' ],
    'no environment' =>
        [ 'environment         sandbox;' => '' ],
    'http in production' =>
        [ 'https://tools' => 'http://tools' ],
    'localhost in production' =>
        [ 'https://tools.example.com/' => 'https://localhost/' ],
    'a path instead of a URL' =>
        [ 'https://tools.example.com/intuit/callback' => '/intuit/callback' ],
    'a URL without a path' =>
        [ 'https://tools.example.com/intuit/callback' => 'https://tools.example.com' ],
    'a host that no server has' =>
        [ 'https://tools.example.com/intuit/callback' => 'https://tool.example.com/intuit/callback' ],
    'the API of the other environment' =>
        [ 'session_timeout     12h' => 'api_url https://sandbox-quickbooks.api.intuit.com' ],
    'the API with a path' =>
        [ 'session_timeout     12h' => 'api_url https://quickbooks.api.intuit.com/v3' ],
    'two providers of one name' =>
        [ 'intuit_provider staff' => 'intuit_provider books' ],
    'a login with a provider that is not there' =>
        [ 'auth_intuit  staff' => 'auth_intuit  stuff' ],
    'the API of one that is not there' =>
        [ 'intuit_proxy  books' => 'intuit_proxy  boks' ],
    '"on" instead of a name' =>
        [ 'auth_intuit  staff' => 'auth_intuit  on' ],
    'no ";" after a list' =>
        [ 'openid com.intuit.quickbooks.accounting;' => 'openid com.intuit.quickbooks.accounting' ],
    'no ";" after one value; it stands on the line before' =>
        [ 'ABcBooks;' => 'ABcBooks' ],
    'no rule who may sign in' =>
        [ 'allow_email         @example.com;' => '' ],
    'an address rule without the scope that tells the address' =>
        [ 'openid email;' => 'com.intuit.quickbooks.accounting;' ],
    'a domain without @' =>
        [ '@example.com;' => 'example.com;' ],
    'a mask' =>
        [ '@example.com;' => '*@example.com;' ],
    'a company id as Intuit shows it' =>
        [ 'allow_realm         9130347957983546' => 'allow_realm         9130 3479 5798 3546' ],
    'the same, in quotes' =>
        [ 'allow_realm         9130347957983546' => 'allow_realm         "9130 3479 5798 3546"' ],
    'a company that the provider does not allow' =>
        [ 'realm=9130347957983546' => 'realm=193514292156789' ],
    'scopes in quotes' =>
        [ 'openid email;' => '"openid email";' ],
    'scopes with commas' =>
        [ 'openid email;' => 'openid,email;' ],
    'state_path without a key' =>
        [ 'encryption_key_file /etc/nginx/intuit.key;' => '' ],
    'a key of another length' =>
        [ '/etc/nginx/intuit.key' => '/etc/nginx/base64.key' ],
    'a state_path that others can enter' =>
        [ '/var/lib/nginx/intuit' => '/var/lib/nginx/open' ],
    'a state_path below a directory that is not there' =>
        [ '/var/lib/nginx/intuit' => '/var/lib/nginx/a/intuit' ],
    'a __Host- cookie over plain http' =>
        [ 'http://localhost:8080/intuit/callback;' => 'http://tools.example.com/intuit/callback; cookie_name __Host-staff;' ],
    'a cookie with a path' =>
        [ 'session_timeout     12h' => 'cookie_flags path=/tools' ],
    'two providers with one cookie' =>
        [ 'cookie_name         __Host-intuit-books;' => '' ],
    'two logins at one address' =>
        [ 'login_uri           /intuit/books/login;' => '' ],
    'a login_uri with a host' =>
        [ '/intuit/books/login' => 'https://tools.example.com/intuit/books/login' ],
    'proxy_pass before intuit_proxy' =>
        [ 'intuit_proxy  books' => 'proxy_pass https://quickbooks.api.intuit.com; intuit_proxy  books' ],
    'proxy_pass after intuit_proxy; remove it' =>
        [ 'intuit_limit  on' => 'proxy_pass https://quickbooks.api.intuit.com; intuit_limit  on' ],
    'proxy_pass in limit_except' =>
        [ 'intuit_limit  on' => 'limit_except GET { proxy_pass http://127.0.0.1:3000; } intuit_limit on' ],
    "a page for 401 that hides the API's" =>
        [ 'intuit_limit  on' => 'proxy_intercept_errors on; error_page 401 /in.html; intuit_limit  on' ],
    'intuit_proxy for a whole server' =>
        [ 'auth_intuit  staff;' => 'auth_intuit  staff; intuit_proxy books;' ],
    'another mode' =>
        [ 'auth_intuit_mode  verify' => 'auth_intuit_mode  optional' ],
    'a variable without $, which would be true for everybody' =>
        [ 'auth_intuit_mode  verify' => 'auth_intuit_require intuit_claim_email' ],
    'a zone too small' =>
        [ 'zone=intuit:16m' => 'zone=intuit:64k' ],
    "a provider without a company's scope to connect" =>
        [ 'openid com.intuit.quickbooks.accounting' => 'openid email' ],
    'a status page that lets everybody manage' =>
        [ 'intuit_status  manage' => 'intuit_status  manage clients=any' ],
    'a rate without its unit' =>
        [ 'rate=240r/m' => 'rate=240' ],
    'a store without a server' =>
        [ 'server         127.0.0.1:6379;' => '' ],
    "a URL as the store's server" =>
        [ '127.0.0.1:6379' => 'redis://127.0.0.1:6379' ],
    'the password in it' =>
        [ '127.0.0.1:6379' => 'redis://:not-the-password-of-anybody@127.0.0.1:6379' ],
    'the password in nginx.conf: write password_file' =>
        [ 'password_file  /etc/nginx/redis.password' => 'password not-the-password-of-anybody' ],
    'a user without a password' =>
        [ 'password_file  /etc/nginx/redis.password;' => '' ],
    'a Sentinel' =>
        [ '127.0.0.1:6379' => '127.0.0.1:26379' ],
    'a store that is not there' =>
        [ 'store               shared' => 'store               redis' ],
    'a store without a key' =>
        [ 'encryption_key_file /etc/nginx/shared.key;' => '' ],
    "an argument that is the module's" =>
        [ 'session_timeout     12h' => 'extra_auth_args scope=openid' ],
    'a certificate file that is not there' =>
        [ 'session_timeout     12h' => 'ssl_trusted_certificate /etc/nginx/intuit.crt' ],
    'a directive of the provider outside of it' =>
        [ 'auth_intuit  staff;' => 'auth_intuit  staff; allow_realm 9130347957983546;' ],
    'loaded twice: Debian\'s package does it already' =>
        [ "events {}" => "load_module modules/ngx_http_intuit_auth_module.so;\nevents {}" ],
    'no load_module' =>
        [ "load_module modules/ngx_http_intuit_auth_module.so;\n" => "\n" ],
    'a module that was built for another nginx: build it again' =>
        [ 'modules/ngx_http_intuit_auth_module.so' => '/etc/nginx/other.so' ],
);

my %said = slurp("$FindBin::Bin/../docs/mistakes.md") =~ /^\| (.+) \| `(.+)` \|$/mg;

my ($status, $said) = checked($right);

is($status, 0, 'without a mistake it is right') or diag($said);
unlike($said, qr/\[(?:warn|emerg)\]/, 'and nothing is said');

while (my ($name, $change) = splice @cases, 0, 2) {
    my ($old, $new) = @$change;
    my $expected = delete $said{$name} // 'a row of docs/mistakes.md';

    (my $text = $right) =~ s/\Q$old\E/$new/ or die "\"$old\" is not there";

    my ($status, $said) = checked($text);
    my @lines = grep { /^\[(?:warn|emerg)\]/ } split /\n/, $said;

    is($lines[-1], $expected, $name);
    is($status, $expected =~ /^\[warn/ ? 0 : 1, '... which nginx '
        . ($expected =~ /^\[warn/ ? 'takes' : 'refuses'));
    unlike($said, qr/-a-secret-of|-the-password-of/, '... and no secret is shown');
}

is(join(' ', sort keys %said), '', 'the document has no others');

done_testing();


sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or die "$name: $!";
    local $/;
    return <$file>;
}
