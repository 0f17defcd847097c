#!/usr/bin/env bash
# pack.sh PROGRAM OS ARCH FOLDER: packs a built kubectl-holdfast with its licence into the archive that krew unpacks, in FOLDER. The same program
# gives the same archive, so that anybody can check its SHA-256.
set -euo pipefail
program=$(realpath "$1")
archive=$(realpath "$4")/kubectl-holdfast-$("$(dirname "$0")/version.sh")-$2-$3.tar.gz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$program" "$work/kubectl-holdfast"
cp "$(dirname "$0")/../../LICENSE" "$work/LICENSE"
chmod 0755 "$work/kubectl-holdfast"
chmod 0644 "$work/LICENSE"
tar --create --directory "$work" --sort name --mtime @0 --owner 0 --group 0 --numeric-owner kubectl-holdfast LICENSE | gzip --no-name > "$archive"
echo "$archive"
