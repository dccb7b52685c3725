package Text;

# What no file of the project holds, and that its scripts can be read by the
# shell: all of them, and none by its name.

use strict;
use warnings;

use File::Temp ();

my @NEVER = (
    [ qr/(?<![:\$])\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X)|HAC(?:K))\b/, 'something is left to do' ],
    [ qr{(?<![\w.])/(?:work|home|root)/\w}, 'a path of some machine' ],
    [ qr{\b(?:design|reference)/[\w-]+\.md\b}, 'a document that is not here' ],
    [ qr/^(?:<{7}|>{7}|={7})(?: |$)/m, 'an unfinished merge' ],
    [ qr/\bregistry\.npm|\bresolved": /, 'the address of a registry' ],
);

# A demonstration of what is to be done is written in English.
my $PROSE = qr{^t/lint/Text\.pm$};
my $SCRIPT = qr{\.sh$};


sub check {
    my ($tree) = @_;
    my (@wrong, $scripts);

    for my $path ($tree->paths(qr/./)) {
        my $text = $tree->text($path);

        push @wrong, map { Tree::matches($path, $text, @$_) } @NEVER
            if $path !~ $PROSE;

        next if $path !~ $SCRIPT && $text !~ m{\A#!/bin/(?:ba)?sh};
        $scripts++;
        push @wrong, shell($path, $text);
    }

    return $scripts ? @wrong : (@wrong, 'found nothing: shell scripts');
}

# bash -n, and shellcheck where there is one
my %said;

sub shell {
    my ($path, $text) = @_;
    return @{ $said{$path}{$text} //= [ ask($path, $text) ] };
}

sub ask {
    my ($path, $text) = @_;
    my $file = File::Temp->new(SUFFIX => '.sh');

    print $file $text;
    $file->flush;

    my @said = map { s/^.*?: line (\d+):/$path:$1: bash:/r }
        split /\n/, `bash -n $file 2>&1`;

    # sourced files are looked at by themselves
    push @said, map { s/^\S+?:(\d+):\d+:/$path:$1: shellcheck:/r }
        split /\n/, `shellcheck -f gcc -S warning -s bash -e SC1090,SC1091 $file 2>&1`
        if !@said && shellcheck();

    return @said;
}

{
    my $there;

    sub shellcheck {
        return $there //= (system('command -v shellcheck > /dev/null') == 0);
    }
}


sub controls {
    my $script = 't/tools/setup.sh';
    my $plant = sub {
        my ($path, $line, $said) = @_;
        return [ $path, sub { "$_[0]$line\n" }, $said ];
    };

    my @controls = (
        $plant->('src/ngx_intuit_url.c', '/* TO' . 'DO: later */', qr/left to do/),
        $plant->('Makefile', '# see /wo' . 'rk/main/notes', qr/path of some machine/),
        $plant->('README.md', 'see des' . 'ign/interface.md', qr/document that is not here/),
        $plant->('README.md', '<' x 7 . ' HEAD', qr/unfinished merge/),
        $plant->('t/package-lock.json', '"resol' . 'ved": "https://', qr/address of a registry/),
        $plant->($script, 'if true; then', qr/^\Q$script\E:\d+: bash:/),
        [ 'planted', sub { "#!/bin/sh\n\ndone\n" }, qr/^planted:\d+: bash:/ ],
    );

    push @controls, $plant->($script, 'rm -rf $' . '1/*', qr/shellcheck:/)
        if shellcheck();

    return @controls;
}


1;
