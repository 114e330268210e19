#!/usr/bin/env bash
# Installs the Python client of Kafka with its Avro serializers, once, into a cache folder of its own (a virtual
# environment: nothing of the system is touched), and prints the path of its interpreter, alone, to stdout.
#
# The folder's name is a hash of tests/services/python/requirements.txt and of the Python that made it.
#
# Needed: Python 3.9 or newer with venv, and for the first run a package index that pip reaches.
# scripts/setup.sh installs Python. SETTLE_CACHE_DIR chooses the cache, SETTLE_PYTHON the interpreter.
#
# Usage: scripts/python_clients.sh
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
requirements="$repository/tests/services/python/requirements.txt"
cache="${SETTLE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/settle}/python"
python="${SETTLE_PYTHON:-python3}"

say() { printf 'python clients: %s\n' "$*" >&2; }

if (($# > 0)); then
    say "unknown argument '$1'; usage: scripts/python_clients.sh"
    exit 2
fi

version="$("$python" -c 'import ensurepip, sys, venv; assert sys.version_info >= (3, 9); print(sys.version)' 2>/dev/null || true)"
if [[ -z $version ]]; then
    say "$python is missing, older than 3.9, or lacks the module venv: the test of the Python client needs it."
    say "install python3 and python3-venv, or run scripts/setup.sh, or name an interpreter with SETTLE_PYTHON"
    exit 1
fi

key="$( (cat "$requirements" && echo "$version") | sha256sum | cut -c1-16)"
installed="$cache/$key"
if [[ ! -f $installed/stamp ]]; then
    mkdir -p "$cache"
    # Several test programs may ask at once: one installs, the others wait for it.
    exec 9>"$cache/lock"
    if ! flock --wait 600 9; then
        say "another process has been installing for 10 minutes and holds $cache/lock"
        exit 1
    fi
fi
if [[ ! -f $installed/stamp ]]; then
    # A virtual environment knows its own path: it is made in its place, and the stamp says that it is whole.
    rm -rf "$installed"
    "$python" -m venv "$installed" >&2
    pip=(timeout 600 "$installed/bin/python" -m pip --disable-pip-version-check --quiet)
    # Built packages only: a compiler and the headers of librdkafka are not asked for.
    if ! "${pip[@]}" install --retries 3 --only-binary :all: --requirement "$requirements" >&2; then
        say "pip could not install tests/services/python/requirements.txt (its messages are above):"
        say "make a package index reachable (PIP_INDEX_URL, PIP_PROXY), or fill $installed on another way"
        exit 1
    fi
    "$installed/bin/python" -c 'import confluent_kafka.schema_registry.avro, fastavro' >&2
    "${pip[@]}" freeze >"$installed/stamp"
    say "installed: $(paste -sd' ' "$installed/stamp")"
fi
echo "$installed/bin/python"
