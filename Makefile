# make help            what there is
# make demo, make test the two commands of README.md
#
# Everything that is built lies under $(BUILD); nothing else is written to.

BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=

# make takes a blank for the end of a name, and would write to what is before it
empty :=
space := $(empty) $(empty)
$(foreach name,CURDIR BUILD DESTDIR PREFIX,$(if $(findstring $(space),$($(name))),\
    $(error $(name) is "$($(name))": a path with a blank will not do)))

CC       ?= cc
CSTD      = -std=gnu11
WARN      = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wvla
OPT      ?= -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
EXTRA_CFLAGS  ?=
EXTRA_LDFLAGS ?=
CFLAGS   ?= $(OPT)
# debug information says where in the checkout, not where the checkout is
NO_PATH   = -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(BUILD))=build
LDFLAGS  ?= -pie -Wl,-z,relro -Wl,-z,now
ALL_CFLAGS  = $(CSTD) $(WARN) $(CFLAGS) $(EXTRA_CFLAGS) -D_GNU_SOURCE $(NO_PATH) -I. -I$(BUILD) -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) $(EXTRA_LDFLAGS)

# V=1 shows the commands
Q    = $(if $(V),,@)
say  = @$(if $(V),:,printf '  %-7s %s\n' $(1) $(2))

MAKEFLAGS += --no-builtin-rules

all: programs module ## build the module and the programs

# ---- what is built of what ------------------------------------------------

