# Reads the output of `cargo test`, prints one line that counts the tests of all test binaries:
#
#     settle: 412 passed, 0 failed, 3 skipped
#
# A test binary that started and never reported (it was killed, or it aborted) counts as one failure.

function count(word,    position) {
    for (position = 2; position <= NF; position++) {
        if ($position ~ "^" word ";?$") {
            return $(position - 1) + 0
        }
    }
    return 0
}

function end_binary() {
    if (started && !reported) {
        failed++
    }
    started = 0
    reported = 0
}

# Colours, when they are forced, and the carriage returns of some terminals.
{ gsub(/\033\[[0-9;]*m/, ""); sub(/\r$/, "") }

/^ +(Running .*\(.*\)|Doc-tests .*)$/ {
    end_binary()
    started = 1
}

/^test result: (ok|FAILED)\. / {
    reported = 1
    passed += count("passed")
    failed += count("failed")
    skipped += count("ignored")
}

END {
    end_binary()
    line = sprintf("settle: %d passed, %d failed", passed, failed)
    if (skipped > 0) {
        line = line sprintf(", %d skipped", skipped)
    }
    print line
}
