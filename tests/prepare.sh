#!/usr/bin/env bash
# Runs a command, and beside it builds everything else that `make test` or `make demo` starts: servers, the cluster's programs and images.
# Compiling Rust keeps one processor busy for much of its time, and so does this; one after the other they would take minutes longer. Where all is
# built, it costs seconds.
#
#   prepare.sh test|demo -- COMMAND...
#
# Exit status: that of COMMAND, or of what could not be built, whose last messages are then printed. Nothing of it outlives this script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-}
[[ $purpose =~ ^(test|demo)$ && ${2:-} == -- && $# -ge 3 ]] || {
	echo "usage: prepare.sh test|demo -- COMMAND..." >&2
	exit 1
}
shift 2

# First what is mostly fetched, for that leaves the processors to the command.
build() {
	tests/harness/modules.sh
	if [[ $purpose == demo ]]; then
		tests/cluster/cluster.sh build
		return
	fi
	tests/cluster/mysqld.sh build mysql-9.7 mysql-8.0 mariadb-10.11
	tests/cluster/cluster.sh old-mysql
	tests/cluster/s3-server.sh run -- true
	tests/cluster/api-server.sh build
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
if kill -0 "$builder" 2>/dev/null; then
	echo "waiting for what is built beside it:" >&2
	tail --lines=1 --follow --sleep-interval=0.2 --pid="$builder" "$log" >&2
fi
status=0
wait "$builder" || status=$?
builder=
((status == 0)) || {
	tail -n 40 "$log" >&2
	exit "$status"
}
echo "all that is started is built; waited $((SECONDS - began)) s more for it" >&2
