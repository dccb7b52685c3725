#!/bin/bash

# The man page, from the directive reference and the variables in README.md:
#
#     man.sh README.md > ngx_http_intuit_auth_module.5

set -eu

readme=${1:?which README.md?}

# A section, with its headings one level up.
section() {
    sed -n "/^## $1\$/,/^## /p" "$readme" | sed '$d'
}

{
    printf 'title: NGX_HTTP_INTUIT_AUTH_MODULE\nsection: 5\n'
    printf 'volume: nginx modules\n\n'
    printf '## Name\n\nngx_http_intuit_auth_module - %s\n\n' \
        'Intuit (QuickBooks) OAuth for nginx'
    section 'The smallest configuration'
    section Directives
    section Variables
    section Cookies
    printf '## See also\n\n/usr/share/doc/%s/README.md\n' \
        libnginx-mod-http-intuit-auth
} | sed -e 's/^##/#/' -e 's/\[\([^]]*\)\]([^)]*)/\1/g' \
    | lowdown -s -tman --parse-no-intraemph -
