# make help            what there is
# make demo, make test the two commands of README.md
#
# Everything that is built lies under $(BUILD); nothing else is written to.

BUILD    ?= build
PREFIX   ?= /usr
DESTDIR  ?=

CC       ?= cc
CSTD      = -std=gnu11
WARN      = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wvla
OPT      ?= -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
EXTRA_CFLAGS  ?=
EXTRA_LDFLAGS ?=
CFLAGS   ?= $(OPT)
LDFLAGS  ?= -pie -Wl,-z,relro -Wl,-z,now
ALL_CFLAGS  = $(CSTD) $(WARN) $(CFLAGS) $(EXTRA_CFLAGS) -D_GNU_SOURCE -I. -I$(BUILD) -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) $(EXTRA_LDFLAGS)

# ---- what is built of what ------------------------------------------------

sources = $(wildcard $(addsuffix /*.c,$(1)))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

KEY_OBJS    := $(call objects,$(call sources,key))
READ_OBJS   := $(call objects,table/read.c)
WRITE_OBJS  := $(call objects,$(filter-out table/read.c,$(call sources,table)))
STORE_OBJS  := $(call objects,$(call sources,store))
SYNC_OBJS   := $(call objects,$(call sources,store-sync))
ADMIN_OBJS  := $(call objects,$(call sources,admin admin/ctl))

PROGRAMS := $(BUILD)/bin/apikey-sync $(BUILD)/bin/apikeyctl
MODULE   := $(BUILD)/nginx/ngx_http_apikey_module.so
UNITS    := $(patsubst t/unit/%.c,$(BUILD)/t/unit/%,$(wildcard t/unit/*.c))
TOOLS    := $(patsubst t/tools/%.c,$(BUILD)/t/tools/%,$(wildcard t/tools/*.c)) \
            $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))

all: $(PROGRAMS) $(MODULE) ## build the module and the programs

$(BUILD)/obj/%.o: %.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The daemon alone gets the writer; it never gets the pepper or key texts.
$(BUILD)/bin/apikey-sync: $(SYNC_OBJS) $(STORE_OBJS) $(WRITE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lhiredis -ljansson -luv

$(BUILD)/bin/apikeyctl: $(ADMIN_OBJS) $(STORE_OBJS) $(KEY_OBJS) $(READ_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lhiredis -ljansson -lsodium

# apikeyctl carries the function library that it installs.
$(BUILD)/store/apikey_lua.h: store/apikey.lua
	@mkdir -p $(@D)
	xxd -i -n apikey_lua $< > $@

$(ADMIN_OBJS): | $(BUILD)/store/apikey_lua.h

$(BUILD)/t/%: $(BUILD)/obj/t/%.o $(KEY_OBJS) $(READ_OBJS) $(WRITE_OBJS) $(STORE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka -lhiredis -ljansson -luv -lsodium -lpthread

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(KEY_OBJS) $(READ_OBJS) $(WRITE_OBJS) $(STORE_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lhiredis -ljansson -luv -lsodium -lpthread

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

.PHONY: all
.SECONDARY:
