#!/usr/bin/perl

# Promise: the simulated Intuit speaks Intuit's dialect, so that what the other
# tests see through it is worth something.
# Attack: wrong keys, used codes, replaced refresh tokens, foreign companies,
# two refreshes at once, bad certificates, broken answers.

use strict;
use warnings;

use Test::More;

use Errno;
use File::Temp qw(tempdir);
use FindBin;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64);
use Digest::SHA qw(hmac_sha1_base64 sha256);
use Time::HiRes qw(time sleep);

plan skip_all => 'node 18 or later is needed' unless node_is_new_enough();

my $dir = tempdir(CLEANUP => 1);
my $realm = '9130347957983546';
my $back = 'http://localhost:8080/intuit/callback';
my $scope = 'openid profile email com.intuit.quickbooks.accounting';
my $http = HTTP::Tiny->new(max_redirect => 0, timeout => 10, keep_alive => 0);
my @children;

END {
    local $?;
    for my $pid (@children) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }
}

my $sim = start();
my ($base, $ctl) = ($sim->{base}, $sim->{control});

subtest 'discovery' => sub {
    for my $path (qw(openid_configuration openid_configuration/
                     openid_sandbox_configuration openid_sandbox_configuration/)) {
        my $doc = json(get("$base/.well-known/$path"));
        is $doc->{token_endpoint}, "$base/oauth2/v1/tokens/bearer", $path;
    }
    my $r = get("$base/.well-known/openid_configuration");
    like $r->{headers}{intuit_tid}, qr/^1-[0-9a-f]{8}-[0-9a-f]{24}$/, 'intuit_tid';
    is get("$base/.well-known/openid-configuration")->{status}, 404, 'not with hyphens';
    my @bits = sort map { 8 * length decode_base64url($_->{n}) }
        @{ json(get("$base/op/v1/jwks"))->{keys} };
    is_deeply \@bits, [1024, 2048, 2048], 'several keys, one of them old';
};

subtest 'the login pages' => sub {
    my $r = get(login_url());
    is $r->{status}, 200, 'page';
    like $r->{content}, qr/Simulated Intuit/, 'labelled';
    like $r->{content}, qr/O&#39;Brien &amp; Sons &lt;Joinery&gt;/, 'escaped';
    unlike $r->{content}, qr/<script|(?:src|href)=/i, 'nothing active or external';
    my ($request) = $r->{content} =~ /name="request" value="([^"]*)"/;
    $request =~ s/&amp;/&/g;

    $r = post("$base/connect/oauth2", form(request => $request, decision => 'connect',
        user => 'bob@example.com', realm => '193514292156789'));
    is $r->{status}, 302, 'Connect';
    like $r->{headers}{location},
        qr{^\Q$back\E\?code=XAB11\w{45}&state=st%26te&realmId=193514292156789$}, 'back to the app';

    $r = post("$base/connect/oauth2", form(request => $request, decision => 'deny'));
    is $r->{headers}{location}, "$back?error=access_denied&state=st%26te", 'No, thanks';

    for my $bad ([client_id => 'x"><script>'], [redirect_uri => 'javascript:alert(1)'],
                 [redirect_uri => 'http://a/b#c']) {
        $r = get(login_url(@$bad));
        is $r->{status}, 400, "bad $bad->[0]: a page of its own";
        ok !$r->{headers}{location}, 'no redirect';
        unlike $r->{content}, qr/<script/, 'escaped';
    }
    is get(login_url() . '&state=again')->{status}, 400, 'a parameter twice';
    like get(login_url(response_type => 'token'))->{headers}{location},
        qr/error=unsupported_response_type/, 'response_type token';
    like get(login_url(scope => 'openid email'))->{content}, qr/Sign in to this app/, 'OpenID only';
    my $openid = control('POST /authorize', { url => login_url(scope => 'openid') })->{location};
    unlike $openid, qr/realmId/, 'OpenID only: no realmId';
};

