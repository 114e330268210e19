# The commands of a developer. `make` alone lists them.
#
# One profile, `release`, serves the build, the tests and the lints: RocksDB's C++ takes about ten
# minutes on two cores, and a second profile would compile it a second time.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# cargo uses every core by itself, and two cargos wait for each other's lock.
.NOTPARALLEL:

# A shell that was open before rustup ran does not have its folder on PATH yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Arguments for the program: make demo ARGS="--payments 1000", make test ARGS="-p settle-ledger".
ARGS ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/settle

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Install what a build needs and this machine lacks, or print the line to run
	@scripts/setup.sh

.PHONY: demo
demo: build ## Run a generated day of payments through both stages (ARGS="--payments 1000")
	@$(BINARY) demo $(ARGS)

##@ Build and test

.PHONY: build
build: ## Build the program: target/release/settle
	@scripts/setup.sh --build
	@cargo build --release --locked --bin settle

.PHONY: test
test: setup ## Run every test, end with the count (ARGS="-p settle-ledger" for a part)
	@scripts/test.sh $(ARGS)

.PHONY: torture
torture: setup ## Random trouble on real Kafka for long: one broker and three, 200,000 requests each
	@cargo build --release --locked --bin settle
	@SETTLE_TORTURE=full scripts/test.sh -p settle-tests --test kafka -- --nocapture --test-threads 1

.PHONY: fuzz
fuzz: setup ## Damage the input of every decoder, SETTLE_FUZZ_CASES times each (200,000 by default)
	@SETTLE_FUZZ_CASES=$${SETTLE_FUZZ_CASES:-200000} cargo test --release --locked --test fuzz \
	  -p settle-schema -p settle-ingest -p settle-config -p settle-risk -p settle-log

SEEDS ?= 10000

.PHONY: simulate
simulate: setup ## Whole pipelines over a simulated cluster with faults (SEEDS=10000), then deliberate bugs
	@cargo build --release --locked -p settle-simulator --features mutations
	@$(TARGET)/release/simulate --seeds $(SEEDS)
	@$(TARGET)/release/simulate --mutations

.PHONY: doc
doc: setup ## Build the API documentation; a broken link is an error
	@RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

.PHONY: container-test
container-test: build ## Build the image of deploy/container and run it (root, buildah; no registry of images)
	@scripts/container_test.sh $(BINARY)

##@ Measure

# Where the report goes; docs/performance.md shows the last one.
BENCH_OUT ?= $(TARGET)/bench

.PHONY: bench
bench: setup ## Compare with Kafka Streams and bare clients on real Kafka (ARGS="--quick")
	@scripts/bench.sh run --out "$(BENCH_OUT)" $(ARGS)

.PHONY: bench-large
bench-large: setup ## Many keys, commit intervals, workers, guarantees (ARGS="--large-keys 100000000")
	@scripts/bench.sh run --parts sweeps,large --out "$(BENCH_OUT)-large" $(ARGS)

.PHONY: bench-micro
bench-micro: setup ## Time the steps of a decision, each alone
	@cargo bench --locked -p settle-bench --bench core
	@cargo bench --locked -p settle-store --bench store

.PHONY: profile
profile: setup ## Record where the time goes: a flame graph of both stages (ARGS="200000", the payments)
	@scripts/profile.sh $(ARGS)

##@ Check and tidy

.PHONY: lint
lint: setup ## Check format, clippy, scripts; spelling and licences where the tools are installed
	@scripts/lint.sh

.PHONY: advisories
advisories: ## Check the dependencies against known vulnerabilities (cargo-deny, network)
	@cargo deny --locked check advisories

.PHONY: fmt
fmt: ## Format the source
	@cargo fmt --all

.PHONY: clean-demo
clean-demo: ## Remove what the demo left behind
	@rm -rf settle-demo
