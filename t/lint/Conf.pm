package Conf;

# Every member of a configuration is created, and merged or given its default:
# a forgotten one would be an accident of memory, or lost in a location.

use strict;
use warnings;

my $HEADER = 'src/ngx_http_intuit_auth_module.h';
my $MODULE = 'ngx_http_intuit_auth_module.c';

# What the setter of a directive expects to find.
my %UNSET = (
    ngx_conf_set_flag_slot   => qr/NGX_CONF_UNSET/,
    ngx_conf_set_sec_slot    => qr/NGX_CONF_UNSET/,
    ngx_conf_set_num_slot    => qr/NGX_CONF_UNSET/,
    ngx_conf_set_msec_slot   => qr/NGX_CONF_UNSET_MSEC/,
    ngx_conf_set_size_slot   => qr/NGX_CONF_UNSET_SIZE/,
    ngx_conf_set_enum_slot   => qr/NGX_CONF_UNSET_UINT/,
    ngx_conf_set_ptr_slot    => qr/NGX_CONF_UNSET_PTR/,
    ngx_http_intuit_set_enum => qr/NGX_CONF_UNSET_UINT/,
);

# A member of these types has no value of its own that means "not given".
my %SCALAR = (
    ngx_flag_t => qr/NGX_CONF_UNSET/,
    time_t     => qr/NGX_CONF_UNSET/,
    ngx_msec_t => qr/NGX_CONF_UNSET_MSEC/,
);


sub check {
    my ($tree) = @_;
    my $header = $tree->text($HEADER) // return "found nothing: $HEADER";
    my $module = $tree->text($MODULE) // return "found nothing: $MODULE";
    my @wrong;

    my %body = map { my $path = $_;
        map { $_->{name} => body($tree->text($path), $_->{name}) }
            $tree->functions($path) } $tree->c_files;

    for my $level (qw(main srv loc)) {
        my @members = members($header, "ngx_http_intuit_${level}_conf_t");
        my $create = $body{"ngx_http_intuit_create_${level}_conf"} // '';
        my $merge = $body{"ngx_http_intuit_merge_${level}_conf"};

        push @wrong, "found nothing: members of the $level configuration"
            if !@members;

        for my $name (map { $_->{name} } @members) {
            push @wrong, "$level: $name is not created"
                if $create !~ /->$name\b/;
            push @wrong, "$level: $name is not merged"
                if defined $merge && $merge !~ /\bconf->$name\b/;
        }

        push @wrong, "found nothing: the merge of the loc configuration"
            if $level eq 'loc' && !defined $merge;
    }

    return @wrong, provider($header, $module, \%body);
}

sub provider {
    my ($header, $module, $body) = @_;
    my @members = members($header, 'ngx_http_intuit_provider_s');
    my $create = $body->{ngx_http_intuit_provider_get} // '';
    my $source = join "\n", map { $body->{$_} } sort keys %$body;
    my (@wrong, $set);

    my %expected = map { $_->{name} => $SCALAR{$_->{type}} }
        grep { $SCALAR{$_->{type}} } @members;

    while ($module =~ /ngx_string\("(\w+)"\),\s*\w[\w|]*,\s*(\w+),\s*\w+,\s*offsetof\(ngx_http_intuit_provider_t, (\w+)\)/g) {
        my ($directive, $setter, $member) = ($1, $2, $3);
        $set++;

        push @wrong, "provider: $directive sets $member, which is no member"
            if !grep { $_->{name} eq $member } @members;
        $expected{$member} = $UNSET{$setter} if $UNSET{$setter};
    }

    for my $name (sort keys %expected) {
        push @wrong, "provider: $name is not created as $expected{$name}"
            if $create !~ /->$name = $expected{$name};/;
        push @wrong, "provider: $name has no default"
            if $source !~ /ngx_conf_init_\w*value\(\w+->$name,|->$name == NGX_CONF_UNSET/;
    }

    push @wrong, 'found nothing: members of a provider' if !@members;
    push @wrong, 'found nothing: directives of a provider' if !$set;

    return @wrong;
}

# With its comments: "set by ngx_pcalloc()" is a way to say that a member was
# thought of.
sub body {
    my ($text, $name) = @_;
    my ($body) = $text =~ /^\Q$name\E\([^{}]*?\)\n\{\n(.*?)^\}/ms;
    return $body // '';
}

sub members {
    my ($header, $name) = @_;
    my ($body) = $header =~ /^struct \Q$name\E \{\n(.*?)^\};/ms;

    ($body) = $header =~ /^typedef struct \{\n((?:(?!^\}).*\n)*)^\} \Q$name\E;/m
        if !defined $body;

    $body = Tree::blank($body // '', 1);

    return map { { type => $_->[0], name => $_->[1] } }
        map { /^ +((?:const )?\w+) +\**(\w+)(?:\[[^\]]*\])?(?::\d+)?;/ ? [ $1, $2 ] : () }
        split /\n/, $body;
}


sub controls {
    my $file = 'src/ngx_http_intuit_provider_check.c';
    my $member = sub {
        my ($before, $line, $said) = @_;
        return [ $HEADER, sub { $_[0] =~ s/^(\} $before;)/    $line\n$1/mr }, $said ];
    };

    return (
        $member->('ngx_http_intuit_main_conf_t', 'ngx_uint_t  x;', qr/main: x is not created/),
        $member->('ngx_http_intuit_srv_conf_t', 'ngx_uint_t  x;', qr/srv: x is not created/),
        $member->('ngx_http_intuit_loc_conf_t', 'ngx_uint_t  x;', qr/loc: x is not created/),
        $member->('ngx_http_intuit_loc_conf_t', 'ngx_str_t   x;', qr/loc: x is not merged/),
        [ $MODULE, sub { $_[0] =~ s/^.*ngx_conf_merge_ptr_value\(conf->require.*\n//mr },
            qr/loc: require is not merged/ ],
        [ $MODULE, sub { $_[0] =~ s/^    ilcf->mode = .*\n//mr }, qr/loc: mode is not created/ ],
        [ $HEADER, sub { $_[0] =~ s/^(struct ngx_http_intuit_provider_s \{\n)/$1    ngx_flag_t  x;\n/mr },
            qr/provider: x is not created/ ],
        [ $HEADER, sub { $_[0] =~ s/^(struct ngx_http_intuit_provider_s \{\n)/$1    time_t  x;\n/mr },
            qr/provider: x has no default/ ],
        [ $file, sub { $_[0] =~ s/^.*provider->leeway, 60.*\n//mr }, qr/leeway has no default/ ],
        [ 'src/ngx_http_intuit_provider.c',
            sub { $_[0] =~ s/^(    provider->read_timeout = NGX_CONF_UNSET)_MSEC/$1/mr },
            qr/read_timeout is not created as/ ],
    );
}


1;
