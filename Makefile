# The commands are listed by `make help`. Everything is also possible by hand with `swift build` and `swift test`.

SHELL = /bin/bash
.SHELLFLAGS = -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL = help

# What `make install` heeds.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share/earshot
DOCDIR = $(PREFIX)/share/doc/earshot
MANDIR = $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
# systemd looks into the lib folders of these two prefixes only.
SYSTEMD_PREFIX = $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,/etc)
UNITDIR ?= $(SYSTEMD_PREFIX)/systemd/system
SYSUSERSDIR ?= $(SYSTEMD_PREFIX)/sysusers.d
# Installed and not enabled.
SOCKET_UNITS = earshotd.socket earshotd-control.socket earshotd-metrics.socket

# What `make run` heeds. SOURCE is `alsa:DEVICE` or a file, played at the speed of time; without it, the default capture
# device, or the demo recording where there is none.
SOURCE ?=
LABELS ?= labels/esc50.txt

# How often `make test-kill` kills the daemon.
KILLS ?= 200

# What `make fuzz`, `make load` and `make soak` heed: a folder of Tests/Fuzzing/Corpus, how many inputs and from which
# random seed; seconds and subscribers; hours of audio.
TARGET ?= request
RUNS ?= 100000
SEED ?= 1
DURATION ?= 600
SUBSCRIBERS ?= 1000
STALLED ?= 100
HOURS ?= 72

# More flags for the compiler in `make build` and `make test`.
SWIFTFLAGS ?=

# The product is built apart from the tests: their flags differ, and one folder would be rebuilt at each change between
# them. It holds its own copy of the Swift libraries, so that it runs where no toolchain is.
PRODUCT = .build-release
PRODUCT_BUILD = swift build -c release --scratch-path $(PRODUCT) --static-swift-stdlib $(SWIFTFLAGS)
EARSHOT = $(PRODUCT)/release/earshot
EARSHOTD = $(PRODUCT)/release/earshotd

