#!/usr/bin/env bash
# Installs what the sample application is made of, Node included, as its lock file says and without running anything of it. Installs npm itself
# where it is missing. Does nothing where it was done for the same lock file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CLUSTER_DIR=$PWD/tests/cluster
for part in common packages; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

application=deploy/sample/app
made_of=$(cat "$application/package.json" "$application/package-lock.json" | sha256sum)
is_made() { [[ -e $application/node_modules/.made-of && $(<"$application/node_modules/.made-of") == "$made_of" ]]; }

is_made && exit
need_packages /usr/bin/npm=npm
mkdir -p "$CACHE"
exec 7>"$CACHE/modules.lock"
flock 7
is_made && exit
# Any Node installs them; which one runs them is among them.
step application-modules "installing the sample application's modules" \
	npm ci --prefix "$application" --ignore-scripts --no-audit --no-fund --engine-strict=false
echo "$made_of" >"$application/node_modules/.made-of"
