#!/usr/bin/perl

# The pages that people see can be used by all of them: axe-core finds nothing in
# real Chromium, in light and dark, on a phone and on a desk; each has a language, one
# main part and one heading, nothing wider than the screen; the keyboard gets
# at everything, in order, and shows where it is.  A page with planted faults is found.
#
# With TEST_SHOTS=DIRECTORY each page is drawn as well: t/tools/screenshots.sh.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use JSON::PP ();

my $modules = "$FindBin::Bin/node_modules";

plan(skip_all => 'there is no /usr/bin/chromium') if !-x '/usr/bin/chromium';
plan(skip_all => 'axe-core or playwright-core is missing: run make test once')
    if grep { !-e "$modules/$_/package.json" } qw(axe-core playwright-core);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file("html/$_", slurp("$FindBin::Bin/demo/html/$_"))
    for qw(index.html style.css app.js signed-out.html);
$t->write_file('html/link.html', "<body>\n");
$t->write_file('html/planted.html', <<'HTML');
<!DOCTYPE html><html><head><title>Planted</title><style>p{color:#999;background:#fff}
button:focus{outline:none}</style></head>
<body><div style="width:2000px"><p>Hard to read</p><img src="x.png"><button></button>
<input></div></body></html>
HTML

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    types { text/html html; text/css css; application/javascript js; }
    charset utf-8;
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546 4620816365041297150 193514292156789;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;
        root %%DIR%%/html;
        auth_intuit books;

        location = /payroll {
            auth_intuit_require $intuit_claim_nothing;
        }

        location = /connect {
            auth_intuit off;
            intuit_connect books;
        }

        location = /status {
            auth_intuit off;
            intuit_status manage;
        }

        location /v3/company/ {
            intuit_proxy books;
        }

        location ~ ^/(link\.html|planted\.html|style\.css|signed-out) {
            auth_intuit off;
            try_files $uri $uri.html =404;
        }
    }
}
CONF

# three companies, of which two need somebody

for my $realm ('9130347957983546', '4620816365041297150', '193514292156789') {
    my $token = $t->sim->issue(realm => $realm)->{refresh_token};
    is($t->post('/connect', "realm=$realm&refresh_token=$token", -json => 1)->status,
        200, 'a company is connected');
}

for (['4620816365041297150', { status => 503 }],
    ['193514292156789', { status => 400, body => '{"error":"invalid_grant"}' }])
{
    my ($realm, $action) = @$_;
    $t->sim->script({ kind => 'token', times => 1, action => $action });
    isnt($t->post('/status', "action=refresh&provider=books&realm=$realm",
        -json => 1)->status, 200, '... and cannot be refreshed');
}

my @pages = (
    [ 'error-link', 'stranger', '/intuit/callback?code=x&state=y', 'no longer valid' ],
    [ 'error', 'three times', '/', 'does not keep the login' ],
    [ 'error-cancelled', 'refusal', '/', 'cancelled' ],
    [ 'error-forbidden', 'signed in', '/payroll', 'may not open' ],
    [ 'sign-out', 'elsewhere', '/intuit/logout', 'Sign out?' ],
    [ 'connected', 'consent', '/connect', 'Connected' ],
    [ 'status', 'stranger', '/status', '' ],
    [ 'status-open', 'about to disconnect', '/status?done=refreshed', '' ],
    [ 'demo', 'signed in', '/', 'Harbour Lane Bakery' ],
    [ 'demo-signed-out', 'stranger', '/signed-out', 'Signed out' ],
    [ 'planted', 'stranger', '/planted.html', 'Planted' ],
);

my $said = look(map { my %p; @p{qw(name way url title)} = @$_; \%p } @pages);

my %seen;
push @{ $seen{ $_->{name} } }, $_ for @{ $said->{seen} // [] };

for my $name (map { $_->[0] } grep { $_->[0] ne 'planted' } @pages) {
    my $p = $said->{$name} // {};

    is($p->{error}, undef, "$name is reached");
    is(scalar @{ $seen{$name} // [] }, 4, 'looked at four times');
    is(join("\n", wrong($p, @{ $seen{$name} // [] })), '', 'and nothing is wrong');
}

my $wrong = join("\n", wrong($said->{planted}, @{ $seen{planted} // [] }));
like($wrong, $_, "negative control: $_") for qr/color-contrast/, qr/button-name/,
    qr/image-alt/, qr/label/, qr/no language/, qr/no main part/, qr/no heading/,
    qr/wider than/, qr/where the keyboard is/;

# the icon of a site is asked for by a browser, if it has the time, and by no page
my @broken = grep { !m{^[\w-]+: Loading the image '[^']+/favicon\.ico' violates } }
    @{ $said->{policy} // ['nothing was looked at'] };
is_deeply(\@broken, [], 'the pages keep their own policy');
is_deeply([ sort @{ $said->{hosts} } ], [ '127.0.0.1', 'localhost' ], 'nobody else is asked');

done_testing;


sub look {
    my @what = @_;
    my $given = JSON::PP::encode_json({ pages => \@what, shots => $ENV{TEST_SHOTS},
        base => 'http://localhost:' . $t->port(8080) });

    open my $pipe, '-|', 'node', "$FindBin::Bin/browser/axe.cjs", $modules, $given
        or die "node: $!";
    my $answer = do { local $/; <$pipe> };
    close $pipe;

    return JSON::PP::decode_json($answer || '{}');
}

sub wrong {
    my ($page, @seen) = @_;
    my $keys = $page->{keys} // {};
    my @wrong;

    for my $s (@seen) {
        my $where = "$s->{scheme}, $s->{width}";
        push @wrong, map { "$where: $_" } @{ $s->{violations} };
        push @wrong, "$where: contrast of $_ is not known" for @{ $s->{undecided} };
        push @wrong, "$where: axe has seen no text" if !$s->{contrast};
        push @wrong, "$where: wider than the screen" if $s->{overflow};
    }

    push @wrong, 'no language' if !$page->{lang};
    push @wrong, 'no main part' if ($page->{main} // 0) != 1;
    push @wrong, 'no heading, or several' if ($page->{h1} // 0) != 1;
    push @wrong, "the keyboard meets $keys->{met} of $keys->{wanted}"
        if $keys->{met} != $keys->{wanted} || !$keys->{ordered};
    push @wrong, 'where the keyboard is cannot be seen' if !$keys->{shown};

    return @wrong;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}
