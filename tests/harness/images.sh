#!/usr/bin/env bash
# Builds images of ours: images.sh release|stripped operator|sample|application...; the first two from the programs in a folder of target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${1:?usage: images.sh release|stripped operator|sample|application...}
shift

cluster=tests/cluster/cluster.sh
application=deploy/sample/app
$cluster build
for image in "$@"; do
	case $image in
	operator) inputs=(deploy/Dockerfile . --build-arg BINARY="target/$folder/holdfast") ;;
	sample) inputs=(deploy/sample/Dockerfile . --build-arg BINARY="target/$folder/examples/sample") ;;
	application)
		tests/harness/modules.sh
		inputs=("$application/Dockerfile" "$application")
		;;
	*) echo "images.sh: $image is not known: operator, sample or application" >&2 && exit 2 ;;
	esac
	$cluster image "holdfast.test/$image:dev" "${inputs[@]}" --build-arg BASE=holdfast.test/base:bookworm
done
