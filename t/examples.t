#!/usr/bin/perl

# The promise: what the documents show works, and what exists is documented.
# Every file of conf-examples/ passes "nginx -t", and the one with two providers
# does what it says; the reference has the directives of the source, with their
# contexts and an example each, and no others; so have the pages about
# variables, error words and log lines; the map in CONTRIBUTING.md has all
# source files; and each directive is used by a test.  (The configurations
# inside the documents: t/documents.t.)
# The attack: a renamed directive, an example nobody has tried since, a check
# that finds nothing to check.  Each check runs a second time on something
# wrong, and has to see it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Shown;

use Cwd qw(abs_path);


my $TOP = abs_path("$FindBin::Bin/..");

my $t = Test::Intuit->new(sim => 0);

my %EXAMPLES = map { m{([^/]+)$} => slurp($_) } glob "$TOP/conf-examples/*.conf";
my %DOC = map { m{([^/]+)\.md$} => slurp($_) } glob "$TOP/docs/*.md";
my $CHANGES = slurp("$TOP/CHANGES");
my $MAP = slurp("$TOP/CONTRIBUTING.md");
my $MODULE = slurp("$TOP/ngx_http_intuit_auth_module.c");
my $SOURCE = join '', map { slurp($_) } "$TOP/ngx_http_intuit_auth_module.c",
    glob "$TOP/src/*.[ch]";
my @TESTS = map { slurp($_) } grep { !m{/(?:examples|documents)\.t$} } glob "$TOP/t/*.t";
my @FILES = ('ngx_http_intuit_auth_module.c',
    map { m{([^/]+)$} } glob "$TOP/src/*.[ch]");


# -- nginx -t -----------------------------------------------------------------

my $shown = Test::Intuit::Shown->new($t);

cmp_ok(scalar(keys %EXAMPLES), '>=', 6, 'there are examples');

for my $name (sort keys %EXAMPLES) {
    passes($EXAMPLES{$name}, $name);
}

for my $change ([ 'allow_realm', '#' ], [ 'scope', '#' ],
    [ 'sandbox;', 'production;' ], [ 'intuit_proxy', 'intuit_prox' ])
{
    my ($old, $new) = @$change;
    (my $text = $EXAMPLES{'smallest.conf'}) =~ s/^(.*)\Q$old\E/$1$new/m;

    my ($status, $said) = $shown->check($text);
    isnt($status, 0, "negative control: \"$new\" for \"$old\" is refused");
}

sub passes {
    my ($text, $name) = @_;
    my ($status, $said) = $shown->check($text);

    is($status, 0, "$name passes nginx -t") or diag($said);

    my @uris = $text =~ /^\s*redirect_uri\s+(\S+);/mg;
    my @left = grep { local $_ = $shown->local_form($_);
        $said !~ /register exactly \Q$_\E as/ } @uris;

    ok(@uris && !@left, "$name: the redirect URIs to register are printed")
        or diag($said);
    unlike($said, qr/\[(?:warn|error|alert|emerg)\]/, "$name: no warning");
}


# -- staff and books, for real ------------------------------------------------

# The set-up that is easiest to get wrong, as it stands in conf-examples/, with
# the simulator in Intuit's place.

my $s = Test::Intuit->new(label => 'staff and books');

$s->write_secret('client_secret', $s->sim->{client_secret});
$s->write_file('html/connected.html', "connected\n");
$s->conf(Test::Intuit::Shown::with_simulator($s,
    $EXAMPLES{'staff-and-books.conf'}))->start;

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


# -- the reference ------------------------------------------------------------

# Each of these returns what is wrong, as a list of lines; an empty list of
# things to look at is wrong as well.

sub check_directives {
    my ($module, $reference, $tests, @examples) = @_;
    my @table = uniq(table($module));
    my @syntax = syntax($reference);
    my @headings = $reference =~ /^### (\w+)$/mg;
    my %used = map { $_ => 1 } map { used($_) } @examples;

    return (
        nothing('the command table', @table),
        nothing('"Syntax:" lines', @syntax),
        nothing('examples', @examples),
        nothing('tests', @$tests),
        differ('a heading', \@table, \@headings),
        differ('a "Syntax:" line', \@table, \@syntax),
        map({ "no directive: $_" } without(\@headings, \@table)),
        map({ "no directive: $_" } without(\@syntax, \@table)),
        map({ "$_ is in no example" } grep { !$used{$_} } @table),
        map({ "$_ is in no test" } untested($tests, @table)),
    );
}

