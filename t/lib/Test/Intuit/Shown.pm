package Test::Intuit::Shown;

# What the documents show, made fit for a test: the files that they name are
# the test's own, ports are free ones, and what is only a part of an nginx.conf
# gets the rest around it.

use strict;
use warnings;

# Of which block it is a part, by the words it begins its lines with.
my %HTTP = map { $_ => 1 } qw(server{ map{ log_format access_log intuit_provider{
    intuit_store{ intuit_shared_zone resolver);
my %SERVER = map { $_ => 1 } qw(location{ auth_intuit auth_intuit_mode
    auth_intuit_require intuit_limit error_page);
my %STORE = map { $_ => 1 } qw(server user password_file ssl database prefix
    keepalive);

my @BASE = (
    [ environment => 'sandbox' ],
    [ client_id => 'ABc123' ],
    [ client_secret_file => '/etc/nginx/intuit.secret' ],
    [ encryption_key_file => '/etc/nginx/intuit.key' ],
    [ scope => 'openid email com.intuit.quickbooks.accounting' ],
    [ redirect_uri => 'http://localhost:8080/intuit/callback' ],
    [ allow_realm => '9130347957983546 193514292156789' ],
);


sub new {
    my ($class, $t) = @_;
    my $self = bless { t => $t }, $class;

    $self->{files} = {
        '/etc/nginx/intuit.secret'      => $self->secret('intuit.secret'),
        '/etc/nginx/redis.password'     => $self->secret('redis.password'),
        '/etc/nginx/intuit.key'         => $self->key('intuit.key'),
        '/etc/nginx/intuit.key.old'     => $self->key('intuit.key.old'),
        '/etc/nginx/intuit-app.conf'    => $t->write_file('app.conf',
            'client_id ABc123; client_secret_file ' . $t->dir . '/intuit.secret;'),
        $self->certificate('tools.example.com'),
        $self->certificate('tools.test.example.com'),
        $self->crl('test-ca'),
        '/var/log/nginx/'               => 'logs/',
        '/var/lib/nginx/'               => $t->dir . '/',
        '/run/'                         => $t->dir . '/',
        'redis-1.internal'              => '127.0.0.1',
        'redis-2.internal'              => '127.0.0.1',
        'modules/ngx_http_intuit_auth_module.so' => '%%MODULE%%',
    };

    return $self;
}


# "nginx -t" of a whole nginx.conf: its status, and what it has said
sub check {
    my ($self, $text) = @_;
    my $t = $self->{t};

    $text = $self->local_form($text);
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
    my ($self, $text) = @_;
    my ($t, $files) = @$self{qw(t files)};
    my $names = join '|', map { quotemeta }
        sort { length $b <=> length $a } keys %$files;

    $text =~ s/($names)/$files->{$1}/g;
    $text =~ s/(\blisten\s+)(?:127\.0\.0\.1:)?(\d+)/"${1}127.0.0.1:" . $t->port($2)/ge;
    $text =~ s/(localhost:)(\d+)/$1 . $t->port($2)/ge;

    return $text;
}

# the same with the simulator in Intuit's place, and a tool behind nginx that
# answers with the name it is told; for another test than the one of "check"
sub with_simulator {
    my ($s, $text) = @_;
    my $dir = $s->dir;

    $text =~ s{modules/ngx_http_intuit_auth_module.so}{%%MODULE%%};
    $text =~ s{/var/log/nginx/}{logs/}g;
    $text =~ s{/etc/nginx/intuit.secret}{$dir/client_secret}g;
    $text =~ s{/etc/nginx/intuit.key}{$dir/key}g;
    $text =~ s{/var/www}{$dir/html}g;
    $text =~ s{ABc123}{sim-client-id}g;
    $text =~ s{(\blisten\s+)(\d+)(?=[; ])}{${1}127.0.0.1:%%PORT_$2%%}g;
    $text =~ s{(localhost|127\.0\.0\.1):(\d+)}{$1:%%PORT_$2%%}g;
    $text =~ s{^(\s*)environment .*\n}{$&$1config_url %%SIM%%/.well-known/openid_sandbox_configuration;\n$1api_url %%SIM%%;\n}mg;
    $text =~ s/^http \{\n/$&    %%TEMP_PATHS%%\n/m;
    $text =~ s/^http \{\n/$&    access_log logs\/access.log;\n/m
        if $text !~ /^\s*access_log\s/m;

    my $tool = "    server {\n        listen 127.0.0.1:%%PORT_3000%%;\n"
        . "        return 200 \"\$http_x_user\";\n    }\n";
    $text =~ s/\}\s*\z/$tool}\n/;

    return $text;
}


# -- parts --------------------------------------------------------------------

# "http", "server", "provider" or "store"
sub context {
    my ($part) = @_;
    my @words = words($part);

    return 'http' if grep { $HTTP{$_} } @words;
    return 'server' if grep { $SERVER{$_} } @words;
    return 'store' if grep { $STORE{$_} } @words;
    return 'provider';
}

# the first word of each directive outside of all inner blocks; with "{" if it
# is a block's
sub words {
    my ($part) = @_;
    my @words;

    $part =~ s/'[^']*'|"[^"]*"/x/g;
    $part =~ s/#.*//g;
    1 while $part =~ s/\{[^{}]*\}/<>/;

    while ($part =~ /\G\s*([\w]+)[^;<]*(;|<>)/g) {
        push @words, $2 eq ';' ? $1 : "$1\{";
    }

    return @words;
}

# an nginx.conf with this in it
sub around {
    my ($part, $context) = @_;
    $context //= context($part);

    my $server = "server {\n listen 8080;\n server_name localhost"
        . " tools.example.com;\n";

    return http(store_of($part) . provider('books', $part)
        . "$server auth_intuit books;\n location / { root html; }\n}\n")
        if $context eq 'provider';

    return http("intuit_store shared {\n"
        . ((grep { $_ eq 'server' } words($part)) ? '' : "server 127.0.0.1:6379;\n")
        . "$part}\n" . provider('books', 'store shared;')
        . "$server auth_intuit books;\n location / { root html; }\n}\n")
        if $context eq 'store';

    $part = "$server $part}\n" if $context eq 'server';
    return http(needed($part) . $part);
}

# what it uses and does not define itself
sub needed {
    my ($part) = @_;
    my $text = store_of($part);

    $text .= provider('staff', '') if $part !~ /intuit_provider\s+staff\b/;
    $text .= provider('books', 'cookie_name __Host-intuit-books;'
        . ' login_uri /intuit/books/login; logout_uri /intuit/books/logout;'
        . ' session_uri /intuit/books/session;')
        if $part !~ /intuit_provider\s+books\b/;
    $text .= "map \$intuit_claim_email \$operator { ada\@example.com 1; }\n"
        if $part =~ /\$operator\b/ && $part !~ /^map \S+ \$operator\b/m;

    return $text;
}

sub store_of {
    my ($part) = @_;
    return $part =~ /\bstore\s+shared;/ && $part !~ /intuit_store\s+shared/
        ? "intuit_store shared { server 127.0.0.1:6379; }\n" : '';
}

sub provider {
    my ($name, $part) = @_;
    my %has = map { $_ => 1 } words($part);

    $has{client_secret_file} = 1 if $has{client_secret};

    # an included file has the id and the secret
    @has{qw(client_id client_secret_file)} = (1, 1) if $has{include};

    my %instead = $part =~ /^\s*environment\s+production;/m
        ? (redirect_uri => 'https://tools.example.com/intuit/callback') : ();

    return "intuit_provider $name {\n" . join('', map {
            "$_->[0] " . ($instead{$_->[0]} // $_->[1]) . ";\n"
        } grep { !$has{$_->[0]} } @BASE) . "$part}\n";
}

sub http {
    return "load_module modules/ngx_http_intuit_auth_module.so;\n"
        . "error_log logs/error.log notice;\nevents {}\n\nhttp {\n$_[0]}\n";
}


# -- files --------------------------------------------------------------------

sub secret {
    my ($self, $name) = @_;
    return $self->{t}->write_secret($name, 'not-a-secret-of-anybody');
}

sub key {
    my ($self, $name) = @_;
    return $self->{t}->write_secret($name,
        join '', map { sprintf '%x', rand 16 } 1 .. 64);
}

sub openssl {
    my ($self, @command) = @_;
    my $said = `cd @{[ $self->{t}->dir ]} && openssl @command 2>&1`;
    die "openssl @command: $said" if $?;
}

sub certificate {
    my ($self, $name) = @_;
    my $path = $self->{t}->dir . "/$name";

    $self->openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 2), '-subj',
        "/CN=$name", '-keyout', "$path.key", '-out', "$path.crt");

    return map { ("/etc/nginx/$name.$_" => "$path.$_") } qw(crt key);
}

sub crl {
    my ($self, $name) = @_;
    my $t = $self->{t};
    my $path = $t->dir . "/$name";
    my %file = $self->certificate($name);

    $t->write_file("$name.txt", '');
    $t->write_file("$name.cnf", <<"EOC");
[ca]
default_ca = this
[this]
database = $path.txt
default_md = sha256
default_crl_days = 2
EOC
    $self->openssl(qw(ca -gencrl), '-config', "$path.cnf", '-keyfile',
        "$path.key", '-cert', "$path.crt", '-out', "$path.crl");

    return (%file, "/etc/nginx/$name.crl" => "$path.crl");
}


1;
