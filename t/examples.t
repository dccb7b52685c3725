#!/usr/bin/perl

# The promise: what the documents show works, and what exists is documented.
# Every file of conf-examples/ and every whole nginx.conf in README.md passes
# "nginx -t", and the one with two providers does what it says; README's
# reference has the directives, variables and error words
# of the source, and no others; its map has all source files; the log lines
# that it explains are lines of the source.
# The attack: a renamed directive, an example nobody has tried since, a check
# that finds nothing to check.  Each check runs a second time on something
# wrong, and has to see it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Cwd qw(abs_path);


my $TOP = abs_path("$FindBin::Bin/..");

my $t = Test::Intuit->new(sim => 0);

my %EXAMPLES = map { m{([^/]+)$} => slurp($_) } glob "$TOP/conf-examples/*.conf";
my $README = slurp("$TOP/README.md");
my $MODULE = slurp("$TOP/ngx_http_intuit_auth_module.c");
my $SOURCE = join '', map { slurp($_) } "$TOP/ngx_http_intuit_auth_module.c",
    glob "$TOP/src/*.[ch]";
my @FILES = ('ngx_http_intuit_auth_module.c',
    map { m{([^/]+)$} } glob "$TOP/src/*.[ch]");


# -- nginx -t -----------------------------------------------------------------

# files that the examples name, and where they are in this test
my %FILES = (
    '/etc/nginx/intuit.secret'              => secret('intuit.secret'),
    '/etc/nginx/intuit.key'                 => key('intuit.key'),
    '/etc/nginx/intuit.key.old'             => key('intuit.key.old'),
    '/etc/nginx/intuit-app.conf'            => $t->write_file('app.conf',
        'client_id ABc123; client_secret_file ' . $t->dir . '/intuit.secret;'),
    certificate('tools.example.com'),
    certificate('tools.test.example.com'),
    crl('test-ca'),
    '/var/log/nginx/'                       => 'logs/',
    '/var/lib/nginx/'                       => $t->dir . '/',
    '/run/'                                 => $t->dir . '/',
    'modules/ngx_http_intuit_auth_module.so' => '%%MODULE%%',
);

cmp_ok(scalar(keys %EXAMPLES), '>=', 6, 'there are examples');

for my $name (sort keys %EXAMPLES) {
    passes($EXAMPLES{$name}, $name);
}

my @shown = grep { /^load_module/m } $README =~ /^```nginx\n(.*?)^```$/msg;

cmp_ok(scalar(@shown), '>=', 2, 'README shows whole configurations');
passes($shown[$_], "configuration $_ of README") for 0 .. $#shown;

for my $change ([ 'allow_realm', '#' ], [ 'scope', '#' ],
    [ 'sandbox;', 'production;' ], [ 'intuit_proxy', 'intuit_prox' ])
{
    my ($old, $new) = @$change;
    (my $text = $EXAMPLES{'smallest.conf'}) =~ s/^(.*)\Q$old\E/$1$new/m;

    my ($status, $said) = check($text);
    isnt($status, 0, "negative control: \"$new\" for \"$old\" is refused");
}

sub passes {
    my ($text, $name) = @_;
    my ($status, $said) = check($text);

    is($status, 0, "$name passes nginx -t") or diag($said);

    my @uris = $text =~ /^\s*redirect_uri\s+(\S+);/mg;
    my @left = grep { local $_ = local_form($_);
        $said !~ /register exactly \Q$_\E as/ } @uris;

    ok(@uris && !@left, "$name: the redirect URIs to register are printed")
        or diag($said);
    unlike($said, qr/\[(?:warn|error|alert|emerg)\]/, "$name: no warning");
}