# each entry has all that nginx.org's have, and its contexts are the source's
sub check_entries {
    my ($module, $reference, $changes) = @_;
    my %context = contexts($module);
    my %entry = $reference =~ /^### (\w+)\n(.*?)(?=^##|\z)/msg;
    my %version = map { $_ => 1 } $changes =~ /^Changes with \w+ ([\d.]+) /mg;
    my @wrong = (nothing('contexts', keys %context), nothing('entries', keys %entry),
        nothing('versions', keys %version));

    for my $name (sort keys %entry) {
        my $text = $entry{$name};
        my ($said) = $text =~ /^    Context: (.*)$/m;
        my ($since) = $text =~ /^    This directive appeared in version ([\d.]+)\.$/m;
        my ($shown) = $text =~ /^```nginx\n(.*?)^```$/ms;

        push @wrong, "$name: no \"Default:\"" if $text !~ /^    Default: \S/m;
        push @wrong, "$name: context \"" . ($said // '') . "\" instead of \"" . ($context{$name} // '') . "\""
            if ($said // '') ne ($context{$name} // '');
        push @wrong, "$name: since a version that CHANGES has not"
            if !$version{$since // ''};
        push @wrong, "$name: not described" if $text !~ /^[^\s`#|-][^\n]{20}/m;
        push @wrong, "$name: not in the list of its part"
            if $reference !~ /\[$name\]\(#$name\)(?:,|\.$)/m;
        push @wrong, "$name: not in its own example"
            if !grep { $_ eq $name } used($shown // '');
    }

    return @wrong;
}

sub contexts {
    my ($module) = @_;
    my ($table) = $module =~ /\bngx_http_intuit_commands\[\] = \{(.*?)ngx_null_command/s;
    my $rest = $table // '';
    my %word = (MAIN => 'http', SRV => 'server', LOC => 'location',
        INTUIT_PROVIDER => 'intuit_provider', INTUIT_STORE => 'intuit_store');
    my %context;

    while ($rest =~ /\{\s*ngx_string\("(\w+)"\),\s*([^,]*),/g) {
        my ($name, $flags) = ($1, $2);
        push @{ $context{$name} }, map { $word{$_} } $flags =~ /NGX_HTTP_(\w+)_CONF\b/g;
    }

    return map { $_ => join ', ', @{ $context{$_} } } keys %context;
}

# in a configuration of a test, or in a row of it
sub untested {
    my ($tests, @names) = @_;
    my %seen = map { $_ => 1 } map { /(?:^|[;{}'"=]|=> )\s*(\w+)(?=[\s;])/mg } @$tests;
    return grep { !$seen{$_} } @names;
}

# the names in the table of commands
sub table {
    my ($module) = @_;
    my ($table) = $module =~ /\bngx_http_intuit_commands\[\] = \{(.*?)ngx_null_command/s
        or return;

    return $table =~ /\{\s*ngx_string\("(\w+)"\)/g;
}

sub syntax {
    my ($reference) = @_;
    return uniq($reference =~ /^\s*Syntax:\s+(\w+)/mg);
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

# The section that begins with this heading.
sub section {
    my ($document, $heading) = @_;
    my ($text) = $document =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;
    return $text // '';
}

sub check_variables {
    my ($source, $page) = @_;
    my ($table) = $source =~ /\bngx_http_intuit_variables\[\] = \{(.*?)ngx_http_null_variable/s;

    # two are internal, and a prefix is written with a NAME
    my @names = map { "\$$_" } grep { !/^intuit_api_(?:url|host)$/ }
        ($table // '') =~ /\{ ngx_string\("(\w+)"\)/g;
    push @names, '$intuit_claim_NAME'
        if ($table // '') =~ /ngx_string\(NGX_HTTP_INTUIT_CLAIM\)/;

    my @named = uniq($page =~ /^\| `(\$\w+)` \|/mg);

    return (
        nothing('variables', @names),
        map({ "$_ is not in the table of variables" } without(\@names, \@named)),
        map({ "no variable: $_" } without(\@named, \@names)),
    );
}

sub check_errors {
    my ($source, $page) = @_;
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
    my %said = reverse($page =~ /^\| (\d{3}) `(\w+)` \|/mg);

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
    my ($source, $page) = @_;
    my @lines = $page =~ /^\| `([^`]+)` \|/mg;

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
    my ($files, $document) = @_;
    my $text = section($document, 'Map of the source');
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

my $REFERENCE = $DOC{reference};

nothing_wrong('directives: source, reference, examples and tests agree',
    check_directives($MODULE, $REFERENCE, \@TESTS, @examples));

for (
    [ 'a directive without a heading', qr/^leeway has no a? ?heading/,
        reference => sub { s/^### leeway\n//m } ],
    [ 'a directive without a syntax', qr/^leeway has no .*Syntax/,
        reference => sub { s/Syntax:\s+leeway/leeway/ } ],
    [ 'a syntax without a directive', qr/^no directive: state_dir/,
        reference => sub { s/\z/\nSyntax:  state_dir path;\n/ } ],
    [ 'a heading without a directive', qr/^no directive: state_dir/,
        reference => sub { s/\z/\n### state_dir\n/ } ],
    [ 'a directive in no example', qr/^leeway is in no example/,
        examples => sub { s/\bleeway\b/#leeway/g } ],
    [ 'a directive in no test', qr/^leeway is in no test/,
        tests => sub { s/\bleeway\b/leeways/g } ],
    [ 'a new directive', qr/^intuit_new is in no example/,
        module => sub { s/\{ ngx_string\("scope"\)/{ ngx_string("intuit_new"),\n$&/ } ],
    [ 'no table', qr/^found nothing: the command table/,
        module => sub { s/ngx_null_command//g } ],
    [ 'no reference', qr/^found nothing: "Syntax:"/, reference => sub { $_ = '' } ],
    [ 'no examples', qr/^found nothing: examples/, examples => undef ],
    [ 'no tests', qr/^found nothing: tests/, tests => undef ],
) {
    my ($name, $said, $what, $change) = @$_;
    my %given = (module => [ $MODULE ], reference => [ $REFERENCE ],
        tests => [ @TESTS ], examples => [ @examples ]);

    $given{$what} = [] if !$change;
    $change->() for $change ? @{ $given{$what} } : ();

    something_wrong($name, $said, check_directives($given{module}[0],
        $given{reference}[0], $given{tests}, @{ $given{examples} }));
}

nothing_wrong('the entries of the reference are whole',
    check_entries($MODULE, $REFERENCE, $CHANGES));

for (
    [ 'another context', qr/^leeway: context/,
        sub { s/(Syntax:  leeway.*?Context: )\w+/$1http/s } ],
    [ 'no default', qr/^leeway: no "Default:"/,
        sub { s/Default: leeway/Standard: leeway/ } ],
    [ 'a version that never was', qr/^leeway: since/,
        sub { s/(Syntax:  leeway.*?version )[\d.]+/${1}0.0.9./s } ],
    [ 'no example', qr/^leeway: not in its own/, sub { s/^leeway /#leeway /m } ],
    [ 'in no list', qr/^leeway: not in the list/, sub { s/\[leeway\]\(#leeway\),//g } ],
    [ 'no text', qr/^leeway: not described/, sub { s/^How far Intuit.*\n//m } ],
) {
    my ($name, $said, $change) = @$_;
    local $_ = $REFERENCE;
    $change->();
    something_wrong($name, $said, check_entries($MODULE, $_, $CHANGES));
}

something_wrong('no contexts', qr/^found nothing: contexts/,
    check_entries('', $REFERENCE, $CHANGES));

nothing_wrong('variables: source and the page agree',
    check_variables($SOURCE, $DOC{variables}));
something_wrong('a variable that the page lacks', qr/^\$intuit_tid is not/,
    check_variables($SOURCE, $DOC{variables} =~ s/`\$intuit_tid`/tid/gr));
something_wrong('a variable that is not there', qr/^no variable: \$intuit_tid/,
    check_variables($SOURCE =~ s/ngx_string\("intuit_tid"\)//r, $DOC{variables}));
something_wrong('no variables', qr/^found nothing/, check_variables('', $DOC{variables}));

nothing_wrong('error words: source and the page agree',
    check_errors($SOURCE, $DOC{troubleshooting}));
something_wrong('an error that the page lacks', qr/^login_loop is not/,
    check_errors($SOURCE, $DOC{troubleshooting} =~ s/^\| 400 `login_loop`/| login_loop/mr));
something_wrong('an error that is not there', qr/^no error word: login_loop/,
    check_errors($SOURCE =~ s/"login_loop"/"login_circle"/r, $DOC{troubleshooting}));
something_wrong('another status', qr/^login_loop has another/,
    check_errors($SOURCE, $DOC{troubleshooting} =~ s/^\| 400 `login_loop`/| 403 `login_loop`/mr));
something_wrong('no error words', qr/^found nothing/, check_errors('', $DOC{troubleshooting}));

nothing_wrong('log lines are those of the source',
    check_log_lines($SOURCE, $DOC{troubleshooting}));
something_wrong('a line that is not there', qr/^not in the source: "intuit keys/,
    check_log_lines($SOURCE =~ s/intuit keys accepted/intuit keys welcomed/r,
        $DOC{troubleshooting}));
something_wrong('no lines', qr/^found nothing/, check_log_lines($SOURCE, ''));

nothing_wrong('the map has all source files', check_map(\@FILES, $MAP));
something_wrong('a file that is not on the map', qr/^ngx_intuit_new\.c is not/,
    check_map([ @FILES, 'ngx_intuit_new.c' ], $MAP));
something_wrong('a file that is gone', qr/^no such file: ngx_intuit_url\.c/,
    check_map([ grep { $_ ne 'ngx_intuit_url.c' } @FILES ], $MAP));

done_testing;


sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}
