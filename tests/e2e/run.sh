#!/usr/bin/env bash
# `make test-e2e`: runs the end-to-end tests on the local cluster, which is started for them unless it is up. Arguments are those of
# the test program, such as a part of a test's name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The development profile, which `cargo test` builds anyway.
cargo build --locked --bin holdfast
cargo test --locked --test e2e --test faults --no-run
# What only a debugger reads would have to be imported each time.
mkdir -p target/stripped
strip -o target/stripped/holdfast target/debug/holdfast
tests/harness/images.sh stripped operator application
tests/cluster/cluster.sh old-mysql
# The cases wait most of the time: more of them than there are processors.
cases() {
	cargo test --locked --test e2e -- --test-threads 12 "$@"
	# What wants the processors for itself, then what all of them together have asked the API server for.
	[[ $# -gt 0 ]] || cargo test --locked --test e2e -- --ignored application::
	[[ $# -gt 0 ]] || cargo test --locked --test e2e -- --ignored --exact rights::the_operator_has_the_rights_that_it_uses_and_no_others
	# Here, because the cluster is up.
	[[ $# -gt 0 ]] || cargo test --locked --test faults -- --spread
}
export -f cases
exec tests/cluster/s3-server.sh run -- tests/cluster/cluster.sh run -- bash -euo pipefail -c 'cases "$@"' cases "$@"
