# pgtopic: Kafka's topics inside PostgreSQL
#
#   make && sudo make install     build and install
#   make installcheck             tests, against a running server that has
#                                 shared_preload_libraries = 'pgtopic'
#   make unitcheck                tests of the pure code, no server
#   make META.json                copy the version from pgtopic.control
#   make dist                     archive of the last commit, for PGXN
#
# PG_CONFIG chooses the PostgreSQL installation: make PG_CONFIG=/path/pg_config

EXTENSION = pgtopic
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pgtopic.control)
# The extension script is the files of sql/install, in the order of their names.
DATA_built = sql/pgtopic--$(EXTVERSION).sql

# One library of all rooms.  src/client is a program of its own.
MODULE_big = pgtopic
PGFILEDESC = "pgtopic - Kafka's topics inside PostgreSQL"
SOURCES := $(sort $(filter-out src/client/%,$(wildcard src/*.c src/*/*.c)))
OBJS = $(SOURCES:.c=.o)
DEPS = $(SOURCES:.c=.d)

# PostgreSQL's headers are not written for these warnings of -Wextra; clang does
# not know every option that PostgreSQL recorded for gcc.  "make WERROR=" builds
# where a newer compiler has new opinions.
WERROR = -Werror
# A message goes through several rooms, each a few instructions: a twentieth of
# the time of a bulk load.  "make LTO=" builds without.
LTO = $(if $(findstring clang,$(CC)),,-flto=auto)
PG_CPPFLAGS = -I$(srcdir)/src -MMD -MP
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers $(WERROR) $(LTO) \
	$(if $(findstring clang,$(CC)),-Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes)
SHLIB_LINK = -llz4 -lzstd -Wl,--version-script=$(srcdir)/src/exports.map

# The program; PGXS builds either a library or a program.
CLIENT = src/client/pgtopic
CLIENT_OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/client/*.c)))

# Regression tests run in this order against one database that has the
# extension; isolation specs live beside the other kinds of tests.
REGRESS = $(filter-out pgtopic--%,$(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=pgtopic
ISOLATION = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --load-extension=pgtopic

# The TAP tests start servers of their own, which root may not.
TAP_TESTS := $(shell test "$$(id -u)" != 0 && perl -MIPC::Run -e 1 2>/dev/null && echo 1)
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = $(DEPS) $(CLIENT) $(CLIENT).1 $(CLIENT_OBJS) $(CLIENT_OBJS:.o=.d) results regression.diffs regression.out output_iso tmp_check

# No bitcode: it would need the clang that PostgreSQL was built with, and the
# functions here are called, not inlined.
override with_llvm := no

PG_CONFIG ?= pg_config
ifneq ($(shell expr "$$($(PG_CONFIG) --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" '>=' 15),1)
$(error pgtopic needs PostgreSQL 15 or later; set PG_CONFIG=/path/to/pg_config)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# A changed header rebuilds what includes it.  PGXS does that only where
# PostgreSQL itself was configured with --enable-depend.
-include $(DEPS)

$(shlib): src/exports.map

# The program, and its man page from what its --help prints.
-include $(CLIENT_OBJS:.o=.d)

all: $(CLIENT) $(CLIENT).1

$(CLIENT_OBJS): override CPPFLAGS := -DPGTOPIC_VERSION='"$(EXTVERSION)"' -I$(includedir) -D_GNU_SOURCE $(CPPFLAGS)

$(CLIENT): $(CLIENT_OBJS)
	$(CC) $(CFLAGS) $(CLIENT_OBJS) -L$(libdir) $(LDFLAGS) $(LDFLAGS_EX) -lpq -o $@

$(CLIENT).1: $(CLIENT) src/client/help2pod.pl
	perl $(srcdir)/src/client/help2pod.pl $(CLIENT) | pod2man --utf8 --section=1 --name=PGTOPIC \
		--release='pgtopic $(EXTVERSION)' --center='Kafka topics in PostgreSQL' --date=' ' >$@ || { rm -f $@; exit 1; }

install: install-client
uninstall: uninstall-client
.PHONY: install-client uninstall-client
install-client: $(CLIENT) $(CLIENT).1
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) $(CLIENT) '$(DESTDIR)$(bindir)/pgtopic'
	$(INSTALL_DATA) $(CLIENT).1 '$(DESTDIR)$(mandir)/man1/pgtopic.1'
uninstall-client:
	rm -f '$(DESTDIR)$(bindir)/pgtopic' '$(DESTDIR)$(mandir)/man1/pgtopic.1'

sql/pgtopic--$(EXTVERSION).sql: $(sort $(wildcard sql/install/*.sql))
	cat $^ >$@

ifndef TAP_TESTS
installcheck: no-tap
.PHONY: no-tap
no-tap:
	@echo 'NOTE: TAP tests are skipped: they need an ordinary user and the Perl module IPC::Run'
endif

.PHONY: unitcheck
unitcheck:
	$(MAKE) -C test/unit check PG_CONFIG='$(PG_CONFIG)'

.PHONY: META.json
META.json:
	sed -i -e '/"meta-spec"/,/}/!s/\("version": *"\)[^"]*/\1$(EXTVERSION)/' \
		-e 's/pgtopic--[^"]*\.sql/pgtopic--$(EXTVERSION).sql/' $@

.PHONY: dist
dist:
	git archive --format zip --prefix=pgtopic-$(EXTVERSION)/ --output pgtopic-$(EXTVERSION).zip HEAD
