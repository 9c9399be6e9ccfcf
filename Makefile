# Aragora server. make help lists the targets.
#
# Sources are found by folder; objects, generated files and programs go to $(B). SAN=1 builds
# with AddressSanitizer and UndefinedBehaviorSanitizer, in a folder of its own.

SAN    ?= 0
B      := $(if $(filter 1,$(SAN)),build/san,build)
CC     ?= cc
PREFIX ?= /usr/local
PKGS   := json-c sqlite3 libpq openssl libzmq libcurl zlib yaml-0.1
CFLAGS := -std=gnu11 -O2 -g -fPIE -fstack-protector-strong -fno-strict-overflow \
          -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla \
          -Wno-format-nonliteral -Wno-missing-field-initializers -Werror -D_GNU_SOURCE
ifeq ($(SAN),1)
CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANLIB := -fsanitize=address,undefined
else
CFLAGS += -D_FORTIFY_SOURCE=2
endif
CPPFLAGS = -I. -include banned.h $(shell pkg-config --cflags $(PKGS))
LDFLAGS  = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANLIB)
V       ?= 0
say      = $(if $(filter 0,$(V)),@printf '  %-4s %s\n' $(1) $@;) # V=1 shows the commands
LDLIBS   = $(shell pkg-config --libs $(PKGS)) -lfcgi -lpthread -lm

objs  = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)))
LIB  := $(B)/libaragora.a
# A program is built once its main.c is there.
PROGS := $(if $(wildcard cli/main.c),$(B)/bin/aragora) \
         $(if $(wildcard fcgi/main.c),$(B)/bin/aragora-fcgi) \
         $(if $(wildcard debated/main.c),$(B)/bin/aragora-debated) \
         $(if $(wildcard streamd/main.c),$(B)/bin/aragora-streamd)
