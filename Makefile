# GNU make.  "make help" lists what can be made.

SHELL = /bin/bash
.DEFAULT_GOAL = all

MODULE = ngx_http_intuit_auth_module.so
TOOLS  = t/tools
PATH  := $(PATH):/usr/sbin:/sbin

DESTDIR     =
MODULES_DIR = $(shell nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')

JOBS  = 3
TESTS = t
CELLS = bookworm trixie sid static
T     =
S     = 60

export JOBS TESTS


.PHONY: all release build install deb dist demo demo-check test test-all clean help
.PHONY: asan fuzz analyse valgrind coverage matrix soak figures bench
.PHONY: bench-quick screenshots diagrams

all: build    ## the same as build

release:
	@$(TOOLS)/setup.sh build
	@$(TOOLS)/build-module.sh release

build: release ## the module: build/release/, and build/debug/ with extra checks
	@$(TOOLS)/build-module.sh debug
	@echo "build/release/$(MODULE) is ready"

# after "release", which may have to install the nginx that is asked here
install: release ## copy the module to where nginx looks for it (DESTDIR=)
	@test -n "$(MODULES_DIR)" || { echo "\"nginx -V\" names no" \
	    "--modules-path; say MODULES_DIR=" >&2; exit 1; }
	@install -D -m 644 build/release/$(MODULE) \
	    "$(DESTDIR)$(MODULES_DIR)/$(MODULE)"
	@echo "$(DESTDIR)$(MODULES_DIR)/$(MODULE) is installed; begin nginx.conf" \
	    "with: load_module modules/$(MODULE);"

deb:          ## Debian's package of it: build/deb/*.deb
	@$(TOOLS)/setup.sh deb
	@$(TOOLS)/deb.sh

dist:         ## an archive of the sources: build/*.tar.gz
	@$(TOOLS)/dist.sh

demo:         ## a signed-in internal tool on http://localhost:8080 (PORT=)
	@$(TOOLS)/setup.sh demo
	@$(TOOLS)/build-module.sh release
	@exec t/demo/run.sh

demo-check:   ## start the demo, sign in and call the API without a browser
	@$(TOOLS)/setup.sh demo
	@$(TOOLS)/build-module.sh release
	@exec node t/demo/check.mjs

test:         ## all tests that fit into 20 minutes (TESTS=t/one.t, JOBS=1)
	@$(TOOLS)/setup.sh test
	@$(TOOLS)/build-module.sh release
	@$(TOOLS)/build-module.sh debug
	@$(TOOLS)/build-module.sh asan
	@$(TOOLS)/asan-nginx.sh
	@$(TOOLS)/run-tests.sh some

test-all:     ## the same, with what takes longer, and under AddressSanitizer
	@$(TOOLS)/setup.sh all
	@$(TOOLS)/build-module.sh release
	@$(TOOLS)/build-module.sh debug
	@$(TOOLS)/build-module.sh asan
	@$(TOOLS)/asan-nginx.sh
	@$(TOOLS)/run-tests.sh all

asan:         ## the tests that start nginx, under AddressSanitizer (TESTS=)
	@$(TOOLS)/setup.sh test
	@$(TOOLS)/build-module.sh asan
	@$(TOOLS)/asan-nginx.sh
	@$(TOOLS)/run-tests.sh asan

fuzz:         ## libFuzzer on the pure layer (T=jwt, or all; S=60 seconds each)
	@$(TOOLS)/setup.sh fuzz
	@$(TOOLS)/fuzz.sh $(S) $(T)

analyse:      ## gcc -fanalyzer, clang-tidy and cppcheck
	@$(TOOLS)/setup.sh analyse
	@$(TOOLS)/build-module.sh debug
	@$(TOOLS)/analyse.sh

valgrind:     ## some tests under valgrind
	@$(TOOLS)/setup.sh valgrind
	@$(TOOLS)/build-module.sh debug
	@$(TOOLS)/run-tests.sh valgrind

coverage:     ## all tests on a counting build: lines and branches (TESTS=)
	@$(TOOLS)/setup.sh test
	@$(TOOLS)/coverage.sh

soak:         ## 20 minutes of load, reloads, kills and faults (S=1200)
	@$(TOOLS)/setup.sh test
	@$(TOOLS)/build-module.sh debug
	@TEST_SOAK=$(if $(filter file,$(origin S)),1200,$(S)) \
	    $(TOOLS)/run-tests.sh soak

figures:      ## what was run, from build/ into t/README.md (LOGS=other builds)
	@$(TOOLS)/figures.pl $(LOGS)

bench:        ## as fast as nginx itself? 20 minutes, into t/bench/RESULTS.md
	@$(TOOLS)/setup.sh bench
	@$(TOOLS)/build-module.sh release
	@t/bench/build.sh
	@t/bench/bench.pl $(BENCH)

bench-quick:  ## the first two tables of it, in two minutes
	@$(TOOLS)/setup.sh bench
	@$(TOOLS)/build-module.sh release
	@t/bench/build.sh
	@t/bench/bench.pl --quick $(BENCH)

screenshots:  ## docs/screenshots/ from the pages, in light and dark, in Chromium
	@$(TOOLS)/setup.sh test
	@$(TOOLS)/build-module.sh debug
	@$(TOOLS)/screenshots.sh

diagrams:     ## docs/*.svg from the texts beside them
	@$(TOOLS)/diagram.pl docs/*.diagram

matrix:       ## all tests on Debian 12, 13, sid, and linked in (as root, slow)
	@$(TOOLS)/setup.sh matrix
	@TESTS='$(TESTS)' JOBS='$(JOBS)' $(TOOLS)/matrix.sh $(CELLS)

clean:        ## remove what was built
	@rm -rf build t/node_modules

help:         ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