subtest 'code exchange' => sub {
    my $location = control('POST /authorize', login_url())->{location};
    my ($code) = $location =~ /[?&]code=(\w+)/;
    like $location, qr/realmId=$realm/, 'shortcut without the page';

    is token(code_form($code), { 'x-include-refresh-token-hard-expires-in' => 'true',
        authorization => basic('sim-client-id', 'wrong') })->{status}, 401, 'wrong secret';
    my $r = token(code_form($code), { 'x-include-refresh-token-hard-expires-in' => 'true' });
    is $r->{status}, 200, 'exchanged';
    my $t = json($r);
    like $t->{access_token}, qr/^eyJ[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/, 'access token';
    cmp_ok length $t->{access_token}, '>', 850, 'of realistic length';
    like $t->{refresh_token}, qr/^RT1-39-H3-\w{30}$/, 'refresh token';
    is $t->{expires_in}, 3600, 'expires_in';
    is $t->{x_refresh_token_expires_in}, 8726400, 'x_refresh_token_expires_in';
    ok $t->{x_refresh_token_hard_expires_in}, 'hard expiry, as asked';
    ok !exists $t->{realmId}, 'no realmId';

    my ($head, $claims) = map { decode_json(decode_base64url($_)) } (split /\./, $t->{id_token})[0, 1];
    is $head->{alg}, 'RS256', 'id_token: RS256';
    is_deeply $claims->{aud}, ['sim-client-id'], 'aud is an array';
    is $claims->{realmid}, $realm, 'realmid';
    ok !exists $claims->{nonce}, 'no nonce';
    ok signature_holds($t->{id_token}), 'signature';

    is api($t->{access_token}, 'companyinfo/' . $realm)->{status}, 200, 'the token works';
    $r = token(code_form($code));
    is json($r)->{error}, 'invalid_grant', 'used code';
    is api($t->{access_token}, 'companyinfo/' . $realm)->{status}, 401, 'and its tokens are dead';

    $code = code(redirect_uri => 'http://localhost:8080/other');
    is json(token(code_form($code)))->{error}, 'invalid_grant', 'another redirect_uri';
    my $verifier = 'v' x 43;
    my $challenge = MIME::Base64::encode_base64url(sha256($verifier));
    my @pkce = (code_challenge => $challenge, code_challenge_method => 'S256');
    is json(token(code_form(code(@pkce))))->{error}, 'invalid_grant', 'PKCE: no verifier';
    is token(code_form(code(@pkce)) . "&code_verifier=$verifier")->{status}, 200, 'PKCE: right one';
    is json(token('grant_type=client_credentials'))->{error}, 'unsupported_grant_type', 'grant type';
    $code = code();
    control('POST /config', { clock_offset => 601 });
    is json(token(code_form($code)))->{error}, 'invalid_grant', 'a code of eleven minutes ago';
};

subtest 'refresh and rotation' => sub {
    control('POST /reset');
    my $pair = control('POST /issue', { realm => $realm });
    my $old = $pair->{refresh_token};
    my $t = json(token(refresh_form($old)));
    is $t->{refresh_token}, $old, 'the same value again';
    isnt $t->{access_token}, $pair->{access_token}, 'a new access token';

    control('POST /rotate-refresh');
    $t = json(token(refresh_form($old)));
    isnt $t->{refresh_token}, $old, 'a new value';
    my $r = token(refresh_form($old));
    is $r->{status}, 400, 'the old one is dead at once';
    is json($r)->{error}, 'invalid_grant', 'invalid_grant';
    $old = $t->{refresh_token};
    control('POST /config', { clock_offset => 86401 });
    isnt json(token(refresh_form($old)))->{refresh_token}, $old, 'a new value after a day';
    is json(token(refresh_form($pair->{access_token})))->{error_description},
        'Incorrect Token type or clientID', 'an access token instead';
    is scalar @{ control('GET /tokens') }, 4, 'every pair is listed';
};

subtest 'two refreshes at once, at a barrier' => sub {
    control('POST /reset');
    my $rt = control('POST /issue', {})->{refresh_token};
    control('POST /script', [{ kind => 'token', times => 2, action => { barrier => 'b' } }]);
    is control('GET /barrier/b/wait?count=1&timeout_ms=50')->{error}, 'only 0 parked', 'nobody yet';
    my @socks = map { raw_post('/oauth2/v1/tokens/bearer', refresh_form($rt)) } 1, 2;
    is control('GET /barrier/b/wait?count=2')->{parked}, 2, 'both parked';
    is control('GET /count?kind=token')->{count}, 2, 'both in the journal';
    is control('POST /barrier/b/release')->{released}, 2, 'released';
    my @status = map { (read_all($_) =~ m{^HTTP/1.1 (\d+)})[0] } @socks;
    is_deeply [sort @status], [200, 400], 'one of them wins';
    my $e = control('GET /journal?kind=token')->[0];
    is $e->{grant_type}, 'refresh_token', 'journal: grant type';
    is $e->{realm}, $realm, 'journal: realm';
    ok $e->{headers}{authorization} && @{ $e->{raw_headers} } && $e->{body}, 'journal: request';
};

subtest 'revoke, userinfo' => sub {
    control('POST /reset');
    my $p = control('POST /issue', { user => 'carol@example.com', scope => 'openid email' });
    my $r = get("$base/v1/openid_connect/userinfo", bearer($p->{access_token}));
    is_deeply json($r), { sub => 'b1f4a7c2-2d39-45c1-a6d0-6d7e8f9a0b03', email => 'carol@example.com',
        emailVerified => JSON::PP::false }, 'userinfo, as far as the scopes go';
    is get("$base/v1/openid_connect/userinfo", bearer('x'))->{status}, 401, 'bad token';

    my ($one, $two) = map { control('POST /issue', {}) } 1, 2;
    my $url = "$base/v2/oauth2/tokens/revoke";
    $r = post($url, encode_json({ token => $one->{access_token} }), { authorization => basic(),
        'content-type' => 'application/json' });
    is "$r->{status}/$r->{content}", '200/', 'revoked, empty answer';
    $r = post($url, form(token => $one->{refresh_token}), { authorization => basic() });
    is "$r->{status}/$r->{content}", '400/', 'again: 400, empty';
    is token(refresh_form($two->{refresh_token}))->{status}, 400, 'the whole company is disconnected';
    is post($url, form(token => 'x'))->{status}, 401, 'without keys';
};

subtest 'the API' => sub {
    control('POST /reset');
    my $at = control('POST /issue', {})->{access_token};
    my $r = api(undef, "companyinfo/$realm");
    is $r->{status}, 401, 'no token';
    is $r->{headers}{'www-authenticate'}, 'Bearer realm="Intuit", error="invalid_token"', 'challenge';
    is json($r)->{fault}{error}[0]{code}, '3200', 'gateway fault';
    $r = get("$base/v3/company/1/companyinfo/1", bearer($at));
    is json($r)->{fault}{error}[0]{code}, '3100', 'a foreign company';
    is $r->{status}, 403, 'forbidden';
    $r = post("$base/v3/company/$realm/query", 'select * from Customer maxresults 2',
        { %{ bearer($at) }, 'content-type' => 'application/text' });
    is scalar @{ json($r)->{QueryResponse}{Customer} }, 2, 'query by POST';
    is json(api($at, 'query?query=select%20count(*)%20from%20Customer'))->{QueryResponse}{totalCount}, 6,
        'query by GET';
    is json(api($at, 'query?query=drop'))->{Fault}{type}, 'ValidationFault', 'bad query';
    like get("$base/v3/company/$realm/companyinfo/$realm", { authorization => "Bearer $at" })->{content},
        qr/^<\?xml.*<CompanyName>Harbour Lane Bakery</, 'XML unless JSON is asked for';

    my $invoice = encode_json({ Line => [] });
    my @id = map { json(post("$base/v3/company/$realm/invoice?requestid=r1", $invoice,
        bearer($at)))->{Invoice}{Id} } 1 .. 3;
    is_deeply \@id, [100, 100, 100], 'one requestid, one invoice';
    post("$base/v3/company/$realm/invoice", $invoice, bearer($at)) for 1, 2;
    is control('GET /state')->{executions}{$realm}{Invoice}, 3, 'executions are counted';
    is json(post("$base/v3/company/$realm/invoice", '{}', bearer($at)))->{Fault}{Error}[0]{code}, '2020',
        'validation';
    $r = post("$base/v3/company/$realm/batch", encode_json({ BatchItemRequest => [
        { bId => 'a', Query => 'select * from CompanyInfo' }, { bId => 'b', Query => 'x' }] }), bearer($at));
    ok json($r)->{BatchItemResponse}[0]{QueryResponse}, 'batch: an answer';
    ok json($r)->{BatchItemResponse}[1]{Fault}, 'batch: a fault inside a 200';

    control('POST /expire-access');
    is api($at, "companyinfo/$realm")->{status}, 401, 'expired';
    $at = control('POST /issue', { scope => 'openid' })->{access_token};
    is api($at, "companyinfo/$realm")->{status}, 403, 'without the accounting scope';
};

subtest 'OAuth 1.0a migration' => sub {
    control('POST /reset');
    my $r = migrate();
    is $r->{status}, 200, 'good signature';
    is json($r)->{realmId}, $realm, 'realmId';
    is migrate(secret => 'wrong')->{status}, 401, 'bad signature';
    is migrate(nonce => 'n1')->{status}, 200, 'a nonce';
    like migrate(nonce => 'n1')->{content}, qr/nonce_used/, 'the same nonce';
    like migrate(time => time - 900)->{content}, qr/timestamp_refused/, 'old timestamp';
    is migrate(client_secret => 'x')->{status}, 401, 'wrong client secret';
};

subtest 'scripts' => sub {
    control('POST /reset');
    my $rt = control('POST /issue', {})->{refresh_token};
    my $at = control('POST /issue', {})->{access_token};
    script(token => { status => 502 });
    my $r = token(refresh_form($rt));
    is $r->{status}, 502, 'bad gateway';
    like $r->{content}, qr{<h1>502 Bad Gateway</h1>}, 'as HTML';
    script(token => { merge => { expires_in => '7', extra => 1 }, omit => ['refresh_token'] });
    $r = json(token(refresh_form($rt)));
    is_deeply [@$r{qw(expires_in extra refresh_token)}], ['7', 1, undef], 'merge and omit';
    script(api => { fault => '3001', format => 'xml' });
    $r = api($at, "companyinfo/$realm");
    is $r->{status}, 429, 'throttled';
    like $r->{content}, qr/ThrottleExceeded/, 'as XML';
    script(api => { fault => '130' });
    like api($at, "companyinfo/$realm")->{content}, qr/<Error code="130">/, 'wrong cluster';
    script(userinfo => { redirect => 'http://127.0.0.1:9/' });
    is get("$base/v1/openid_connect/userinfo")->{headers}{location}, 'http://127.0.0.1:9/', 'redirect';
    script(discovery => { gzip => JSON::PP::true });
    is get("$base/.well-known/openid_configuration")->{headers}{'content-encoding'}, 'gzip', 'gzip';
    script(discovery => { headers => { 'X-A' => ['1', '2'], server => undef } });
    $r = get("$base/.well-known/openid_configuration");
    is_deeply [@{ $r->{headers} }{qw(x-a server)}], [['1', '2'], undef], 'headers';
    script(discovery => { delay_ms => 300 });
    my $begun = time;
    get("$base/.well-known/openid_configuration");
    cmp_ok time - $begun, '>', 0.29, 'delay';
    is control('POST /script', [{ kind => 'token', action => { statsu => 1 } }])->{error},
        'script: not understood: statsu', 'a misspelt action is refused';
};

subtest 'broken answers' => sub {
    control('POST /reset');
    my $path = '/.well-known/openid_configuration';
    script(discovery => { rst => JSON::PP::true });
    my $s = raw_get($path);
    is read_all($s), '', 'reset: no byte';
    ok $!{ECONNRESET}, 'reset: really one';
    is control('GET /journal')->[0]{status}, undef, 'reset: no status';
    script(discovery => { close_after => 10 });
    like read_all(raw_get($path)), qr/content-length: \d{3}\r\n.*\r\n\r\n.{10}$/s, 'cut after ten bytes';
    script(discovery => { drip => { bytes => 200, interval_ms => 5 } });
    like read_all(raw_get($path)), qr/"sub"\]\}$/, 'drip';
    script(discovery => { raw => "HTTP/1.1 200 OK\r\nX: \x01\r\n\r\nraw" });
    like read_all(raw_get($path)), qr/X: \x01\r\n\r\nraw$/, 'raw bytes';
    script(discovery => { headers => { a => "b\r\nc: d" } });
    like read_all(raw_get($path)), qr/\r\nc: d\r\n/, 'a header that should not be';
    script(discovery => { hang => JSON::PP::true });
    is read_all(raw_get($path), 0.3), '', 'hang';
    script(discovery => { endless => JSON::PP::true });
    cmp_ok length read_all(raw_get($path), 5, 1_000_000), '>=', 1_000_000, 'endless';
    script(discovery => { chunked => JSON::PP::true });
    is json(get($base . $path))->{issuer}, "https://oauth.platform.intuit.com/op/v1", 'chunked';
    control('POST /down');
    ok !IO::Socket::INET->new(PeerAddr => "127.0.0.1:$sim->{port}"), 'down: refused';
    control('POST /up');
    is get($base . $path)->{status}, 200, 'up again';
    my $extra = control('POST /listen', { behave => 'close' });
    is read_all(IO::Socket::INET->new(PeerAddr => "127.0.0.1:$extra->{port}")), '', 'closing listener';
};

