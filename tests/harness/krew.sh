#!/usr/bin/env bash
# `make test-krew`: builds krew from its Go module, and lets it install the plugin from a local archive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages binaries; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

need_packages /usr/bin/git=git
build_module krew
cargo test --locked --test krew --no-run
PATH=$(module_bin krew):$PATH cargo test --locked --test krew -- --include-ignored
