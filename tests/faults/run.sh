#!/usr/bin/env bash
# `make faults` and `make test-faults`: runs the fault campaign on the local cluster, which is started for it unless it is up. Options are
# those of the campaign (see --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The development profile, which `cargo test` builds anyway.
cargo build --locked --bin holdfast
cargo test --locked --test faults --no-run
# What only a debugger reads would have to be imported each time.
mkdir -p target/stripped
strip -o target/stripped/holdfast target/debug/holdfast
tests/harness/images.sh stripped operator
exec tests/cluster/cluster.sh run -- cargo test --locked --test faults -- "$@"
