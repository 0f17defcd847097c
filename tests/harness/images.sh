#!/usr/bin/env bash
# Builds images of ours from the programs in a folder of target/: images.sh release|stripped operator|sample...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${1:?usage: images.sh release|stripped operator|sample...}
shift

cluster=tests/cluster/cluster.sh
$cluster build
for image in "$@"; do
	case $image in
	operator) dockerfile=deploy/Dockerfile program=holdfast ;;
	sample) dockerfile=deploy/sample/Dockerfile program=examples/sample ;;
	*) echo "images.sh: $image is not known: operator or sample" >&2 && exit 2 ;;
	esac
	$cluster image "holdfast.test/$image:dev" "$dockerfile" . \
		--build-arg BASE=holdfast.test/base:bookworm --build-arg BINARY="target/$folder/$program"
done