subtest 'connections in the journal' => sub {
    control('POST /reset');
    my $keep = HTTP::Tiny->new;
    $keep->get("$base/op/v1/jwks") for 1, 2;
    get("$base/op/v1/jwks?a=1&a=2");
    my $j = control('GET /journal?kind=jwks');
    is $j->[0]{connection}, $j->[1]{connection}, 'kept connection';
    isnt $j->[1]{connection}, $j->[2]{connection}, 'another one';
    is_deeply $j->[2]{query_list}, [['a', 1], ['a', 2]], 'arguments in order';
    is $j->[2]{tls}, undef, 'no TLS';
    is scalar @{ control('GET /journal/wait?kind=jwks&count=3') }, 3, 'waiting for what is there';
    like control('GET /journal/wait?kind=token&timeout_ms=50')->{error}, qr/0 of 1/, 'and for what is not';
};

subtest 'scripted id_tokens and keys' => sub {
    control('POST /reset');
    my $kid = sub { decode_json(decode_base64url((split /\./, $_[0])[0]))->{kid} };
    my $first = scripted_id_token({});
    ok signature_holds($first), 'good';
    # a quarter of a second of the processor: not for every first login
    ok !control('GET /state')->{keys}{foreign}, 'no other key was made yet';
    ok !signature_holds(scripted_id_token({ sign_with => 'other' })), 'another key, the same kid';
    ok control('GET /state')->{keys}{foreign}, '... now it was';
    ok signature_holds(scripted_id_token({ sign_with => 'weak' })), 'the old 1024-bit key';
    like scripted_id_token({ sign_with => 'none', alg => 'none' }), qr/\.$/, 'alg none';
    like scripted_id_token({ alg => 'HS256' }), qr/^[\w-]+\.[\w-]+\.[\w-]{43}$/, 'HS256';
    is scripted_id_token({ raw => 'x.y' }), 'x.y', 'raw';
    my $t = scripted_id_token({ claims => { nonce => '$nonce', iss => 'https://evil' }, omit => ['exp'] },
        nonce => 'abc');
    my $claims = decode_json(decode_base64url((split /\./, $t)[1]));
    is_deeply [@$claims{qw(nonce iss exp)}], ['abc', 'https://evil', undef], 'claims';
    control('POST /rotate-keys', { drop_old => JSON::PP::true });
    my $next = scripted_id_token({});
    isnt $kid->($next), $kid->($first), 'a new key';
    ok signature_holds($next), 'published';
    is_deeply [grep { $_->{kid} eq $kid->($first) } @{ json(get("$base/op/v1/jwks"))->{keys} }], [],
        'the old one is gone';
};

