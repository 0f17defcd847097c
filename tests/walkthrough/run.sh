#!/usr/bin/env bash
# `make test-walkthrough`: walks through getting started, the guide and the README as a newcomer would, typing each command, on the local
# cluster, which is started for it unless it is up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The development profile, which `cargo test` builds anyway.
cargo build --locked --bin holdfast
cargo test --locked --test walkthrough --no-run
# What only a debugger reads would have to be imported each time.
mkdir -p target/stripped
strip -o target/stripped/holdfast target/debug/holdfast
tests/harness/images.sh stripped operator
exec tests/cluster/cluster.sh run -- cargo test --locked --test walkthrough -- --ignored --nocapture
