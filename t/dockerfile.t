#!/usr/bin/perl

# The promise: the Dockerfile in conf-examples/ keeps to what a container asks for:
# fixed releases, package lists that do not stay in a layer, nothing that builds in
# the image that runs, no secret in any, a signal that lets requests end; and
# what it copies and installs is what "make deb" makes and Debian has.
# The attack: no container can be run where this is tested, so each rule has a
# Dockerfile that breaks it.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

chdir dirname(dirname(abs_path(__FILE__))) or die $!;

my $dockerfile = slurp('conf-examples/Dockerfile');

is_deeply([ wrong($dockerfile) ], [], 'nothing is wrong');

for my $case (
    [ 'a release that moves', qr/^FROM/, s => [ 'debian:13-slim', 'debian:latest' ] ],
    [ 'no release', qr/^FROM/, s => [ 'debian:13-slim', 'debian' ] ],
    [ 'recommended packages', qr/no-install-recommends/, s => [ ' --no-install-recommends make', ' make' ] ],
    [ 'a question', qr/-y is missing/, s => [ 'install -y', 'install' ] ],
    [ 'package lists in a layer', qr/lists/, s => [ '&& rm -rf /var/lib/apt/lists/*', '' ] ],
    [ 'a stage that is not there', qr/no stage "make"/, s => [ '--from=build', '--from=make' ] ],
    [ 'what builds, in the image that runs', qr/builds/, s => [ 'nginx \\', 'nginx gcc \\' ] ],
    [ 'a secret in the image', qr/secret/, s => [ 'EXPOSE', "ENV INTUIT_CLIENT_SECRET=abc\nEXPOSE" ] ],
    [ 'a file of secrets in the image', qr/secret/, s => [ 'EXPOSE', "COPY secrets/client /etc/nginx/\nEXPOSE" ] ],
    [ 'a shell between docker and nginx', qr/CMD/, s => [ '["nginx", "-g", "daemon off;"]', 'nginx -g "daemon off;"' ] ],
    [ 'no end for requests', qr/STOPSIGNAL/, s => [ 'SIGQUIT', 'SIGTERM' ] ],
    [ 'an instruction that is none', qr/RUNS/, s => [ 'RUN make', 'RUNS make' ] ],
    [ 'a package of another name', qr/make deb/, s => [ 'deb/libnginx', 'deb/nginx' ] ])
{
    my ($name, $pattern, undef, $change) = @$case;
    my ($old, $new) = @$change;

    (my $text = $dockerfile) =~ s/\Q$old\E/$new/ or die "$old is not there";
    ok(scalar(grep { $_ =~ $pattern } wrong($text)), "seen: $name")
        or diag(join "\n", wrong($text));
}

is(join(' ', sort split /\n/, slurp('.dockerignore')), '.git build t/node_modules',
    'what was built here is not copied');

done_testing();


sub wrong {
    my ($text) = @_;
    my (@wrong, %stage, @instructions);

    $text =~ s/^#.*\n//mg;
    $text =~ s/\\\n/ /g;

    for (grep { /\S/ } split /\n/, $text) {
        my ($word, $rest) = /^([A-Z]+) +(.*)$/ or push(@wrong, "no instruction: $_"), next;
        push @wrong, "no instruction: $word"
            if $word !~ /^(?:FROM|RUN|COPY|WORKDIR|VOLUME|EXPOSE|STOPSIGNAL|CMD|ENV|USER)$/;
        push @instructions, [ $word, $rest ];
    }

    my @last;

    for (@instructions) {
        my ($word, $rest) = @$_;

        if ($word eq 'FROM') {
            @last = ();
            push @wrong, "FROM $rest: which release?" if $rest !~ /^[a-z]+:\d[\w.-]*/;
            $stage{$1} = 1 if $rest =~ / AS (\w+)/;
        }

        push @last, $_;

        if ($word eq 'RUN' && $rest =~ /apt-get/) {
            push @wrong, "-y is missing: $rest" if $rest =~ /apt-get install(?! -y)/;
            push @wrong, "no --no-install-recommends: $rest" if $rest !~ /install -y --no-install-rec/;
            push @wrong, "lists of packages stay: $rest"
                if $rest !~ /^apt-get update .*rm -rf \/var\/lib\/apt\/lists\/\*/;
        }

        if ($word eq 'COPY' && $rest =~ /^--from=(\w+) (\S+)/) {
            push @wrong, "no stage \"$1\"" if !$stage{$1};
            push @wrong, "make deb makes no $2"
                if $2 !~ m{^/src/build/deb/@{[ slurp('debian/control') =~ /^Package: (\S+)/m ]}_\*\.deb$};
        }

        push @wrong, "a secret in the image: $rest"
            if $word =~ /^(?:ENV|ARG|COPY)$/ && $rest =~ /secret|key|password/i;
    }

    my %last = map { $_->[0] => $_->[1] } @last;

    push @wrong, 'it builds in the image that runs'
        if grep { $_->[1] =~ /\b(?:gcc|make|\S+-dev)\b/ } grep { $_->[0] eq 'RUN' } @last;
    push @wrong, 'CMD is no list' if ($last{CMD} // '') !~ /^\["nginx", .*daemon off/;
    push @wrong, 'STOPSIGNAL is not SIGQUIT' if ($last{STOPSIGNAL} // '') ne 'SIGQUIT';

    return @wrong;
}

sub slurp {
    my ($name) = @_;
    open my $file, '<', $name or die "$name: $!";
    local $/;
    return <$file>;
}