subtest 'TLS and its variants' => sub {
    plan skip_all => 'no openssl command' if system('openssl version >/dev/null 2>&1');
    my $tls = start('--tls', '--dir', "$dir/tls");
    my ($p, $c) = ($tls->{port}, $tls->{control});
    like $tls->{base}, qr/^https:/, 'https';
    my $ok = s_client($p, 'quickbooks.api.intuit.com');
    like $ok, qr/Verify return code: 0 \(ok\)/, 'certificate holds for an Intuit name';
    like $ok, qr/"issuer"/, 'and answers';
    is request($c, 'GET /journal')->[0]{tls}{sni}, 'quickbooks.api.intuit.com', 'SNI in the journal';
    s_client($p, 'localhost', '-sess_out', "$dir/sess");
    s_client($p, 'localhost', '-sess_in', "$dir/sess");
    ok request($c, 'GET /journal')->[-1]{tls}{resumed}, 'a resumed session is seen as such';
    my %want = ('wrong-host' => qr/hostname mismatch/i, expired => qr/expired/,
        'not-yet' => qr/not yet valid/, 'self-signed' => qr/self[- ]signed/,
        'other-ca' => qr/unable to (?:get local issuer|verify)/,
        'no-intermediate' => qr/unable to (?:get local issuer|verify)/,
        revoked => qr/revoked/, 'with-intermediate' => qr/code: 0 \(ok\)/);
    for my $variant (sort keys %want) {
        my $l = request($c, 'POST /listen', { cert => $variant });
        my @crl = $variant eq 'revoked' ? ('-crl_check', '-CRL', "$dir/tls/ca.crl") : ();
        like s_client($l->{port}, 'localhost', @crl), $want{$variant}, $variant;
    }
    request($c, 'POST /script', [{ kind => 'discovery', action => { rst => JSON::PP::true } }]);
    like s_client($p, 'localhost'), qr/errno=104|Connection reset/i, 'reset under TLS';
    is request($c, 'POST /cert', { cert => 'expired' })->{cert}, 'expired', 'main listener switched';
    like s_client($p, 'localhost'), qr/expired/, 'and seen';
    request($c, 'POST /reset');
    like s_client($p, 'localhost'), qr/code: 0 \(ok\)/, 'good again after a reset';
    my $plain = request($c, 'POST /listen', { behave => 'plain' });
    like s_client($plain->{port}, 'localhost'), qr/wrong version number|packet length/i,
        'plain text instead of a handshake';
};

