#!/usr/bin/perl

# The promise: one version in all places that tell it; an archive that is the
# same whoever makes it, with the sources and nothing that was built; a man page
# with each directive; and a Debian package that lintian has nothing against.
# The attack: a release of a tree in which somebody has worked, with what only he
# has; a directive that the man page loses; a number that was forgotten.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $TOP = dirname(dirname(abs_path(__FILE__)));
chdir $TOP or die "$TOP: $!";

# the version

my ($version) = slurp('src/ngx_http_intuit_auth_module.h')
    =~ /^#define NGX_HTTP_INTUIT_VERSION +"([\d.]+)"$/m;

ok($version, "the version is $version");
is((slurp('CHANGES') =~ /_auth_module (\S+) /)[0], $version, '... in CHANGES');
is((slurp('debian/changelog') =~ /\((\S+)\)/)[0], $version, '... in the package');

# CHANGES, in nginx's form

is_deeply([ wrong_changes(slurp('CHANGES')) ], [], 'CHANGES has the form of nginx\'s');
is(scalar(wrong_changes($_->[0])), 1, "seen: $_->[1]") for
    [ "\nChanges with m 1.0.0    1 Jan 2026\n\n    *) Fixed: it.\n", 'another word' ],
    [ "\nChanges with m 1.0.0    1 Jan 2026\n\n    *) Bugfix: it\n", 'no full stop' ],
    [ "\nChanges with m 1.0.0    1 Jan 2026\n\n    *) Bugfix: @{[ 'a' x 80 ]}.\n", 'a long line' ],
    [ "\nChanges with m 1.0.0    1 Jan 2026\n\n    * Bugfix: it.\n", 'no entry' ],
    [ "\nChanges in 1.0.0\n", 'another heading' ];

# the archive

my $archive = built();
my $sum = `sha256sum $archive`;
my %in = map { s{^[^/]+/}{}r => 1 } split /\n/, `tar -tf $archive`;

ok($in{$_}, "$_ is in it") for qw(config ngx_http_intuit_auth_module.c README.md
    docs/reference.md src/ngx_http_intuit_auth_module.h debian/control t/package.t);
is(join(' ', grep { m{^(build|\.git)/|node_modules|\.s?o$} } sort keys %in), '',
    'and nothing that was built');

utime 1, 1, 'README.md';
chmod 0600, 'README.md';
built();
is(`sha256sum $archive`, $sum, 'it is the same whoever makes it, and when');
utime undef, undef, 'README.md';
chmod 0644, 'README.md';

# the man page

SKIP: {
    skip('there is no lowdown', 1) if system('command -v lowdown > /dev/null');

    my $page = `t/tools/man.sh docs | man -l - 2>&1 | col -b`;
    my %lost = map { $_ => 1 } slurp('docs/reference.md') =~ /^### (\S+)$/mg;
    my $all = keys %lost;

    delete $lost{$_} for $page =~ /^ {3}([a-z_]+)$/mg;
    is(join(' ', sort keys %lost), '', "the man page has all $all directives");
}

# the package

SKIP: {
    skip('make test-all builds the package', 3) if !$ENV{TEST_ALL};

    is(system('t/tools/deb.sh > build/deb-test.log 2>&1'), 0, 'it can be built')
        or diag(slurp('build/deb-test.log'));

    my ($deb) = glob "build/deb/libnginx-mod-http-intuit-auth_${version}_*.deb";
    my $said = `lintian --fail-on error build/deb/*.changes 2>&1`;

    is($?, 0, 'lintian finds no error') or diag($said);
    like(`dpkg-deb -f $deb Depends`, qr/nginx-abi-/, 'it goes with one nginx');
}

done_testing();


# A heading with version and day, then entries: a word of nginx's, a sentence.
sub wrong_changes {
    my @wrong;

    for (split /\n{2,}/, $_[0] =~ s/^\n//r) {
        if (/^Changes with \S+ \d+\.\d+\.\d+ {3,}\d+ [A-Z][a-z]{2} \d{4}$/) {
            next;
        }

        push @wrong, $_
            if !/^ {4}\*\) (?:(?:Security|Change|Feature|Bugfix|Workaround): \S|The first version\.)/
            || !/\.\n?\z/ || /\n(?! {7}\S)./ || /^.{81}/m;
    }

    return @wrong;
}

sub built {
    my $name = `t/tools/dist.sh`;
    chomp $name;
    return $name;
}

sub slurp {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!";
    local $/;
    return <$file>;
}
