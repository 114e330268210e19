#!/usr/bin/env bash
# Builds the Kafka Streams program that the benchmark compares with, and prints the folder where it lies, alone, to
# stdout. What is there and newer than its sources is not built again.
#
# Needed: Java 17 or newer, and Maven. scripts/setup.sh installs both.
#
# Usage: scripts/bench_streams.sh
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source="$repository/bench/streams"
target="${CARGO_TARGET_DIR:-$repository/target}"
mkdir -p "$target"
output="$(cd "$target" && pwd)/bench-streams"

say() { printf 'bench: %s\n' "$*" >&2; }

for program in java mvn; do
    if ! command -v "$program" >/dev/null; then
        say "$program is not installed: the Kafka Streams program needs Java 17 or newer, and Maven. Run scripts/setup.sh"
        exit 1
    fi
done

jar="$output/settle-bench-streams.jar"
if [[ ! -f $jar || -n $(find "$source" "$repository/schemas" -newer "$jar" -type f -print -quit) ]]; then
    say "building the Kafka Streams program"
    timeout 1200 mvn --batch-mode --quiet -Dstyle.color=never -f "$source/pom.xml" "-Dsettle.output=$output" package >&2
    touch "$jar"
fi
echo "$output"
