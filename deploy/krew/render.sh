#!/usr/bin/env bash
# render.sh RELEASES FOLDER: prints the manifest for a release whose archives lie in FOLDER, made by pack.sh for every platform, and will be
# found under the URL RELEASES.
set -euo pipefail
releases=$1
folder=$2
version=$("$(dirname "$0")/version.sh")
fill=(-e "s|{{version}}|$version|g" -e "s|{{releases}}|$releases|g")
for platform in linux-amd64 linux-arm64 darwin-amd64 darwin-arm64; do
  archive=$folder/kubectl-holdfast-$version-$platform.tar.gz
  [ -f "$archive" ] || { echo "render.sh: $archive is missing: build kubectl-holdfast for $platform and pack it by pack.sh" >&2; exit 1; }
  fill+=(-e "s|{{sha256-$platform}}|$(sha256sum "$archive" | cut -d' ' -f1)|")
done
sed -e '/^#/d' "${fill[@]}" "$(dirname "$0")/holdfast.yaml"