subtest 'options' => sub {
    my $s = start('--public-base', 'http://localhost:8080/simulated-intuit', '--issuer',
        'https://oauth.platform.intuit.com/op/v1', '--client-id', 'me', '--client-secret', 'a:b',
        '--redirect-uri', $back, '--access-ttl', 5, '--access-bytes', 3000, '--nonce', 'echo');
    my $doc = json(get("$s->{base}/.well-known/openid_configuration"));
    is $doc->{authorization_endpoint}, 'http://localhost:8080/simulated-intuit/connect/oauth2', 'public';
    is $doc->{issuer}, 'https://oauth.platform.intuit.com/op/v1', 'issuer';
    is $doc->{userinfo_endpoint}, "$s->{base}/v1/openid_connect/userinfo", 'private';
    my $url = login_url(client_id => 'me');
    $url =~ s/^\Q$base\E/$s->{base}\/simulated-intuit/;
    like get($url)->{content}, qr{action="http://localhost:8080/simulated-intuit/connect/oauth2"},
        'prefix taken off, form goes to the public address';
    $url =~ s/callback/elsewhere/;
    is get($url)->{status}, 400, 'redirect_uri not registered';
    is request($s->{control}, 'POST /issue', {})->{expires_in}, 5, 'access-ttl';
    cmp_ok length request($s->{control}, 'POST /issue', {})->{access_token}, '>', 4000,
        'access-bytes';
    is post("$s->{base}/oauth2/v1/tokens/bearer", code_form('x'), { authorization => basic('me', 'a:b') })
        ->{status}, 400, 'a secret with a colon';
    is get("$s->{control}/state", { origin => 'http://evil.example' })->{status}, 403,
        'control is not for web pages';
    my $child = pop @children;
    kill 'TERM', $child;
    is waitpid($child, 0), $child, 'SIGTERM ends it';
    is $?, 0, 'with status 0';
};

