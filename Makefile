# Two commands do everything on a fresh machine: `make demo` and `make test`.
.PHONY: help demo watch-demo test lint bench accuracy fuzz fmt build install
.DEFAULT_GOAL := help

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo:            ## breaks a real Postgres in the runbook's four ways, and finds and mends each before your eyes
	@scripts/install-parts
	@cargo build --release --quiet
	@cargo build --release --quiet --package renderflow
	@target/release/pgmedic drill --runbook

watch-demo:      ## the same four faults on a running watch, with a real Prometheus and a real Alertmanager: told, mended, resolved
	@scripts/install-parts
	@cargo build --release --quiet --package renderflow
	@cargo test --release --quiet --package pgmedic --test watch -- --nocapture each_fault_of_the_runbook

test:            ## every test, on real parts; the last lines count what ran
	@scripts/install-parts
	@[ "$$(id -u)" != 0 ] || scripts/install-parts dockerd chromium
	@scripts/test

lint:            ## formatting, clippy, the house's own demands, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo clippy --package pgmedic --package pgmedic-path --all-targets --features kubernetes --quiet -- --deny warnings
	@if command -v c++ >/dev/null; then cargo check --quiet --manifest-path fuzz/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}"; \
	 else echo "no c++: whether the fuzz targets build is not checked (apt-get install g++)"; fi
	cargo run --quiet --package xtask -- tidy
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check bans licenses sources; \
	 else echo "cargo-deny is not installed: licences and sources are not checked (cargo install --locked cargo-deny)"; fi

bench:           ## a check against psql and the plugins, watch against the exporter, faults to alerts, pools; writes docs/bench.md, docs/bench-pool.md
	@scripts/install-parts hyperfine time psql check_postgres haproxy prometheus-postgres-exporter promtool
	@cargo build --release --quiet
	@cargo build --release --quiet --package pgmedic-lab --example understudies
	@scripts/bench
	@scripts/bench-watch
	@scripts/bench-pool

accuracy:        ## every fault on Postgres 14 to 18, alone and in pairs, and 10,000 healthy checks; writes docs/accuracy.md
	@scripts/install-parts
	@cargo build --release --quiet
	@cargo build --release --quiet --package renderflow
	@PGMEDIC_PG_BINS=$$(scripts/fetch-postgres 14 15 16 17 18) cargo xtask accuracy

fuzz:            ## every reader of bytes from outside, ten minutes each (needs nightly and cargo-fuzz)
	@scripts/fuzz

fmt:             ## formats
	cargo fmt --all

build:           ## the release binary
	cargo build --release

install: build   ## copies the binary to ~/.cargo/bin, and its manual pages to where man(1) looks for those of that folder
	install -D -m 755 target/release/pgmedic $${CARGO_HOME:-$$HOME/.cargo}/bin/pgmedic
	$${CARGO_HOME:-$$HOME/.cargo}/bin/pgmedic self man --output $${CARGO_HOME:-$$HOME/.cargo}/share/man/man1