HELP  := $(patsubst %.c,$(B)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
SQL   := $(sort $(wildcard common/db/migrations/*.sql))
WEB   := $(sort $(wildcard web/*))

# For the tests: the programs, and where the sanitizers write what they find.
export TEST_BIN := $(abspath $(B))/bin
ifeq ($(SAN),1)
export TEST_REPORTS := $(abspath $(B))/reports
endif

MANUAL := $(wildcard man/*.[1-8]) $(patsubst man/%.in,$(B)/man/%,$(wildcard man/*.in))

.PHONY: all deps demo run check check-faults check-san check-contract check-all report unit api stream faults bench \
        lint format install clean help
.SECONDARY:

all: $(PROGS) $(MANUAL)

$(B)/bin/aragora:         $(call objs,cli/*.c)
$(B)/bin/aragora-fcgi:    $(B)/fcgi/main.o
$(B)/bin/aragora-debated: $(call objs,debated/*.c)
$(B)/bin/aragora-streamd: $(call objs,streamd/*.c)

$(PROGS): $(LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

$(LIB): $(filter-out $(B)/fcgi/main.o,$(call objs,common/*/*.c handlers/*.c handlers/*/*.c fcgi/*.c fcgi/stages/*.c)) \
        $(B)/gen/migrations.o $(B)/gen/web.o
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The migrations and the pages stand in the binary: arrays of names and texts.
$(B)/gen/migrations.c: $(SQL)
$(B)/gen/web.c:        $(WEB)
$(B)/gen/%.c: deploy/embed.sh
	@mkdir -p $(@D)
	sh deploy/embed.sh $* $(filter-out %.sh,$^) > $@.tmp && mv $@.tmp $@
$(B)/gen/%.o: $(B)/gen/%.c
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Two pages are made from the tables that the programs are made from.
$(B)/man/aragora.conf.5:   common/base/settings.def
$(B)/man/aragora-errors.7: common/base/errors.def
$(B)/man/%: man/%.in deploy/man.awk
	@mkdir -p $(@D)
	$(call say,MAN)awk -f deploy/man.awk $(filter %.def,$^) $< > $@.tmp && mv $@.tmp $@

$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(HELP) $(B)/cli/supervise.o \
                        $(B)/streamd/text.o $(B)/streamd/frame.o \
                        $(filter-out $(B)/debated/main.o,$(call objs,debated/*.c)) $(LIB)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) -lcmocka $(LDLIBS)

## deps: install the Debian packages that building and testing need
deps:
	sh deploy/deps.sh

## demo: one debate, live, with its verdict and its verified receipt
demo: deps
	$(MAKE) all
	sh deploy/demo.sh $(B)/bin

## run: build and keep the system serving on http://127.0.0.1:8080
run: deps
	$(MAKE) all
	$(B)/bin/aragora serve

## check: install what is missing, build, run every test
check: deps
	$(MAKE) all $(TESTS)
	sh tests/run.sh $(TESTS) tests/api tests/stream tests/faults tests/provider tests/contract tests/trace

## check-faults: KILLS (200) kills at random moments, calls of models counted; KILL_SEED=n repeats them
check-faults: deps
	$(MAKE) all
	KILLS=$(or $(KILLS),200) sh tests/run.sh tests/faults/test_calls.py

## check-san: every test on programs built with sanitizers, which find nothing
check-san:
	$(MAKE) SAN=1 check

## check-all: check and the longer suites, one after the other
check-all:
	$(MAKE) check
	$(MAKE) check-contract
	$(MAKE) check-faults
	$(MAKE) check-san

## report: every command that shows a figure; build/report/report.md says which limits hold
report: deps
	/usr/bin/python3 tests/report.py build/report

## unit: the unit tests alone
unit: $(TESTS)
	sh tests/run.sh $(TESTS)

## api: the tests against the running programs alone
api: all
	sh tests/run.sh tests/api tests/provider tests/trace

## stream: the tests of clients that follow debates over WebSocket
stream: all
	sh tests/run.sh tests/stream

## check-contract: thousands of requests made from the API document; SEED=n repeats a run
check-contract: deps
	$(MAKE) all
	CONTRACT_FULL=1 sh tests/run.sh tests/contract

## faults: programs killed at random moments; KILL_SEED=n repeats a run
faults: all
	sh tests/run.sh tests/faults

$(B)/bench/hello: tests/bench/hello.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lfcgi
$(addprefix $(B)/bench/,route fanout calls): $(B)/bench/%: $(B)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

## bench: what the server costs, into build/bench/results.tsv; BENCH=name measures one thing
bench: deps
	$(MAKE) all $(addprefix $(B)/bench/,hello route fanout calls)
	/usr/bin/python3 tests/bench/bench.py $(B)/bench/results.tsv $(BENCH)

SOURCES = $(shell git ls-files '*.c')
# Libraries' headers are not ours to check.
TIDY    = $(subst -I/usr,-isystem /usr,$(CPPFLAGS)) $(filter -std=% -W% -D_GNU%,$(CFLAGS))

## lint: includes, sizes, format, man pages; clang-tidy and cppcheck find nothing
lint: $(MANUAL)
	sh tests/lint/includes.sh
	sh tests/lint/sizes.sh
	@clang-format-14 --dry-run -Werror $(shell git ls-files '*.c' '*.h')
	mandoc -T lint -W warning $(MANUAL)
	@cppcheck -j2 -q --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingInclude --std=c11 --include=banned.h -I. -D_GNU_SOURCE $(SOURCES)
	@printf '%s\n' $(SOURCES) | xargs -P2 -I{} sh tests/lint/tidy.sh {} -- $(TIDY)

## format: rewrite the sources as .clang-format says
format:
	@clang-format-14 -i $(shell git ls-files '*.c' '*.h')

## install: into $(DESTDIR)$(PREFIX)
install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin $(addprefix share/man/man,1 5 7 8))
	install -m 755 $(PROGS) $(DESTDIR)$(PREFIX)/bin
	for page in $(MANUAL); do \
	    install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} || exit 1; done

## clean: remove everything that was built
clean:
	rm -rf build

## help: this list
help:
	@sed -n 's/^## //p' Makefile

-include $(shell find build -name '*.d' 2>/dev/null)