DEMO = Tests/Fixtures/demo.flac
MANUAL = $(notdir $(basename $(wildcard docs/man/*.in)))
TEXT_ENCODER = models/text/all-MiniLM-L6-v2
PACKAGES = libasound2-dev libfftw3-dev libmosquitto-dev libopenblas-dev libsndfile1-dev libsoxr-dev libsqlite3-dev \
	libsystemd-dev pkg-config
# A sound server for the capture tests, an MQTT broker and its clients.
TEST_PACKAGES = pulseaudio pulseaudio-utils libasound2-plugins mosquitto mosquitto-clients openssl
DEB_PACKAGES = debhelper lintian
# Of the Debian package; the product's own version unless it is told otherwise.
DEB_VERSION ?=

.PHONY: help run test build text-encoder demo train bench format lint install uninstall deb test-kill test-systemd test-deb \
	test-recovery fuzz test-tsan test-asan load soak clean packages swift

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name what; do printf 'make %-14s %s\n' "$$name" "$$what"; done

run: build ## build, then listen and show events (SOURCE=alsa:hw:CARD=..., LABELS=FILE)
	@models/install-text-encoder || { status=$$?; test $$status = 3 || exit $$status; }
	@source="$(SOURCE)"; pace=; \
	if [ -z "$$source" ]; then \
		if grep -qs capture /proc/asound/pcm || test -S "$${XDG_RUNTIME_DIR:-/nowhere}/pulse/native"; then \
			source=alsa:default; \
		else \
			echo "There is no capture device here: playing the demo recording $(DEMO) instead, in real time."; \
			source=$(DEMO); \
		fi; \
	fi; \
	case $$source in alsa:*) ;; *) pace="--realtime --once" ;; esac; \
	folder=$$(mktemp -d); \
	$(EARSHOTD) --source "$$source" $$pace --labels "$(LABELS)" --socket $$folder/earshot.sock & daemon=$$!; \
	stop() { kill $$daemon 2>/dev/null || true; wait $$daemon || true; rm -rf $$folder; }; \
	trap stop EXIT; trap 'exit 0' INT TERM; \
	until test -S $$folder/earshot.sock; do kill -0 $$daemon 2>/dev/null || { wait $$daemon; exit 1; }; sleep 0.1; done; \
	echo "Listening to $$source for the labels of $(LABELS). Ctrl-C stops."; \
	$(EARSHOT) watch --socket $$folder/earshot.sock || true

test test-recovery: PACKAGES += $(TEST_PACKAGES)
test: packages swift ## install what is missing, then run all tests
	@models/install-text-encoder || { status=$$?; test $$status = 3 || exit $$status; }
	@# One after the other: several tests hold real programs to the clock, and two cores are soon busy.
	@swift test -c release --no-parallel $(SWIFTFLAGS)

test-kill: packages swift ## kill the daemon KILLS=200 times under load and check that no message is lost
	@KILLS=$(KILLS) swift test -c release $(SWIFTFLAGS) --filter KillTests

build: packages swift ## build the daemon and the tool (release), their manual pages and completions
	@$(PRODUCT_BUILD)
	@docs/man/generate $(PRODUCT)/release $(PRODUCT)/man
	@mkdir -p $(PRODUCT)/completions
	@for program in earshot earshotd; do for shell in bash zsh fish; do \
		$(PRODUCT)/release/$$program --generate-completion-script $$shell | sed '1{/^#!/d}' \
			>$(PRODUCT)/completions/$$program.$$shell; \
	done; done

text-encoder: packages ## install the text encoder for labels of your own
	@models/install-text-encoder

demo: packages swift ## write the demo recording again
	@swift run -c release --scratch-path $(PRODUCT) --static-swift-stdlib DemoSynthesizer $(DEMO)

train: ## train the model again (hours; see training/)
	@training/train.sh

bench: build ## kernel benchmarks and stage timings
	@$(PRODUCT)/release/KernelBenchmarks
	@$(EARSHOT) bench

format: swift ## format the sources
	@swift format --in-place --recursive Package.swift Sources Tests

lint: swift ## check their format
	@swift format lint --strict --recursive Package.swift Sources Tests

test-recovery: packages swift ## failing sources and stopped processes, with longer pauses than `make test`
	@EARSHOT_TEST_PAUSE=10 swift test -c release $(SWIFTFLAGS) --filter RecoveryTests

test-systemd: build ## run the installed service under a booted systemd (as root; debootstrap, systemd-nspawn)
	@models/install-text-encoder || { status=$$?; test $$status = 3 || exit $$status; }
	@Tests/systemd/run

deb: PACKAGES += $(DEB_PACKAGES)
deb: build ## build a Debian package into .build-release
	@systemd/debian/build $(PRODUCT) $(DEB_VERSION)

test-deb: deb ## install, upgrade and purge the package under a booted systemd (as root; debootstrap, systemd-nspawn)
	@Tests/systemd/run-deb $(PRODUCT)/earshot_*.deb

# A crash or hang is left in .build-fuzz/found; run the program again with that file to see it, and keep it in the corpus.
FUZZER = .build-fuzz/release/Fuzzer
fuzz: packages swift ## fuzz what comes from outside (TARGET=request, RUNS=100000, SEED=1)
	@EARSHOT_FUZZ=1 swift build -c release --scratch-path .build-fuzz --product Fuzzer
	@mkdir -p .build-fuzz/corpus/$(TARGET) .build-fuzz/found
	@SWIFT_BACKTRACE=enable=no FUZZ_TARGET=$(TARGET) $(FUZZER) -runs=$(RUNS) -seed=$(SEED) -timeout=10 \
		-rss_limit_mb=2048 -close_fd_mask=1 -reload=0 -print_final_stats=1 \
		-dict=Tests/Fuzzing/Dictionaries/$(TARGET).dict -artifact_prefix=.build-fuzz/found/$(TARGET)- \
		.build-fuzz/corpus/$(TARGET) Tests/Fuzzing/Corpus/$(TARGET)

test-tsan: packages swift ## run all tests under Thread Sanitizer
	@TSAN_OPTIONS="suppressions=$(CURDIR)/Tests/Sanitizers/thread.txt halt_on_error=0 exitcode=66" \
		swift test -c release --no-parallel --sanitize=thread --scratch-path .build-tsan

# Without leaks: Swift keeps pointers with tag bits in them, which the sanitizer takes for lost.
test-asan: packages swift ## run all tests under Address Sanitizer
	@ASAN_OPTIONS="detect_leaks=0" \
		swift test -c release --no-parallel --sanitize=address --scratch-path .build-asan

load: build ## many subscribers, some of them stalled (DURATION=600 s, SUBSCRIBERS=1000, STALLED=100)
	@$(PRODUCT)/release/StressTest load --duration $(DURATION) --subscribers $(SUBSCRIBERS) --stalled $(STALLED)

soak: build ## days of audio through the daemon, at full speed (HOURS=72)
	@$(PRODUCT)/release/StressTest soak --hours $(HOURS)

clean: ## remove what was built (not the text encoder)
	rm -rf .build $(PRODUCT) .build-fuzz .build-tsan .build-asan

# `make` and `sudo make install` are two steps, as root has no Swift on its path.
install: ## install under PREFIX (/usr/local), configuration in SYSCONFDIR (/etc); DESTDIR for packagers
	@test -x $(EARSHOTD) -a -x $(EARSHOT) || { echo "nothing to install yet: run 'make build' first" >&2; exit 2; }
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(DATADIR)/labels $(DESTDIR)$(DATADIR)/models
	install -m 755 $(EARSHOTD) $(EARSHOT) $(DESTDIR)$(BINDIR)
	install -m 644 labels/*.txt $(DESTDIR)$(DATADIR)/labels
	install -m 644 $(DEMO) $(DESTDIR)$(DATADIR)
	for model in models/earshot-* $(wildcard $(TEXT_ENCODER)); do \
		install -d $(DESTDIR)$(DATADIR)/$$model; \
		install -m 644 $$(ls -d $$model/* | grep -v /golden) $(DESTDIR)$(DATADIR)/$$model; \
	done
	install -m 755 models/install-text-encoder $(DESTDIR)$(DATADIR)
	install -d $(DESTDIR)$(DOCDIR)
	install -m 644 $(wildcard README.md) $(wildcard docs/*.md) LICENSE NOTICE $(DESTDIR)$(DOCDIR)
	install -d $(foreach section,1 5 8,$(DESTDIR)$(MANDIR)/man$(section)) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	$(foreach page,$(MANUAL),$(call rewritten,$(PRODUCT)/man/$(page),$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(page)))
	for program in earshot earshotd; do \
		install -m 644 $(PRODUCT)/completions/$$program.bash $(DESTDIR)$(BASHDIR)/$$program; \
		install -m 644 $(PRODUCT)/completions/$$program.zsh $(DESTDIR)$(ZSHDIR)/_$$program; \
		install -m 644 $(PRODUCT)/completions/$$program.fish $(DESTDIR)$(FISHDIR)/$$program.fish; \
	done
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(SYSCONFDIR)/earshot
	$(call rewritten,systemd/earshotd.service,$(UNITDIR)/earshotd.service)
	for socket in $(SOCKET_UNITS); do \
		sed -e 's#/usr/local#$(PREFIX)#g' systemd/$$socket > $(DESTDIR)$(UNITDIR)/$$socket; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$socket; \
	done
	$(call rewritten,systemd/earshot.sysusers,$(SYSUSERSDIR)/earshot.conf)
	$(call rewritten,systemd/earshot.yaml,$(DOCDIR)/earshot.yaml)
	$(call rewritten,systemd/network.conf,$(DOCDIR)/network.conf)
	test -e $(DESTDIR)$(SYSCONFDIR)/earshot/earshot.yaml \
		|| install -m 644 $(DESTDIR)$(DOCDIR)/earshot.yaml $(DESTDIR)$(SYSCONFDIR)/earshot
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemd-sysusers $(SYSUSERSDIR)/earshot.conf && systemctl daemon-reload; \
		echo "Installed. Look at $(SYSCONFDIR)/earshot/earshot.yaml, then: systemctl enable --now earshotd"; \
	fi

uninstall: ## remove what install brought; PURGE=1 also an edited configuration, the state and the user
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemctl disable --now --quiet $(SOCKET_UNITS) earshotd || true; \
		rm -rf /run/earshot; \
	fi
	rm -f $(DESTDIR)$(BINDIR)/earshotd $(DESTDIR)$(BINDIR)/earshot
	rm -f $(foreach page,$(MANUAL),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(page))
	rm -f $(foreach program,earshot earshotd,$(DESTDIR)$(BASHDIR)/$(program) $(DESTDIR)$(ZSHDIR)/_$(program) \
		$(DESTDIR)$(FISHDIR)/$(program).fish)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,earshotd.service $(SOCKET_UNITS)) $(DESTDIR)$(SYSUSERSDIR)/earshot.conf
	@edited=$(DESTDIR)$(SYSCONFDIR)/earshot/earshot.yaml; \
	if cmp -s $(DESTDIR)$(DOCDIR)/earshot.yaml $$edited; then rm -f $$edited; fi
	rm -rf $(DESTDIR)$(DATADIR) $(DESTDIR)$(DOCDIR) $(DESTDIR)/var/cache/earshot
	$(if $(PURGE),rm -rf $(DESTDIR)$(SYSCONFDIR)/earshot $(DESTDIR)/var/lib/earshot)
	@rmdir --ignore-fail-on-non-empty $(DESTDIR)$(SYSCONFDIR)/earshot $(DESTDIR)/var/lib/earshot 2>/dev/null || true
	$(if $(filter /usr,$(PREFIX)),,@rmdir --ignore-fail-on-non-empty $(foreach folder, \
		lib/systemd/system lib/systemd lib/sysusers.d share/doc share/bash-completion/completions share/bash-completion \
		share/zsh/site-functions share/zsh share/fish/vendor_completions.d share/fish \
		share/man/man1 share/man/man5 share/man/man8,$(DESTDIR)$(PREFIX)/$(folder)) 2>/dev/null || true)
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemctl daemon-reload && systemctl reset-failed earshotd 2>/dev/null || true; \
		$(if $(PURGE),if id earshot >/dev/null 2>&1; then userdel earshot; fi;) \
	fi
	@for kept in $(DESTDIR)$(SYSCONFDIR)/earshot $(DESTDIR)/var/lib/earshot; do \
		if [ -d $$kept ]; then echo "kept: $$kept (PURGE=1 removes it)"; fi; \
	done

# $(call rewritten,FILE,TARGET): installs a file with the paths of this installation in it.
define rewritten
sed -e 's#/usr/local#$(PREFIX)#g' -e 's#/etc/earshot#$(SYSCONFDIR)/earshot#g' $(1) > $(DESTDIR)$(2)
chmod 644 $(DESTDIR)$(2)

endef

# Debian packages that are missing; says which, and asks sudo for them where the user is not root.
packages:
	@missing=; \
	for package in $(PACKAGES) $$(python3 -m pip --version >/dev/null 2>&1 || echo python3-pip); do \
		test "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" = installed || missing+=" $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "not a Debian system: install what stands for$$missing" >&2; exit 1; }; \
		echo "Installing Debian packages:$$missing"; \
		sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get update --quiet=2 || true; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing; \
	fi

swift:
	@version=$$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p'); \
	if [ -z "$$version" ]; then echo "Swift is not on the path: install Swift 6.1 or later (swift.org/install)" >&2; exit 1; fi; \
	if [ "$$(printf '%s\n' 6.1 "$$version" | sort -V | head -n 1)" != 6.1 ]; then \
		echo "Swift $$version is too old: earshot needs 6.1 or later (swift.org/install)" >&2; exit 1; \
	fi
