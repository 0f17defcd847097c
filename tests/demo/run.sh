#!/usr/bin/env bash
# `make demo`: builds what is missing, starts a cluster, shows a rollout and a rollback on it, and takes the cluster down again.
# CLUSTER=existing uses the cluster of the current kubectl context instead. Options are passed on to the demo (see --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stop() {
	echo "demo: $*" >&2
	exit 2
}

# The user's own kubectl, helm and context; the images must be where that cluster can pull them.
on_existing_cluster() {
	local program variable
	for program in kubectl helm openssl; do
		command -v "$program" >/dev/null || stop "$program is not on the PATH: CLUSTER=existing uses yours"
	done
	for variable in OPERATOR_IMAGE SAMPLE_IMAGE APPLICATION_IMAGE MYSQL_IMAGE; do
		[[ -n ${!variable:-} ]] ||
			stop "$variable is not set: name an image that the cluster can pull (README, section The two commands, says how they are made)"
	done
	kubectl get --raw /readyz >/dev/null || stop "the cluster of the current kubectl context ($(kubectl config current-context)) does not answer"
	cargo build --release --locked --example demo
	exec target/release/examples/demo "$@"
}

case ${CLUSTER:-} in
existing) on_existing_cluster "$@" ;;
"") ;;
*) stop "CLUSTER=$CLUSTER is not known: leave it out for a local cluster, or set it to existing for the one of the current kubectl context" ;;
esac

tests/prepare.sh demo -- cargo build --release --locked --bin holdfast --example sample --example demo
tests/harness/images.sh release operator sample application
exec tests/cluster/cluster.sh run -- target/release/examples/demo "$@"
