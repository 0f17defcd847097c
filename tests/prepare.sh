#!/usr/bin/env bash
# Runs a command, and beside it builds everything that `make test` starts: servers, the cluster's programs and images. Compiling Rust keeps one
# processor busy for much of its time, and so does this; one after the other they would take minutes longer. Where all is built, it costs seconds.
#
#   prepare.sh -- COMMAND...
#
# Exit status: that of COMMAND, or of what could not be built, whose last messages are then printed. Nothing of it outlives this script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ ${1:-} == -- && $# -ge 2 ]] || {
	echo "usage: prepare.sh -- COMMAND..." >&2
	exit 1
}
shift

build() {
	tests/harness/modules.sh
	tests/cluster/cluster.sh build
	tests/cluster/cluster.sh old-mysql
	tests/cluster/s3-server.sh run -- true
	tests/cluster/api-server.sh build
	tests/cluster/mysqld.sh build mysql-9.7 mysql-8.0 mariadb-10.11
}

log=$(mktemp)
builder=
stop_all() {
	local status=$?
	trap '' INT TERM HUP
	[[ -z $builder ]] || kill -TERM -- "-$builder" 2>/dev/null || true
	[[ -z $builder ]] || wait "$builder" 2>/dev/null || true
	rm -f "$log"
	exit "$status"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# In a process group of its own, so that all of it ends with this script.
set -m
build >"$log" 2>&1 </dev/null &
builder=$!
set +m
"$@"
began=$SECONDS
kill -0 "$builder" 2>/dev/null && echo "waiting for what is built beside it, now: $(tail -n 1 "$log")" >&2
status=0
wait "$builder" || status=$?
builder=
((status == 0)) || {
	tail -n 40 "$log" >&2
	exit "$status"
}
echo "all that the tests start is built; waited $((SECONDS - began)) s more for it" >&2
