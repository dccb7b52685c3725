#!/usr/bin/perl

# The promise: whoever has nginx from nginx.org builds the module as docs/install.md
# says, out of nginx's own source with --with-compat; a module built like this is
# loaded by a binary with other options than it was configured with, and works.
# The attack: a source without Debian's patches and without the options of the
# binary (threads, HTTP/2 and much else) that is to load the module.
#
# Needs the archive of nginx's source that t/tools/asan-nginx.sh has fetched.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);

my $TOP = abs_path("$FindBin::Bin/..");
my ($archive) = glob "$TOP/build/asan-nginx/nginx_*.orig.tar.*";

plan(skip_all => 'make test-all builds it') if !$ENV{TEST_ALL};
plan(skip_all => 'there is no source of nginx here') if !$archive;

my ($commands) = slurp("$TOP/docs/install.md") =~ /^(    \.\/configure --with-compat.*?)\n\n/ms;
my $dir = tempdir('intuit-test-compat-XXXXXX', TMPDIR => 1, CLEANUP => 1);

$commands =~ s/^    //mg;
$commands =~ s{/path/to/ngx_http_intuit_auth_module}{$TOP};

system("tar -xf $archive -C $dir --strip-components=1") == 0 or die "no source in $archive";
is(system("(cd $dir && $commands) > $dir/log 2>&1"), 0, 'docs/install.md builds it')
    or diag(`tail -n 20 $dir/log`);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<"CONF")->start;
load_module $dir/objs/ngx_http_intuit_auth_module.so;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / { root %%DIR%%/html; }
        location /v3/company/ { intuit_proxy books; }
    }
}
CONF

my $realm = '9130347957983546';
my $jar = $t->signed_in(path => '/index.html', realm => $realm);

is($t->get('/index.html', -jar => $jar)->body, "in\n", 'signed in');
is($t->get("/v3/company/-/companyinfo/$realm", -jar => $jar)->status, 200, 'and the API is called');

done_testing();


sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or die "$name: $!";
    local $/;
    return <$file>;
}
