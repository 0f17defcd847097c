#!/usr/bin/env bash
# Runs a command beside a throw-away MySQL or MariaDB on the loopback: for the SQL tests. MySQL 9.7 comes from the same root
# filesystem as the cluster's image.
set -euo pipefail
export LC_ALL=C
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages rootfs process mysql_servers; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

usage() {
	cat <<-END
		usage: mysqld.sh run [--server KIND] [--port-file FILE] [--option --NAME=VALUE]... -- COMMAND [ARGUMENT]...

		Starts a server with an empty data folder on a free port of 127.0.0.1, runs COMMAND with
		HOLDFAST_TEST_MYSQL=mysql://USER[:PASSWORD]@127.0.0.1:PORT[?ssl-mode=DISABLED] and HOLDFAST_TEST_SERVER=KIND, stops the
		server, deletes the data and ends with COMMAND's exit status. A replica is in HOLDFAST_TEST_REPLICA, in the same form.

		  --server KIND           ${SERVER_KINDS[*]}
		                          (default: ${SERVER_KINDS[0]}; native: InnoDB enforces foreign keys, as in 8.0 and 8.4)
		  --port-file FILE        write the port there once the server answers
		  --option --NAME=VALUE   one more option for mysqld; may be repeated
	END
}

COMMAND=
SERVERS=()
RUN=

# Whatever happened: the command is told to end, the server is stopped, the data is removed.
clean() {
	local status=$? deadline=$((SECONDS + 20)) server
	trap '' INT TERM HUP
	[[ -z $COMMAND ]] || {
		kill -TERM "$COMMAND" 2>/dev/null || true
		wait "$COMMAND" 2>/dev/null || true
	}
	# Nothing of the data is kept, so there is nothing to flush.
	for server in "${SERVERS[@]}"; do
		kill -KILL "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	done
	while [[ -n $RUN ]] && ! rm -rf "$RUN" 2>/dev/null; do
		((SECONDS < deadline)) || die "waited 20 s to remove $RUN"
		sleep 0.1
	done
	exit "$status"
}

run() {
	local kind=${SERVER_KINDS[0]} port_file='' status=0 options=() port
	while (($# > 0)); do
		case $1 in
		--server) kind=${2:?--server needs a KIND} && shift 2 ;;
		--port-file) port_file=${2:?--port-file needs a FILE} && shift 2 ;;
		--option) options+=("${2:?--option needs an option of mysqld}") && shift 2 ;;
		--) shift && break ;;
		*) die "unknown argument $1; put -- before the command (mysqld.sh help)" ;;
		esac
	done
	(($# > 0)) || die "no command is given (mysqld.sh help)"
	[[ " ${SERVER_KINDS[*]} " == *" $kind "* ]] || die "there is no kind of server $kind, only: ${SERVER_KINDS[*]}"
	need_root "mysqld.sh"
	lock_cache
	need_server "$kind"
	unlock_cache
	trap clean EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mkdir -p "$CACHE/mysqld"
	RUN=$(mktemp -d "$CACHE/mysqld/run.XXXXXX")
	chmod 0755 "$RUN"
	chown 999:999 "$RUN"
	start_server "$kind" "$RUN/server" --server-id=1 "${options[@]}"
	port=$PORT
	if [[ $kind == *-replicated ]]; then
		start_server "$kind" "$RUN/replica" --server-id=2 "${options[@]}"
		replicate "$port" "$PORT" "$RUN/replica/mysqld.log"
		HOLDFAST_TEST_REPLICA=$(url_of "$kind" "$PORT")
		export HOLDFAST_TEST_REPLICA
	fi
	make_account "$kind" "$port"
	[[ -z $port_file ]] || echo "$port" >"$port_file"
	# In the background, so that a signal is handled at once; with the caller's standard input.
	HOLDFAST_TEST_SERVER=$kind HOLDFAST_TEST_MYSQL=$(url_of "$kind" "$port") "$@" <&0 &
	COMMAND=$!
	wait "$COMMAND" || status=$?
	COMMAND=
	exit "$status"
}

command=${1:-}
shift || true
case $command in
run | serve) "$command" "$@" ;;
help | --help | -h) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