sources = $(wildcard $(addsuffix /*.c,$(1)))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))

# The foundations are archives, so that a program holds what it uses of them
# and no more: the writer of a table is in the daemon alone.
KEY   := $(BUILD)/lib/key.a
TABLE := $(BUILD)/lib/table.a
STORE := $(BUILD)/lib/store.a
OPS   := $(BUILD)/lib/ops.a

PROGRAMS := $(BUILD)/bin/apikey-sync $(BUILD)/bin/apikeyctl
MODULE   := $(BUILD)/nginx/ngx_http_apikey_module.so
UNITS    := $(patsubst %.c,$(BUILD)/%,$(call sources,t/unit))
TOOLS    := $(patsubst %.c,$(BUILD)/%,$(call sources,t/tools))
BENCHES  := $(patsubst %.c,$(BUILD)/%,$(call sources,bench))

programs: $(PROGRAMS)
module: $(MODULE)
units: $(UNITS)
tools: $(TOOLS)
benches: $(BENCHES)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(KEY): $(call objects,key)
$(TABLE): $(call objects,table)
$(STORE): $(call objects,store)
$(OPS): $(call objects,admin)

$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/bin/apikey-sync: $(call objects,store-sync) $(STORE) $(TABLE)
$(BUILD)/bin/apikey-sync: LIBS = -lhiredis -ljansson -luv

$(BUILD)/bin/apikeyctl: $(call objects,admin/ctl) $(OPS) $(STORE) $(KEY) $(TABLE)
$(BUILD)/bin/apikeyctl: LIBS = -lhiredis -ljansson -lsodium -lmd

$(UNITS): $(BUILD)/%: $(BUILD)/obj/%.o $(OPS) $(STORE) $(TABLE) $(KEY)
$(TOOLS) $(BENCHES): $(BUILD)/%: $(BUILD)/obj/%.o $(STORE) $(TABLE) $(KEY)
$(TOOLS) $(BENCHES): LIBS = -lhiredis -ljansson -luv -lsodium -lpthread
$(UNITS): LIBS = -lcmocka -lhiredis -ljansson -luv -lsodium -lmd -lpthread
$(call objects,t/unit): | deps-test

$(PROGRAMS) $(UNITS) $(TOOLS) $(BENCHES):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# apikeyctl carries the function library that it installs.
$(BUILD)/store/apikey_lua.h: store/apikey.lua
	@mkdir -p $(@D)
	$(call say,EMBED,$<)
	$(Q){ echo 'static const unsigned char apikey_lua[] = {'; \
	      od -An -v -tx1 $< | sed 's/\([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	      echo '};'; \
	      echo "static const unsigned int apikey_lua_len = $$(wc -c < $<);"; \
	    } > $@.new && mv $@.new $@

$(call objects,admin admin/ctl): | $(BUILD)/store/apikey_lua.h

# Holds the flags and the versions that objects were built with; touched only
# if they differ, and then everything is built anew.
$(BUILD)/flags: FORCE | deps-build
	@mkdir -p $(@D)
	@{ printf '%s\n' $(call quote,$(CC) $(ALL_CFLAGS)) \
	       $(call quote,$(ALL_LDFLAGS)); \
	   $(CC) --version | sed 1q; $(NGINX) -v 2>&1; \
	   cat $(NGINX_SRC)/conf_flags; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

quote = '$(subst ','\'',$(1))'

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---- the nginx module -----------------------------------------------------

# As dh_nginx builds modules: nginx's own configure, on the sources and with
# the flags of the nginx that is installed.
NGINX         ?= /usr/sbin/nginx
NGINX_SRC     ?= /usr/share/nginx/src
NGINX_MODULES ?= /usr/lib/nginx/modules
NGINX_CONF    ?= /usr/share/nginx/modules-available

MODULE_CFLAGS  = $(filter-out -fPIE,$(CFLAGS)) -fPIC $(EXTRA_CFLAGS) -D_GNU_SOURCE $(NO_PATH) -MMD -MP
MODULE_LDFLAGS = $(filter-out -pie,$(LDFLAGS)) $(EXTRA_LDFLAGS)

$(BUILD)/nginx/Makefile: config $(BUILD)/flags
	$(call say,CONF,$(@D))
	@rm -rf $(@D)
	$(Q)cd $(NGINX_SRC) && CC=$(call quote,$(CC)) bash -c '. ./conf_flags && exec ./configure "$$@" "$${NGX_CONF_FLAGS[@]}"' configure \
	    --with-cc-opt=$(call quote,$(MODULE_CFLAGS)) \
	    --with-ld-opt=$(call quote,$(MODULE_LDFLAGS)) \
	    --add-dynamic-module=$(CURDIR) --builddir=$(abspath $(@D)) \
	    > $(abspath $(BUILD))/nginx.log 2>&1 || { cat $(abspath $(BUILD))/nginx.log >&2; exit 1; }

# nginx's makefile knows the headers that `config` lists; the compiler's own
# findings, read beside it, know all.
# CFLAGS=... on this make's command line would replace all that configure found
$(MODULE): MAKEOVERRIDES =
$(MODULE): FORCE $(BUILD)/nginx/Makefile
	$(Q)$(MAKE) --no-print-directory $(if $(V),,--silent) -C $(NGINX_SRC) -f $(abspath $(BUILD))/nginx/Makefile \
	    $(addprefix -f ,$(shell find $(abspath $(BUILD))/nginx/addon -name '*.d')) \
	    modules $(if $(V),,> $(abspath $(BUILD))/nginx.log 2>&1 || { cat $(abspath $(BUILD))/nginx.log >&2; exit 1; })

# ---- what it needs --------------------------------------------------------

deps: ## install the Debian packages that are missing
	@script/deps

deps-build deps-run deps-test deps-lint deps-bench deps-model:
	@script/deps $(@:deps-%=%)

# ---- to try it ------------------------------------------------------------

demo: all deps-run ## walk the life of a key through real nginx, Redis and daemon
	@APIKEY_BUILD=$(abspath $(BUILD)) perl demo/walk.pl

up: all deps-run ## start that stack and leave it running; says what to try
	@APIKEY_BUILD=$(abspath $(BUILD)) perl demo/stack.pl up

down: ## stop what `make up` started
	@APIKEY_BUILD=$(abspath $(BUILD)) perl demo/stack.pl down

# ---- to check it ----------------------------------------------------------

TESTS ?= $(sort $(wildcard t/*.t)) $(UNITS)
JOBS  ?= $(shell nproc)

# the daemon that a test can kill at every step: table/failpoint.h
failpoints: | deps-build ## build the daemon with failpoints, for the tests
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/failpoints \
	    EXTRA_CFLAGS=$(call quote,$(strip $(EXTRA_CFLAGS) -DAPIKEY_FAILPOINTS)) \
	    $(BUILD)/failpoints/bin/apikey-sync

test: all failpoints units tools deps-run deps-test ## run the tests; TESTS=t/one.t runs one
	APIKEY_BUILD=$(abspath $(BUILD)) CMOCKA_MESSAGE_OUTPUT=TAP \
	    prove -It/lib -j$(JOBS) --timer $(PROVE_FLAGS) $(TESTS)

MODELS ?=

model: deps-model ## let spin check the protocol, and that breaking any rule is found
	@perl model/check.pl --dir $(abspath $(BUILD))/model --jobs $(JOBS) $(MODELS)

bench-revoke: all benches tools deps-run ## how fast a revoked key is refused, idle and busy
	@APIKEY_BUILD=$(abspath $(BUILD)) perl bench/revoke.pl

bench-wait: all benches tools deps-run ## how soon a change is proven, and an edge back after kill -9
	@APIKEY_BUILD=$(abspath $(BUILD)) perl bench/wait.pl

bench-hot: all benches deps-run deps-bench ## what `apikey on` costs a request
	@APIKEY_BUILD=$(abspath $(BUILD)) perl bench/hot.pl

soak: all failpoints tools deps-run ## inject faults under load, and judge; MINUTES=10 SEED=… ROUND=45 EDGES=3
	@APIKEY_BUILD=$(abspath $(BUILD)) perl soak/run.pl

soak-torn: units deps-test ## read a table that is being changed, READS=1000000000 times
	APIKEY_TORN_READS=$(or $(READS),1000000000) CMOCKA_MESSAGE_OUTPUT=TAP \
	    $(BUILD)/t/unit/table_torn

PLAIN_C  = $(wildcard $(addsuffix /*.c,$(PLAIN)) $(addsuffix /*.h,$(PLAIN)))
PLAIN    = key table store store-sync admin admin/ctl t/unit t/tools bench
PERL     = $(wildcard t/*.t t/lib/Apikey/*.pm demo/*.p[lm] bench/*.p[lm] soak/*.pl model/*.pl soak/Soak/*.pm)
SHELL_SH = script/deps .ci/run

lint: deps-lint all ## static checks of C, Perl, Lua and shell; layout
	clang-format --dry-run --Werror $(PLAIN_C)
	clang-tidy --quiet $(filter %.c,$(PLAIN_C)) -- $(CSTD) -D_GNU_SOURCE -I. -I$(BUILD)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 \
	    --enable=warning,performance,portability -D__GNUC__ -D_GNU_SOURCE -I. -I$(BUILD) \
	    $(filter %.c,$(PLAIN_C))
	luac5.1 -p store/apikey.lua
	shellcheck $(SHELL_SH)
	@for file in $(PERL); do \
	    perl -It/lib -Idemo -Isoak -Ibench -c $$file 2>&1 | grep -v 'syntax OK$$' && exit 1; \
	done; true

format: deps-lint ## lay out the plain C (the module is laid out by hand)
	clang-format -i $(PLAIN_C)

# ---- to keep it -----------------------------------------------------------

SHARE = $(DESTDIR)$(PREFIX)/share
DOC   = $(SHARE)/doc/ngx-http-apikey-module

install: all ## install into DESTDIR, the programs under PREFIX
	install -D -m 644 $(MODULE) $(DESTDIR)$(NGINX_MODULES)/ngx_http_apikey_module.so
	install -d $(DESTDIR)$(NGINX_CONF)
	echo 'load_module modules/ngx_http_apikey_module.so;' > $(DESTDIR)$(NGINX_CONF)/mod-http-apikey.conf
	install -D -m 755 $(BUILD)/bin/apikey-sync $(DESTDIR)$(PREFIX)/sbin/apikey-sync
	install -D -m 755 $(BUILD)/bin/apikeyctl $(DESTDIR)$(PREFIX)/bin/apikeyctl
	install -D -m 644 store/apikey.lua $(SHARE)/apikey/apikey.lua
	install -d $(DOC)
	install -m 644 README.md LICENSE $(wildcard docs/*.md) $(DOC)

clean: ## remove what was built (stops what `make up` started)
	@! [ -e $(BUILD)/demo ] || $(MAKE) --no-print-directory down
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: all programs module units tools benches deps deps-build deps-run \
        deps-test deps-lint deps-bench deps-model demo up down failpoints test \
        soak soak-torn model bench-revoke bench-wait bench-hot lint format install clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
