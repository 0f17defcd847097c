#!/usr/bin/env bash
# `make demo`: builds what is missing, starts a cluster, shows a rollout and a rollback on it, and takes the cluster down again.
# Options are passed on to the demo (see --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -n ${CLUSTER:-} ]]; then
	echo "CLUSTER=$CLUSTER: the demo runs on its own local cluster only, so far; unset CLUSTER. On other clusters: README, section Install." >&2
	exit 2
fi

cluster=tests/cluster/cluster.sh
cargo build --release --locked --bin holdfast --example sample --example demo
trap '$cluster down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
$cluster up
$cluster image holdfast.test/operator:dev deploy/Dockerfile . --build-arg BASE=holdfast.test/base:bookworm
$cluster image holdfast.test/sample:dev deploy/sample/Dockerfile . --build-arg BASE=holdfast.test/base:bookworm
environment=$($cluster env)
eval "$environment"
target/release/examples/demo "$@"
