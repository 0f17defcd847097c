#!/usr/bin/env bash
# Builds the operator's and the sample application's images from the programs of a cargo profile: images.sh release|debug.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
profile=${1:?usage: images.sh release|debug}

cluster=tests/cluster/cluster.sh
$cluster build
$cluster image holdfast.test/operator:dev deploy/Dockerfile . \
	--build-arg BASE=holdfast.test/base:bookworm --build-arg BINARY="target/$profile/holdfast"
$cluster image holdfast.test/sample:dev deploy/sample/Dockerfile . \
	--build-arg BASE=holdfast.test/base:bookworm --build-arg BINARY="target/$profile/examples/sample"