subtest 'ends with its parent' => sub {
    pipe(my $r, my $w) or die;
    start_with($r, '--die-with-parent');
    my $child = pop @children;
    close $r;
    close $w;
    my $until = time + 5;
    my $gone = 0;
    until ($gone || time > $until) {
        $gone = waitpid($child, 1) == $child;
        sleep 0.02;
    }
    ok $gone, 'stdin closed, gone';
    push @children, $child unless $gone;
};

done_testing();


# ---- helpers

sub node_is_new_enough {
    my $v = `node --version 2>/dev/null` // '';
    return $v =~ /^v(\d+)/ && $1 >= 18;
}

sub start { return start_with(undef, @_) }

sub start_with {
    my ($stdin, @args) = @_;
    my $ready = "$dir/ready." . scalar @children . '.' . int(time * 1000);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<&', $stdin if $stdin;
        open STDIN, '<', '/dev/null' unless $stdin;
        open STDOUT, '>', '/dev/null';
        # Only standard descriptors may outlive the exec, or the pipe stays open.
        exec 'node', "$FindBin::Bin/sim/main.mjs", '--ready', $ready, @args;
        die "exec: $!";
    }
    push @children, $pid;
    for (1 .. 500) {
        if (-s $ready) {
            open my $fh, '<', $ready or die;
            return decode_json(<$fh>);
        }
        sleep 0.02;
    }
    die 'the simulator did not start';
}

