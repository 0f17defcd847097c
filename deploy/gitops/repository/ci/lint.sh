#!/usr/bin/env bash
# lint.sh: builds every overlay and checks it, without a cluster. Exit status 0 only if nothing is found in any.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
for overlay in overlays/*/; do
  echo "== $overlay"
  kubectl kustomize "$overlay" | kubectl-holdfast lint - || failed=1
done
exit $failed