sub check {
    my ($text) = @_;

    $text = local_form($text);
    $text =~ s/^http \{\n/http {\n    %%TEMP_PATHS%%\n/m;
    $text =~ s/^(http \{\n)/$1    access_log logs\/access.log;\n/m
        if $text !~ /^\s*access_log\s/m;

    $t->conf($text);

    # "-e stderr", as Debian's nginx has it built in: notices are shown, too
    my @command = map { $_ eq 'logs/start.log' ? 'stderr' : $_ }
        $t->command('nginx.conf', '-t');

    waitpid $t->spawn($t->dir . '/check.log', @command), 0;
    my $status = $?;
    my $said = $t->read_file('check.log');
    unlink $t->dir . '/check.log';

    return ($status, $said);
}

# the same with this test's files and free ports
sub local_form {
    my ($text) = @_;
    my $files = join '|', map { quotemeta }
        sort { length $b <=> length $a } keys %FILES;

    $text =~ s/($files)/$FILES{$1}/g;
    $text =~ s/(\blisten\s+)(?:127\.0\.0\.1:)?(\d+)/"${1}127.0.0.1:" . $t->port($2)/ge;
    $text =~ s/(localhost:)(\d+)/$1 . $t->port($2)/ge;

    return $text;
}

sub secret {
    my ($name) = @_;
    return $t->write_secret($name, 'not-a-secret-of-anybody');
}

sub key {
    my ($name) = @_;
    return $t->write_secret($name, join '', map { sprintf '%x', rand 16 } 1 .. 64);
}

sub openssl {
    my @command = @_;
    my $said = `cd @{[ $t->dir ]} && openssl @command 2>&1`;
    die "openssl @command: $said" if $?;
}

sub certificate {
    my ($name) = @_;
    my $path = $t->dir . "/$name";

    openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 2), '-subj', "/CN=$name",
        '-keyout', "$path.key", '-out', "$path.crt");

    return map { ("/etc/nginx/$name.$_" => "$path.$_") } qw(crt key);
}

sub crl {
    my ($name) = @_;
    my $path = $t->dir . "/$name";
    my %file = certificate($name);

    $t->write_file("$name.txt", '');
    $t->write_file("$name.cnf", <<"EOC");
[ca]
default_ca = this
[this]
database = $path.txt
default_md = sha256
default_crl_days = 2
EOC
    openssl(qw(ca -gencrl), '-config', "$path.cnf", '-keyfile', "$path.key",
        '-cert', "$path.crt", '-out', "$path.crl");

    return (%file, "/etc/nginx/$name.crl" => "$path.crl");
}


# -- staff and books, for real ------------------------------------------------

# The set-up that is easiest to get wrong, as it stands in conf-examples/, with
# the simulator in Intuit's place.

my $s = Test::Intuit->new(label => 'staff and books');

$s->write_secret('client_secret', $s->sim->{client_secret});
$s->write_file('html/connected.html', "connected\n");
$s->conf(with_simulator($EXAMPLES{'staff-and-books.conf'}))->start;

{
    my $api = '/v3/company/-/companyinfo/9130347957983546';
    my ($ada, $mallory, $admin, $other) = map { $s->jar } 1 .. 4;

    is($s->login($ada, '/')->status, 302, 'ada signs in as staff');
    is($s->get('/', -jar => $ada, -browser => 1)->body, 'ada@example.com',
        'the tool learns who she is');

    is($s->login($mallory, '/', user => 'mallory@evil.example')->status, 403,
        'mallory is refused');

    my $r = $s->get($api, -jar => $ada, -json => 1);
    is($r->status, 403, 'nobody has connected the company');
    is($r->json->{error}, 'not_connected', 'and the answer says so');
    is($r->json->{login_uri}, '/intuit/books/login', 'and where to');

    is($s->login($other, '/connect-books/', realm => '193514292156789')->status,
        403, 'another company cannot be connected');
    is($s->get($api, -jar => $ada)->status, 403, 'and has not been');

    # no e-mail rule is asked for books: that must not make anybody staff
    $s->login($admin, '/connect-books/', realm => '9130347957983546',
        user => 'mallory@evil.example');
    is($s->get('/connect-books/', -jar => $admin, -browser => 1)->body,
        "connected\n", 'an administrator connects the company');
    is($s->get('/', -jar => $admin, -json => 1)->status, 401,
        'and is not staff by that');

    $r = $s->get($api, -jar => $ada, -json => 1);
    is($r->status, 200, 'now staff reads the books');
    like($r->body, qr/Harbour Lane Bakery/, 'of that company');
    is($s->get($api, -json => 1)->status, 401, 'and nobody else does');
    is($s->get('/v3/company/193514292156789/companyinfo/193514292156789',
        -jar => $ada)->status, 403, 'nor those of another company');

    is($s->post('/intuit/books/logout', '', -jar => $admin)->status, 303,
        'the administrator signs out');
    is($s->get($api, -jar => $ada)->status, 200, 'the connection stays');
}

sub with_simulator {
    my ($text) = @_;
    my $dir = $s->dir;

    $text =~ s{modules/ngx_http_intuit_auth_module.so}{%%MODULE%%};
    $text =~ s{/var/log/nginx/}{logs/}g;
    $text =~ s{/etc/nginx/intuit.secret}{$dir/client_secret}g;
    $text =~ s{/var/www}{$dir/html}g;
    $text =~ s{ABc123}{sim-client-id}g;
    $text =~ s{(\blisten\s+)(\d+)}{${1}127.0.0.1:%%PORT_$2%%}g;
    $text =~ s{(localhost|127\.0\.0\.1):(\d+)}{$1:%%PORT_$2%%}g;
    $text =~ s{^(\s*)environment .*\n}{$&$1config_url %%SIM%%/.well-known/openid_sandbox_configuration;\n$1api_url %%SIM%%;\n}mg;
    $text =~ s/^http \{\n/$&    %%TEMP_PATHS%%\n    access_log logs\/access.log;\n/m;

    my $tool = "    server {\n        listen 127.0.0.1:%%PORT_3000%%;\n"
        . "        return 200 \"\$http_x_user\";\n    }\n";
    $text =~ s/\}\s*\z/$tool}\n/;

    return $text;
}


