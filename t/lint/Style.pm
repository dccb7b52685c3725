package Style;

# nginx's way of writing C, as far as a line shows it.

use strict;
use warnings;

# of the text as it is
my @TEXT = (
    [ qr/\t/, 'a tab' ],
    [ qr/[ \r]$/m, 'blanks at the end of a line' ],
    [ qr/^(?=.{81})/m, 'more than 80 columns' ],
    [ qr/\n\n\n\n/, 'three empty lines' ],
    [ qr/[^\n]\z|\n\n\z/, 'the end is not one newline' ],
    [ qr/[^\x0a\x20-\x7e]/, 'not ASCII' ],
);

# of the code, comments and strings being blanks
my @CODE = (
    [ qr{//}, 'a // comment' ],
    [ qr/\b(?:if|for|while|switch|return)\(/, 'no blank after the keyword' ],
    [ qr/\)\{/, 'no blank before the brace' ],
    [ qr/\}[ \n]*\n[ ]*else\b/, '"else" on a line of its own' ],
    [ qr/^[ ]+(?:if|for|while|switch) (\((?:[^()]|(?1))*+\))(?!\s*\{|;)/m,
        'no braces' ],
    [ qr/,(?=[^\s,\/])/, 'no blank after a comma' ],
    [ qr/;(?=[^\s;])/, 'two statements in a line' ],
    [ qr/\w\* +\w/, 'the star belongs to the name' ],
    [ qr/^\w[\w ]* \**\w+\([^;{}]*\)\n\{/m,
        'the return type is not on a line of its own' ],
    [ qr/^[^\n #\/}{][^\n;=]*\) \{$/m, 'the brace of a function' ],
    [ qr/^(?:[ ]{1,3}|[ ]{5,7})(?:if|for|while|switch|return|break|goto)\b/m,
        'not indented by four' ],
    [ qr/\b(?:if|while) \((?:[^()]|\([^()]*\))*\(\w+ = /,
        'an assignment in a condition' ],
    [ qr/^\s+(?:if|while) \(\w+ = /m, 'an assignment in a condition' ],
    [ qr/\bsizeof [^(]|\bNULL == |\b(?:malloc|calloc|free|printf|sprintf|strcpy|strlen|memcpy|strcmp|atoi)\(/,
        'not what nginx would call' ],
);

# A declaration in a block: indentation, type, gap, stars, name.
my $DECLARATION = qr/^([ ]+)
    ((?:(?:static|const|struct|unsigned|volatile)[ ])*
        (?!(?:return|goto|else|case|if|for|while|switch|do|break|static|const|struct)\b)\w+)
    ([ ]+)(\**)(\w+|\(\*\w+\)\([^()]*\))(?=[;,\[]|[ ]=|[ ]\{)/x;


my %file;

sub check {
    my ($tree) = @_;
    my (@wrong, $functions);

    for my $path ($tree->sources) {
        my $text = $tree->text($path);
        my $about = $file{$path}{$text} //= [ file($tree, $path, $text) ];

        $functions += $about->[0];
        push @wrong, @$about[1 .. $#$about];
    }

    return $functions ? @wrong : ('found nothing: functions', @wrong);
}

# The number of functions, and what is wrong.
sub file {
    my ($tree, $path, $text) = @_;
    my $code = $tree->code($path);
    my @functions = $tree->functions($path);
    my @wrong;

    push @wrong, map { Tree::matches($path, $text, @$_) } @TEXT;
    push @wrong, map { Tree::matches($path, unmacroed($code), @$_) } @CODE;
    push @wrong, apart($path, $text), includes($path, $text);
    push @wrong, guard($path, $text) if $path =~ /\.h$/;
    push @wrong, map { (declarations($path, $_), named($path, $_)) } @functions;

    return (scalar @functions, @wrong);
}

# Macros have their own look.
sub unmacroed {
    my ($code) = @_;
    return $code =~ s{^#define(?:[^\n]*\\\n)*[^\n]*}
        { $& =~ s/[^\n]/ /gr }gemr;
}

# Two empty lines after each function.
sub apart {
    my ($path, $text) = @_;
    my @wrong;

    while ($text =~ /^\}\n(\n*)(?=(#|[^\n]))/mg) {
        push @wrong, Tree::place($path, $text, $-[0], 'not two empty lines')
            if length $1 != 2 && $2 ne '#';
    }

    return @wrong;
}

# <ngx_...>, then ours (its own header first, or all sorted), then others.
sub includes {
    my ($path, $text) = @_;
    my ($name) = $path =~ m{(\w+)\.\w$};
    my (@wrong, @ours, @seen);
    my $rank = 0;

    while ($text =~ /^#include ([<"])([\w\/.]+)/mg) {
        my ($quote, $header) = ($1, $2);
        my $this = $quote eq '"' ? 1 : $header =~ /^ngx_/ ? 0 : 2;

        push @wrong, Tree::place($path, $text, $-[0], "$header: too late")
            if $this < $rank;
        push @wrong, Tree::place($path, $text, $-[0], "$header: twice")
            if grep { $_ eq $header } @seen;

        push @seen, $header;
        push @ours, $header =~ s/\.h$//r if $this == 1;
        $rank = $this if $this > $rank;
    }

    my @rest = @ours;
    shift @rest if @rest && $name =~ /^\Q$rest[0]\E(?:_|$)/;

    push @wrong, "$path:1: includes are not sorted: @ours"
        if "@rest" ne "@{[ sort @rest ]}" && "@ours" ne "@{[ sort @ours ]}";

    my @nginx = grep { /^ngx_(?:config|core|http)\.h$/ } @seen;
    push @wrong, "$path:1: ngx_config.h, ngx_core.h, ngx_http.h: @nginx"
        if "@nginx" !~ /^(?:ngx_config.h ngx_core.h(?: ngx_http.h)?)?$/;

    return @wrong;
}

sub guard {
    my ($path, $text) = @_;
    my ($name) = $path =~ m{(\w+)\.h$};
    my $macro = '_' . uc($name) . '_H_INCLUDED_';

    return if $text =~ m{^#ifndef $macro\n#define $macro\n}m
        && $text =~ m{\n#endif /\* $macro \*/\n\z};

    return "$path:1: no guard $macro";
}

# At the top of a block, the names in one column, two blanks from the longest
# type.
sub declarations {
    my ($path, $function) = @_;
    my ($top, $goes_on, $members, @group, @wrong) = (1, 0, 0);
    my $line = $function->{first} - 1;

    for my $text (split(/\n/, $function->{body}), '') {
        $line++;

        if ($goes_on) {
            $goes_on = $text !~ /;\s*$/;
            next;
        }

        if ($text =~ /^#/) {
            $top = 1 if $text =~ /^#else/;
            next;
        }

        if ($text =~ $DECLARATION) {
            my ($indent, $type, $gap, $stars) = ($1, $2, $3, $4);
            my @stars = $text =~ /[ (](\**)\w+\)?(?=[,;[ ])/g;

            push @group, {
                end    => length "$indent$type",
                gap    => length $gap,
                name   => length "$indent$type$gap$stars",
                stars  => (sort { $b <=> $a } map { length } @stars)[0],
                static => $type =~ /^static\b/ ? 1 : 0,
            };
            push @wrong, "$path:$line: a declaration after statements"
                if !$top;
            $goes_on = $text !~ /;\s*$/;
            next;
        }

        push @wrong, map { "$path:$line: $_" } misaligned(@group)
            if !$members;
        @group = ();

        ($top, $members) = ($text =~ /\{\s*$/, $text =~ /\bstruct \{$/)
            if $text =~ /\S/;
    }

    return @wrong;
}

sub misaligned {
    my @group = @_;

    # statics that stand alone go with what is above them
    return if !grep { !$_->{static} } @group;

    my %column = map { $_->{name} => 1 } @group;
    my $most = sub { my ($key) = @_;
        (sort { $b <=> $a } map { $_->{$key} } @group)[0] };

    return 'declarations are not aligned' if keys %column > 1;

    # two columns, and room for a star or more
    my $off = $group[0]{name} - $most->('end') - 2;
    my $stars = $most->('stars');

    return 'names do not begin two columns after the longest type'
        if $off < 0 || $off > ($stars || 1);
    return;
}

# Statics carry the whole prefix, too.
sub named {
    my ($path, $function) = @_;
    my $prefix = $path =~ m{(?:^|/)ngx_http_} ? 'ngx_http_intuit_' : 'ngx_intuit_';

    return $function->{name} =~ /^$prefix/ ? ()
        : "$path:$function->{line}: $function->{name}() is not $prefix...";
}


sub controls {
    my $file = 'src/ngx_http_intuit_session.c';
    my $append = sub { my ($more) = @_; sub { "$_[0]$more" } };
    my $in = sub {
        my ($line, $said) = @_;
        return [ $file, $append->("\n\nstatic void\nngx_http_intuit_x(void)\n"
            . "{\n$line\n}\n"), $said ];
    };

    return (
        $in->("\tx = 1;", qr/a tab/),
        $in->("    x = 1; ", qr/blanks at the end/),
        $in->('    x = ' . '1' x 80 . ';', qr/80 columns/),
        $in->("    x = 1;\n\n\n\n    y = 1;", qr/three empty lines/),
        [ $file, $append->("\n"), qr/not one newline/ ],
        $in->("    /* \x{e9} */", qr/not ASCII/),
        $in->("    x = 1;   // why", qr{a // comment}),
        $in->("    if(x) {\n    }", qr/after the keyword/),
        $in->("    if (x){\n    }", qr/before the brace/),
        $in->("    if (x) {\n    }\n    else {\n    }", qr/"else" on a line/),
        $in->("    if (x)\n        y = 1;", qr/no braces/),
        $in->("    x(1,2);", qr/after a comma/),
        $in->("    x = 1;y = 2;", qr/two statements/),
        $in->("    char* x;", qr/the star/),
        [ $file, $append->("\n\nstatic void ngx_http_intuit_y(void)\n{\n}\n"),
            qr/return type is not/ ],
        [ $file, $append->("\n\nstatic void\nngx_http_intuit_y(void) {\n}\n"),
            qr/brace of a function/ ],
        $in->("      return;", qr/indented by four/),
        $in->("    if ((x = y()) == 1) {\n    }", qr/assignment in a condition/),
        $in->("    if (x = y()) {\n    }", qr/assignment in a condition/),
        $in->("    x = strlen(y);", qr/what nginx would call/),
        [ $file, $append->("\nstatic void\nngx_http_intuit_y(void)\n{\n}\n"),
            qr/not two empty lines/ ],
        $in->("    int  x;\n    ngx_str_t  y;", qr/not aligned/),
        $in->("    int x;", qr/two columns after/),
        $in->("    x = 1;\n\n    ngx_str_t  y;", qr/after statements/),
        [ $file, $append->("\n\nstatic void\nx(void)\n{\n}\n"),
            qr/x\(\) is not ngx_http_intuit_/ ],
        [ $file, sub { $_[0] =~ s/^(#include)/#include <zlib.h>\n$1/mr },
            qr/too late/ ],
        [ $file, sub { $_[0] =~ s/^(#include .*\n)/$1$1/mr }, qr/twice/ ],
        [ $file, sub { $_[0] =~ s/^(#include .*\n)/#include "ngx_intuit_url.h"\n$1/mr },
            qr/not sorted/ ],
        [ $file, sub { $_[0] =~ s/^(#include)/#include <ngx_core.h>\n$1/mr },
            qr/ngx_config\.h, ngx_core\.h/ ],
        [ 'src/ngx_intuit_url.h', sub { $_[0] =~ s/_URL_H/_URI_H/r }, qr/no guard/ ],
    );
}


1;
