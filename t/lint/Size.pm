package Size;

# Nothing is too long to be read: files, functions, lists of parameters, and
# blocks within blocks.

use strict;
use warnings;

use constant { FILE => 800, FUNCTION => 100, PARAMETERS => 6, DEPTH => 4 };

# The front door's tables grow with the directives.
my $ROOT = 'ngx_http_intuit_auth_module.c';


sub check {
    my ($tree) = @_;
    my ($functions, @wrong) = (0);

    for my $path ($tree->sources) {
        my $lines = $tree->text($path) =~ tr/\n//;

        push @wrong, "$path:$lines: more than @{[ FILE ]} lines"
            if $lines > FILE && $path ne $ROOT;

        for my $function ($tree->functions($path)) {
            my $where = "$path:$function->{line}: $function->{name}()";
            my $depth = depth($function->{body});
            $functions++;

            push @wrong, "$where has $function->{length} lines"
                if $function->{length} > FUNCTION;
            push @wrong, "$where has more than @{[ PARAMETERS ]} parameters"
                if @{ $function->{parameters} } > PARAMETERS;
            push @wrong, "$where is $depth blocks deep" if $depth > DEPTH;
        }
    }

    push @wrong, 'found nothing: functions' if !$functions;
    push @wrong, map { "found nothing: the functions of $_" }
        grep { !$tree->functions($_) } $tree->c_files;

    return @wrong;
}

sub depth {
    my ($body) = @_;
    my ($now, $most) = (0, 0);

    for my $brace ($body =~ /[{}]/g) {
        $now += $brace eq '{' ? 1 : -1;
        $most = $now if $now > $most;
    }

    return $most;
}


sub controls {
    my $file = 'src/ngx_http_intuit_session.c';
    my $function = sub {
        my ($parameters, $body, $said) = @_;
        return [ $file, sub { "$_[0]\n\nstatic void\n"
            . "ngx_http_intuit_x($parameters)\n{\n$body}\n" }, $said ];
    };

    return (
        [ $file, sub { $_[0] . "/* */\n" x 800 }, qr/more than 800 lines/ ],
        $function->('void', "    x++;\n" x 97, qr/x\(\) has 101 lines/),
        $function->('int a, int b, int c, int d, int e, int f, int g', '',
            qr/x\(\) has more than 6 parameters/),
        $function->('void', "{{{{{ }}}}}\n", qr/x\(\) is 5 blocks deep/),
        [ $file, sub { "/* nothing */\n" }, qr/found nothing: the functions of/ ],
    );
}


1;