sub get {
    my ($url, $headers) = @_;
    return $http->request('GET', $url, { headers => $headers // {} });
}

sub post {
    my ($url, $content, $headers) = @_;
    my %h = ('content-type' => 'application/x-www-form-urlencoded', %{ $headers // {} });
    return $http->request('POST', $url, { headers => \%h, content => $content });
}

sub json { return decode_json($_[0]{content}) }

sub request {
    my ($address, $what, $body) = @_;
    my ($method, $path) = split / /, $what;
    my $content = ref $body ? encode_json($body) : $body;
    my $r = $http->request($method, $address . $path, { defined $content ? (content => $content) : () });
    return decode_json($r->{content});
}

sub control { return request($ctl, @_) }

sub script {
    my ($kind, $action) = @_;
    control('POST /script', [{ kind => $kind, action => $action }]);
}

sub form { return $http->www_form_urlencode([@_]) }

sub login_url {
    my %q = (client_id => 'sim-client-id', response_type => 'code', redirect_uri => $back,
        scope => $scope, state => 'st&te', @_);
    return "$base/connect/oauth2?" . form(map { ($_ => $q{$_}) } sort keys %q);
}

sub code {
    my $location = control('POST /authorize', login_url(@_))->{location};
    return ($location =~ /[?&]code=(\w+)/)[0];
}

sub code_form {
    return form(grant_type => 'authorization_code', code => $_[0], redirect_uri => $back);
}

sub refresh_form { return form(grant_type => 'refresh_token', refresh_token => $_[0]) }

sub basic {
    my ($id, $secret) = @_ ? @_ : ('sim-client-id', 'sim-client-secret');
    return 'Basic ' . encode_base64("$id:$secret", '');
}

sub bearer { return { authorization => "Bearer $_[0]", accept => 'application/json' } }

sub token {
    my ($content, $headers) = @_;
    return post("$base/oauth2/v1/tokens/bearer", $content,
        { authorization => basic(), accept => 'application/json', %{ $headers // {} } });
}

sub api {
    my ($token, $path) = @_;
    return get("$base/v3/company/$realm/$path",
        $token ? bearer($token) : { accept => 'application/json' });
}

sub scripted_id_token {
    my ($change, @query) = @_;
    script(token => { id_token => $change });
    return json(token(code_form(code(@query))))->{id_token};
}

# RSA by hand: the decoded signature has to end with the digest of the input.
sub signature_holds {
    my ($jwt) = @_;
    require Math::BigInt;
    my ($head, $payload, $sig) = split /\./, $jwt;
    my $kid = decode_json(decode_base64url($head))->{kid};
    my ($key) = grep { $_->{kid} eq $kid } @{ json(get("$base/op/v1/jwks"))->{keys} };
    return 0 unless $key;
    my $big = sub { Math::BigInt->from_hex(unpack 'H*', decode_base64url($_[0])) };
    my $plain = $big->($sig)->bmodpow($big->($key->{e}), $big->($key->{n}))->to_hex;
    my $digest = unpack 'H*', sha256("$head.$payload");
    return $plain =~ /^1f+003031300d060960864801650304020105000420\Q$digest\E$/ ? 1 : 0;
}

sub migrate {
    my %o = (secret => 'sim-consumer-secret', nonce => 'n' . rand, time => time,
        client_secret => 'sim-client-secret', @_);
    my $url = "$base/v2/oauth2/tokens/migrate";
    my %p = (oauth_consumer_key => 'sim-consumer-key', oauth_token => 'sim-oauth1-token',
        oauth_signature_method => 'HMAC-SHA1', oauth_timestamp => int $o{time},
        oauth_nonce => $o{nonce}, oauth_version => '1.0');
    my $enc = sub { my $s = shift; $s =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge; $s };
    my $list = join '&', map { "$_=" . $enc->($p{$_}) } sort keys %p;
    my $sig = hmac_sha1_base64('POST&' . $enc->($url) . '&' . $enc->($list),
        "$o{secret}&sim-oauth1-secret");
    $p{oauth_signature} = $sig . '=' x (-length($sig) % 4);
    my $auth = 'OAuth ' . join ', ', map { $_ . '="' . $enc->($p{$_}) . '"' } sort keys %p;
    return post($url, encode_json({ scope => $scope, redirect_uri => $back,
        client_id => 'sim-client-id', client_secret => $o{client_secret} }),
        { authorization => $auth, 'content-type' => 'application/json' });
}

sub raw_send {
    my ($head, $body) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$sim->{port}") or die "connect: $!";
    $body //= '';
    print $s "$head\r\nHost: 127.0.0.1:$sim->{port}\r\nConnection: close\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    $s->flush;
    return $s;
}

sub raw_get { return raw_send("GET $_[0] HTTP/1.1") }

sub raw_post {
    my ($path, $body) = @_;
    return raw_send("POST $path HTTP/1.1\r\nAuthorization: " . basic()
        . "\r\nContent-Type: application/x-www-form-urlencoded", $body);
}

sub read_all {
    my ($s, $limit, $enough) = @_;
    my $all = '';
    my $until = time + ($limit // 10);
    while ((my $left = $until - time) > 0) {
        my $in = '';
        vec($in, fileno $s, 1) = 1;
        select($in, undef, undef, $left) or last;
        $! = 0;
        sysread($s, $all, 65536, length $all) or last;
        last if $enough && length $all >= $enough;
    }
    my $error = $! + 0;
    close $s;
    $! = $error;
    return $all;
}

sub s_client {
    my ($port, $name, @more) = @_;
    my $req = "$dir/req";
    open my $fh, '>', $req or die;
    print $fh "GET /.well-known/openid_configuration HTTP/1.1\r\nHost: $name\r\nConnection: close\r\n\r\n";
    close $fh;
    my @cmd = ('timeout', 10, 'openssl', 's_client', '-connect', "127.0.0.1:$port", '-servername', $name,
        '-verify_hostname', $name, '-CAfile', "$dir/tls/ca.crt", '-ign_eof', @more);
    return scalar `@cmd < $req 2>&1`;
}
