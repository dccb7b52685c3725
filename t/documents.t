#!/usr/bin/perl

# The promise: each configuration inside the documents works.  Each block of
# README.md and docs/ is taken by "nginx -t": whole ones as they are, parts
# with the rest of an nginx.conf around them; the whole ones are, comments
# aside, files of conf-examples/, and README's does what it says; each
# link and picture leads to a file, and to a heading that is there; each example
# file is linked; a diagram is what its text says, and has words for those who
# cannot see it; no picture is large; and README.md stays short.
# The attack: a directive that was renamed since, a part pasted into the wrong
# block, a page that was moved.  Each check sees something planted.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Shown;

use Cwd qw(abs_path);

my $TOP = abs_path("$FindBin::Bin/..");

my %DOC = map { s{^\Q$TOP\E/}{}r => slurp($_) } "$TOP/README.md",
    "$TOP/CONTRIBUTING.md", "$TOP/SECURITY.md", glob "$TOP/docs/*.md";
my %EXAMPLE = map { s{^\Q$TOP\E/}{}r => slurp($_) } glob "$TOP/conf-examples/*.conf";

my $t = Test::Intuit->new(sim => 0);
my $shown = Test::Intuit::Shown->new($t);


# -- nginx -t -----------------------------------------------------------------

my (@whole, $parts);

for my $path (sort keys %DOC) {
    my @blocks = blocks($DOC{$path});

    for my $n (1 .. @blocks) {
        my $text = $blocks[$n - 1];

        if ($text =~ /^load_module/) {
            push @whole, [ $path, $text ];

        } else {
            $parts++;
            $text = Test::Intuit::Shown::around($text);
        }

        my ($status, $said) = $shown->check($text);
        is($status, 0, "$path: block $n passes nginx -t") or diag("$text\n$said");
        unlike($said, qr/\[(?:warn|error|alert|emerg)\]/, '... without a warning');
    }
}

cmp_ok(scalar(@whole), '>=', 2, 'there are whole configurations');
cmp_ok($parts, '>=', 60, "and $parts parts");

