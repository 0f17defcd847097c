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
		usage: mysqld.sh run [--server KIND] [--port-file FILE] [--option --NAME=VALUE]... [--restartable] -- COMMAND [ARGUMENT]...
		       mysqld.sh build KIND...

		build only makes what servers of these kinds need. run:
		Starts a server with an empty data folder on a free port of 127.0.0.1, runs COMMAND with
		HOLDFAST_TEST_MYSQL=mysql://USER[:PASSWORD]@127.0.0.1:PORT[?ssl-mode=DISABLED], HOLDFAST_TEST_SERVER=KIND and
		HOLDFAST_TEST_ROOT=FOLDER (the root filesystem with its programs), stops the server, deletes the data and ends with
		COMMAND's exit status. A replica is in HOLDFAST_TEST_REPLICA, in the same form.

		  --server KIND           ${SERVER_KINDS[*]}
		                          (default: ${SERVER_KINDS[0]}; native: InnoDB enforces foreign keys, as in 8.0 and 8.4)
		  --port-file FILE        write the port there once the server answers
		  --option --NAME=VALUE   one more option for mysqld; may be repeated
		  --restartable           give COMMAND a command of bash in HOLDFAST_TEST_RESTART: it kills the server (SIGKILL; not its
		                          replica), starts it on the same data and port, and returns once it answers
	END
}

# Kills the server and starts it again, because `restart` asked for it. Its arguments are those of launch.
restart_server() {
	local server=${SERVERS[0]}
	INTERRUPTED=yes
	kill -KILL "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	SERVERS=("${SERVERS[@]:1}")
	launch "$@" || {
		tail -n 20 "$2/mysqld.log" >&2
		die "the server did not start again on 127.0.0.1:$3; its last messages are above"
	}
	# The first is the one that is restarted.
	SERVERS=("${SERVERS[-1]}" "${SERVERS[@]:0:${#SERVERS[@]}-1}")
	touch "$RUN/restarted"
}

# restart FOLDER: has the script that runs the server in FOLDER do so.
restart() {
	local folder=${1:?restart needs the FOLDER of a running server} runner deadline=$((SECONDS + 90))
	runner=$(<"$folder/runner")
	rm -f "$folder/restarted"
	kill -USR1 "$runner"
	while [[ ! -e $folder/restarted ]]; do
		kill -0 "$runner" 2>/dev/null || die "the script that runs the server is gone"
		((SECONDS < deadline)) || die "waited 90 s for the server to start again"
		sleep 0.02
	done
}

COMMAND=
SERVERS=()
RUN=
INTERRUPTED=

# The exit status of the command, however often a restart interrupts the waiting.
wait_for_command() {
	local status
	while :; do
		INTERRUPTED=
		status=0
		wait "$COMMAND" || status=$?
		[[ -n $INTERRUPTED ]] || return "$status"
	done
}

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

# build KIND...: what servers of these kinds need.
build() {
	local kind
	need_root "mysqld.sh"
	trap 'stop_step; exit 130' INT
	trap 'stop_step; exit 143' TERM HUP
	lock_cache
	for kind in "$@"; do
		need_server "$kind"
	done
	unlock_cache
}

run() {
	local kind=${SERVER_KINDS[0]} port_file='' restartable='' status=0 options=() port
	while (($# > 0)); do
		case $1 in
		--server) kind=${2:?--server needs a KIND} && shift 2 ;;
		--port-file) port_file=${2:?--port-file needs a FILE} && shift 2 ;;
		--option) options+=("${2:?--option needs an option of mysqld}") && shift 2 ;;
		--restartable) restartable=yes && shift ;;
		--) shift && break ;;
		*) die "unknown argument $1; put -- before the command (mysqld.sh help)" ;;
		esac
	done
	(($# > 0)) || die "no command is given (mysqld.sh help)"
	[[ " ${SERVER_KINDS[*]} " == *" $kind "* ]] || die "there is no kind of server $kind, only: ${SERVER_KINDS[*]}"
	build "$kind"
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
	if [[ -n $restartable ]]; then
		echo "$$" >"$RUN/runner"
		trap 'restart_server "$kind" "$RUN/server" "$port" --server-id=1 "${options[@]}"' USR1
		printf -v HOLDFAST_TEST_RESTART '%q restart %q' "$CLUSTER_DIR/mysqld.sh" "$RUN"
		export HOLDFAST_TEST_RESTART
	fi
	# In the background, so that a signal is handled at once; with the caller's standard input.
	HOLDFAST_TEST_SERVER=$kind HOLDFAST_TEST_ROOT=$(rootfs "$(rootfs_of "$kind")") HOLDFAST_TEST_MYSQL=$(url_of "$kind" "$port") \
		"$@" <&0 &
	COMMAND=$!
	wait_for_command || status=$?
	COMMAND=
	exit "$status"
}

command=${1:-}
shift || true
case $command in
build | run | serve | restart) "$command" "$@" ;;
help | --help | -h) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
