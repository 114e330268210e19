#!/usr/bin/env bash
# Builds what the benchmark needs (Settle, the harness, the Kafka Streams program) and runs the harness with the given
# arguments. `scripts/bench.sh run --help` lists them; docs/performance.md says what is measured.
#
# Usage: scripts/bench.sh run [--quick] [--payments N] [--rounds N] [--parts PARTS] ...
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

# Apart: together they would share the features of their dependencies, and RocksDB might be compiled again.
cargo build --release --locked --bin settle
cargo build --release --locked -p settle-bench
streams="$(scripts/bench_streams.sh)"

arguments=("$@")
if [[ ${1:-} == run ]]; then
    arguments=(run --streams "$streams" "${@:2}")
fi
exec "${CARGO_TARGET_DIR:-target}/release/settle-bench" "${arguments[@]}"