# -- the reference ------------------------------------------------------------

# Each of these returns what is wrong, as a list of lines; an empty list of
# things to look at is wrong as well.

sub check_directives {
    my ($module, $readme, @examples) = @_;
    my @table = table($module);
    my @syntax = syntax($readme);
    my @headings = $readme =~ /^### (\w+)$/mg;
    my %used = map { $_ => 1 } map { used($_) } @examples;

    return (
        nothing('the command table', @table),
        nothing('"Syntax:" lines', @syntax),
        nothing('examples', @examples),
        differ('a heading', \@table, \@headings),
        differ('a "Syntax:" line', \@table, \@syntax),
        map({ "no directive: $_" } without(\@headings, \@table)),
        map({ "no directive: $_" } without(\@syntax, \@table)),
        map({ "$_ is in no example" } grep { !$used{$_} } @table),
    );
}

# the names in the table of commands
sub table {
    my ($module) = @_;
    my ($table) = $module =~ /\bngx_http_intuit_commands\[\] = \{(.*?)ngx_null_command/s
        or return;

    return $table =~ /\{\s*ngx_string\("(\w+)"\)/g;
}

sub syntax {
    my ($readme) = @_;
    return uniq($readme =~ /^\s*Syntax:\s+(\w+)/mg);
}

# the first word of each directive of an nginx.conf
sub used {
    my ($conf) = @_;
    $conf =~ s/#.*//g;
    return $conf =~ /(?:^|[;{}])\s*(\w+)(?=[\s;{])/mg;
}

sub nothing {
    my ($what, @found) = @_;
    return @found ? () : "found nothing: $what";
}

sub differ {
    my ($what, $wanted, $found) = @_;
    return map { "$_ has no $what" } without($wanted, $found);
}

# those of the first list that the second lacks
sub without {
    my ($these, $those) = @_;
    my %there = map { $_ => 1 } @$those;
    return grep { !$there{$_} } @$these;
}

sub uniq {
    my %seen;
    return grep { !$seen{$_}++ } @_;
}

# in Markdown, as `name` or `$name`
sub unnamed {
    my ($text, @names) = @_;
    return grep { $text !~ /`\Q$_\E(?=[`\s])/ } @names;
}

# The section of README that begins with this heading.
sub section {
    my ($readme, $heading) = @_;
    my ($text) = $readme =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;
    return $text // '';
}

sub check_variables {
    my ($source, $readme) = @_;
    my $text = section($readme, 'Variables');
    my ($table) = $source =~ /\bngx_http_intuit_variables\[\] = \{(.*?)ngx_http_null_variable/s;

    # two are internal, and a prefix is written with a NAME
    my @names = map { "\$$_" } grep { !/^intuit_api_(?:url|host)$/ }
        ($table // '') =~ /\{ ngx_string\("(\w+)"\)/g;
    push @names, '$intuit_claim_NAME'
        if ($table // '') =~ /ngx_string\(NGX_HTTP_INTUIT_CLAIM\)/;

    my @named = uniq($text =~ /^\| `(\$\w+)`/mg);

    return (
        nothing('variables', @names),
        map({ "$_ is not in the table of variables" } without(\@names, \@named)),
        map({ "no variable: $_" } without(\@named, \@names)),
    );
}

sub check_errors {
    my ($source, $readme) = @_;
    my ($table) = $source =~ /ngx_http_intuit_failures\[\w+\] =\n\{(.*?)^\};/ms;
    my %status = (
        NGX_HTTP_BAD_REQUEST => 400, NGX_HTTP_UNAUTHORIZED => 401,
        NGX_HTTP_FORBIDDEN => 403, NGX_HTTP_NOT_ALLOWED => 405,
        NGX_HTTP_INTERNAL_SERVER_ERROR => 500, NGX_HTTP_BAD_GATEWAY => 502,
        NGX_HTTP_SERVICE_UNAVAILABLE => 503,
        NGX_HTTP_GATEWAY_TIME_OUT => 504,
        NGX_HTTP_TOO_MANY_REQUESTS => 429,
    );

    my %word = reverse(($table // '') =~ /\{ (NGX_HTTP_\w+), "(\w+)",/g);
    my %said = reverse(section($readme, 'Troubleshooting')
        =~ /^\| (\d{3}) `(\w+)` \|/mg);

    return (
        nothing('error words', keys %word),
        map({ "$_ is not explained" } without([ sort keys %word ], [ keys %said ])),
        map({ "no error word: $_" } without([ sort keys %said ], [ keys %word ])),
        map({ "$_ has another status" }
            grep { exists $said{$_} && $said{$_} != ($status{$word{$_}} // 0) }
            sort keys %word),
    );
}

# Log lines stand in the first column of a table, with "…" for what varies.
sub check_log_lines {
    my ($source, $readme) = @_;
    my @lines = section($readme, 'Troubleshooting') =~ /^\| `([^`]+)` \|/mg;

    # literals as the compiler joins them
    $source =~ s/"\s*\n\s*"//g;
    $source =~ s/\\"/"/g;

    return (
        nothing('log lines', @lines),
        map {
            my $line = $_;
            map { "not in the source: \"$_\" of \"$line\"" }
                grep { length && index($source, $_) < 0 }
                split /…/, $line;
        } @lines
    );
}

sub check_map {
    my ($files, $readme) = @_;
    my $text = section($readme, 'Map of the source');
    my @named = uniq($text =~ /^\s*(?:src\/)?(ngx_\w+\.[ch])\b/mg);

    return (
        nothing('source files', @$files),
        map({ "$_ is not on the map" } without($files, \@named)),
        map({ "no such file: $_" } without(\@named, $files)),
    );
}

sub nothing_wrong {
    my ($name, @wrong) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is("@wrong", '', $name) or diag(join "\n", @wrong);
}

sub something_wrong {
    my ($name, $what, @wrong) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(scalar(grep { /$what/ } @wrong), "negative control: $name")
        or diag(join "\n", @wrong);
}

my @examples = values %EXAMPLES;

nothing_wrong('directives: source, README and examples agree',
    check_directives($MODULE, $README, @examples));

something_wrong('a directive without a heading', qr/^leeway has no a? ?heading/,
    check_directives($MODULE, $README =~ s/^### leeway\n//mr, @examples));
something_wrong('a directive without a syntax', qr/^leeway has no .*Syntax/,
    check_directives($MODULE, $README =~ s/Syntax:\s+leeway/leeway/r, @examples));
something_wrong('a syntax without a directive', qr/^no directive: state_dir/,
    check_directives($MODULE, "$README\nSyntax:  state_dir path;\n", @examples));
something_wrong('a heading without a directive', qr/^no directive: state_dir/,
    check_directives($MODULE, "$README\n### state_dir\n", @examples));
something_wrong('a directive in no example', qr/^leeway is in no example/,
    check_directives($MODULE, $README,
        map { s/\bleeway\b/#leeway/gr } @examples));
something_wrong('a new directive', qr/^intuit_new is in no example/,
    check_directives($MODULE =~ s/\{ ngx_string\("scope"\)/{ ngx_string("intuit_new"),\n$&/r,
        $README, @examples));
something_wrong('no table', qr/^found nothing: the command table/,
    check_directives($MODULE =~ s/ngx_null_command//gr, $README, @examples));
something_wrong('no README', qr/^found nothing: "Syntax:"/,
    check_directives($MODULE, '', @examples));
something_wrong('no examples', qr/^found nothing: examples/,
    check_directives($MODULE, $README));

nothing_wrong('variables: source and README agree',
    check_variables($SOURCE, $README));
something_wrong('a variable that README lacks', qr/^\$intuit_tid is not/,
    check_variables($SOURCE, $README =~ s/`\$intuit_tid`/tid/gr));
something_wrong('a variable that is not there', qr/^no variable: \$intuit_tid/,
    check_variables($SOURCE =~ s/ngx_string\("intuit_tid"\)//r, $README));
something_wrong('no variables', qr/^found nothing/, check_variables('', $README));

nothing_wrong('error words: source and README agree',
    check_errors($SOURCE, $README));
something_wrong('an error that README lacks', qr/^login_loop is not/,
    check_errors($SOURCE, $README =~ s/^\| 400 `login_loop`/| login_loop/mr));
something_wrong('an error that is not there', qr/^no error word: login_loop/,
    check_errors($SOURCE =~ s/"login_loop"/"login_circle"/r, $README));
something_wrong('another status', qr/^login_loop has another/,
    check_errors($SOURCE, $README =~ s/^\| 400 `login_loop`/| 403 `login_loop`/mr));
something_wrong('no error words', qr/^found nothing/, check_errors('', $README));

nothing_wrong('log lines are those of the source',
    check_log_lines($SOURCE, $README));
something_wrong('a line that is not there', qr/^not in the source: "intuit keys/,
    check_log_lines($SOURCE =~ s/intuit keys accepted/intuit keys welcomed/r,
        $README));
something_wrong('no lines', qr/^found nothing/, check_log_lines($SOURCE, ''));

nothing_wrong('the map has all source files', check_map(\@FILES, $README));
something_wrong('a file that is not on the map', qr/^ngx_intuit_new\.c is not/,
    check_map([ @FILES, 'ngx_intuit_new.c' ], $README));
something_wrong('a file that is gone', qr/^no such file: ngx_intuit_url\.c/,
    check_map([ grep { $_ ne 'ngx_intuit_url.c' } @FILES ], $README));

done_testing;


sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}
