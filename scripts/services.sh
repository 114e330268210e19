#!/usr/bin/env bash
# Fetches the services that tests start (Apache Kafka, a schema registry, an S3 server) with Maven,
# once, into a cache folder, and prints the path of that folder, alone, to stdout:
#
#     kafka/      class path of the broker and of the console tools
#     tools/      serializers for the console tools: Avro through the registry
#     classes/    what lets the console producer use them
#     registry/   Apicurio Registry
#     s3/         class path of S3Proxy
#     log4j2.xml, logback.xml     how they log
#     stamp       the versions, written last
#
# The folder's name is a hash of what decides its content (tests/services/pom.xml and java/), so a
# change of a version makes a new folder and the old one keeps working for other checkouts. A folder
# that nobody has asked for in 60 days goes when a new one comes.
#
# Needed: Java 17 or newer, and Maven for the first run. scripts/setup.sh installs both.
# SETTLE_CACHE_DIR chooses the cache.
#
# Usage: scripts/services.sh
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
definitions="$repository/tests/services"
cache="${SETTLE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/settle}/services"

say() { printf 'services: %s\n' "$*" >&2; }

if (($# > 0)); then
    say "unknown argument '$1'; usage: scripts/services.sh"
    exit 2
fi

require_java() {
    local version
    if ! command -v java >/dev/null; then
        say "java is not installed: Kafka, the registry and the S3 server need Java 17 or newer."
        say "install openjdk-17-jre-headless (or newer), or run scripts/setup.sh"
        exit 1
    fi
    # 17.0.15 and 21 give the number before the first dot; 1.8.0 gives 1, which is too old anyway.
    version="$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)"
    if ((${version:-0} < 17)); then
        say "java is version ${version:-unknown}: Kafka, the registry and the S3 server need 17 or newer."
        say "install openjdk-17-jre-headless (or newer), and put it first on PATH"
        exit 1
    fi
}

require_maven() {
    if ! command -v mvn >/dev/null; then
        say "mvn is not installed: it fetches Kafka, the registry and the S3 server."
        say "install maven, or run scripts/setup.sh"
        exit 1
    fi
}

# A registry that answers slowly or breaks off is met by trying again, not by failing a test run.
maven() {
    local attempt
    for attempt in 1 2 3; do
        if timeout 900 mvn --batch-mode --quiet -Dstyle.color=never "$@" >&2; then
            return 0
        fi
        say "maven failed (attempt $attempt of 3): mvn --batch-mode --quiet -Dstyle.color=never $*"
        sleep "$attempt"
    done
    say "the services could not be fetched: Maven's messages are above"
    return 1
}

fetch_class_path() {
    say "fetching $1"
    maven -f "$definitions/java/$1.xml" dependency:copy-dependencies "-Dsettle.output=$2/$1"
}

fetch_archive() {
    say "fetching $1"
    maven -f "$definitions/java/$1.xml" dependency:unpack-dependencies "-Dsettle.output=$2/$1"
}

# The runtime alone has no compiler.
compile_tools() {
    say "compiling java/source"
    if ! java -jar "$(compgen -G "$1/compiler/ecj-*.jar")" -17 -proc:none -d "$1/classes" \
        -cp "$(compgen -G "$1/[kt]*/*.jar" | paste -sd:)" "$definitions"/java/source/*.java >&2; then
        say "java/source could not be compiled: the compiler's messages are above"
        exit 1
    fi
}

require_file() {
    if ! compgen -G "$1" >/dev/null; then
        say "the download is not what was expected: there is no ${1##*/} in ${1%/*}"
        exit 1
    fi
}

require_java

key="$(cat "$definitions/pom.xml" "$definitions"/java/*.xml "$definitions"/java/source/*.java | sha256sum | cut -c1-16)"
installed="$cache/$key"
if [[ -f $installed/stamp ]]; then
    touch "$installed/stamp"
    echo "$installed"
    exit 0
fi

require_maven
mkdir -p "$cache"
# Several test programs may ask at once: one fetches, the others wait for it.
exec 9>"$cache/lock"
if ! flock --wait 1800 9; then
    say "another process has been fetching for 30 minutes and holds $cache/lock"
    exit 1
fi
if [[ ! -f $installed/stamp ]]; then
    # Nobody else is here: what lies under this name is what an interrupted run left.
    partial="$cache/$key.partial"
    rm -rf "$cache"/*.partial "$installed"
    mkdir -p "$partial"
    fetch_class_path kafka "$partial"
    fetch_class_path tools "$partial"
    fetch_class_path s3 "$partial"
    fetch_class_path compiler "$partial"
    fetch_archive registry "$partial"
    require_file "$partial/kafka/kafka_2.13-*.jar"
    require_file "$partial/tools/apicurio-registry-serdes-avro-serde-*.jar"
    require_file "$partial/s3/s3proxy-*.jar"
    require_file "$partial/registry/apicurio-registry-app-*-runner.jar"
    compile_tools "$partial"
    cp "$definitions/java/log4j2.xml" "$definitions/java/logback.xml" "$partial/"
    sed -n 's/^ *<\([a-z0-9]*\)\.version>\(.*\)<\/.*/\1 \2/p' "$definitions/pom.xml" >"$partial/stamp"
    mv "$partial" "$installed"
    find "$cache" -mindepth 2 -maxdepth 2 -name stamp -mtime +60 -printf '%h\0' | xargs -0 -r rm -rf
    say "fetched: $(paste -sd, "$installed/stamp" | sed 's/,/, /g')"
fi
echo "$installed"
