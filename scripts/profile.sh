#!/usr/bin/env bash
# Records where a run of both stages on the embedded log spends its time, with perf, and writes to the folder `profile` of
# the target folder: flame.svg, and top.txt with the functions that take the most.
#
# On the embedded log, since there is no broker beside it: what Kafka's client costs is measured by `make bench`.
# Needed: perf (package linux-perf).
#
# Usage: scripts/profile.sh [PAYMENTS]
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"
payments="${1:-200000}"
target="${CARGO_TARGET_DIR:-target}"
output="$target/profile"

if ! command -v perf >/dev/null; then
    echo "profile: perf is not installed: install linux-perf" >&2
    exit 1
fi
cargo build --release --locked --bin settle
cargo build --release --locked -p settle-bench
mkdir -p "$output"
data="$(mktemp -d)"
trap 'rm -rf "$data"' EXIT
settle="$target/release/settle"
"$settle" produce --config bench/settle.toml --embedded "$data/log" --generate "$payments"
# cpu-clock: machines that are virtual themselves often have no counters.
perf record --event cpu-clock --freq 297 --call-graph dwarf,8192 --output "$data/perf" \
    -- "$settle" run --config bench/settle.toml --embedded "$data/log" --until-idle
perf report --input "$data/perf" --no-children --call-graph none --percent-limit 0.5 --stdio 2>/dev/null |
    grep -v '^#' | sed '/^$/d' >"$output/top.txt"
perf report --input "$data/perf" --children --call-graph none --percent-limit 1 --stdio 2>/dev/null |
    grep -v '^#' | sed '/^$/d' >"$output/inclusive.txt"
perf script --no-inline --input "$data/perf" 2>/dev/null | "$target/release/settle-bench" flame >"$output/flame.svg"
head -n 25 "$output/top.txt"
echo "profile: in $output" >&2