for (@whole) {
    my ($path, $text) = @$_;
    my ($file) = grep { bare($EXAMPLE{$_}) eq bare($text) } sort keys %EXAMPLE;
    ok($file, "the configuration of $path is " . ($file // 'no file of conf-examples'));
}

for (
    [ 'a directive that is none', "location / { auth_intuits books; }\n", undef ],
    [ 'a value that is none', "pkce yes;\n", undef ],
    [ 'a part of a provider in a server', "pkce on;\n", 'server' ],
    [ 'a part of a server in a provider', "auth_intuit books;\n", 'provider' ],
    [ 'a part of a store in a provider', "keepalive 3;\n", 'provider' ],
) {
    my ($name, $part, $context) = @$_;
    my ($status) = $shown->check(Test::Intuit::Shown::around($part, $context));
    isnt($status, 0, "negative control: $name is refused");
}

isnt(bare($whole[0][1] =~ s/listen 8080/listen 8081/r), bare($whole[0][1]),
    'negative control: another port is another configuration');


# -- README's, for real -------------------------------------------------------

my $s = Test::Intuit->new(label => 'smallest');

$s->write_secret('client_secret', $s->sim->{client_secret});
$s->conf(Test::Intuit::Shown::with_simulator($s, (blocks($DOC{'README.md'}))[0]))
    ->start;

{
    my $jar = $s->jar;
    my $api = '/v3/company/-/companyinfo/9130347957983546';

    is($s->get('/', -browser => 1)->status, 302, 'everything needs a login');
    is($s->login($jar, '/', realm => '9130347957983546')->status, 302, 'signed in');
    is($s->get('/', -jar => $jar, -browser => 1)->body, 'ada@example.com',
        'the tool learns who she is');
    like($s->get($api, -jar => $jar, -json => 1)->body, qr/Harbour Lane Bakery/,
        'and a page reads the books');
    is($s->get($api, -json => 1)->status, 401, 'nobody else does');
}


# -- links --------------------------------------------------------------------

nothing_wrong('each link leads somewhere', links(%DOC));
nothing_wrong('docs/README.md has each page', grep { $DOC{'docs/README.md'} !~ /\($_\)/ }
    map { m{^docs/(?!README)(.*)} } sort keys %DOC);
nothing_wrong('each example is linked', unlinked(\%DOC, keys %EXAMPLE));

for (
    [ 'a page that is gone', 'See [there](docs/gone.md).', qr/docs\/gone\.md: not there/ ],
    [ 'a heading that is gone', 'See [there](docs/reference.md#gone).', qr/reference\.md#gone: no such/ ],
    [ 'a picture that is gone', '<img src="docs/gone.png">', qr/docs\/gone\.png: not there/ ],
    [ 'a heading of this page', 'See [there](#gone).', qr/README\.md#gone: no such/ ],
) {
    my ($name, $text, $said) = @$_;
    like(join("\n", links(%DOC, 'README.md' => $text)), $said, "negative control: $name");
}

like(join("\n", links('README.md' => 'none')), qr/found nothing/, 'negative control: no links');
like(join("\n", unlinked({ 'README.md' => '' }, 'conf-examples/smallest.conf')),
    qr/smallest\.conf/, 'negative control: an example without a link');

# -- pictures -----------------------------------------------------------------

my @diagrams = map { m{([^/]+)\.diagram$} } glob "$TOP/docs/*.diagram";

cmp_ok(scalar @diagrams, '>=', 2, 'there are diagrams');

for my $name (@diagrams) {
    my $copy = $t->write_file("$name.diagram", slurp("$TOP/docs/$name.diagram"));
    my $svg = slurp("$TOP/docs/$name.svg");

    is(system("$TOP/t/tools/diagram.pl", $copy), 0, "$name is drawn");
    is($t->read_file("$name.svg"), $svg, '... as it is in docs/');
    like($svg, qr{role="img".*<title id="t">\w.*<desc id="d">\w.*prefers-color-scheme}s,
        '... with words, and for both colour schemes');
}

my $wrong = $t->write_file('wrong.diagram', slurp("$TOP/docs/login.diagram") . "A -> B: x\n");
isnt(system("$TOP/t/tools/diagram.pl $wrong 2> /dev/null"), 0,
    'negative control: an actor that is none');

my @pictures = glob "$TOP/docs/screenshots/*.png";

cmp_ok(scalar @pictures, '>=', 8, 'there are screenshots');
is(join(' ', grep { -s $_ >= 100_000 } @pictures), '', '... none of 100 kB');

my $words = () = $DOC{'README.md'} =~ /\S+/g;
cmp_ok($words, '<', 1300, "README.md has $words words: five minutes");

done_testing;


sub blocks {
    my ($text) = @_;
    return $text =~ /^```nginx\n(.*?)^```$/msg;
}

# without comments and empty lines, with single blanks
sub bare {
    my ($text) = @_;
    $text =~ s/(?:^|\s)#.*//mg;
    $text =~ s/\s+/ /g;
    return $text =~ s/^ | $//gr;
}

sub links {
    my (%doc) = @_;
    my ($found, @wrong) = (0);

    for my $path (sort keys %doc) {
        my ($dir) = $path =~ m{^(.*/)};
        my $text = $doc{$path} =~ s/^```.*?^```$//msgr;

        while ($text =~ /(?:\]\(|(?:src|srcset)=")(?!https?:)([^)#\s"]*)(?:#([^)\s]+))?[)"]/g) {
            my ($file, $heading) = ($1, $2);
            my $to = $file eq '' ? $path : ($dir // '') . $file;

            $found++;
            1 while $to =~ s{[^/]+/\.\./}{};

            if (!-e "$TOP/$to") {
                push @wrong, "$path: $to: not there";

            } elsif (defined $heading) {
                my $page = $doc{$to} // slurp("$TOP/$to");
                push @wrong, "$path: $to#$heading: no such heading"
                    if !grep { $_ eq $heading } anchors($page);
            }
        }
    }

    return $found ? @wrong : 'found nothing: links';
}

# as GitHub makes them of headings
sub anchors {
    my ($text) = @_;
    $text =~ s/^```.*?^```$//msg;
    return map { my $a = lc; $a =~ s/[^\w\- ]//g; $a =~ tr/ /-/r } $text =~ /^#+ (.*)$/mg;
}

sub unlinked {
    my ($docs, @files) = @_;
    my $all = join '', values %$docs;
    return map { "$_ is linked nowhere" }
        grep { my ($name) = m{([^/]+)$}; $all !~ m{\(\S*conf-examples/\Q$name\E\)} } sort @files;
}

sub nothing_wrong {
    my ($name, @wrong) = @_;
    is("@wrong", '', $name) or diag(join "\n", @wrong);
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}
