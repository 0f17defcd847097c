#!/usr/bin/env bash
# Runs a command beside a throw-away MySQL on the loopback, from the same root filesystem as the cluster's image: for the SQL tests.
set -euo pipefail
export LC_ALL=C
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages rootfs process; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

usage() {
	cat <<-END
		usage: mysqld.sh run [--port-file FILE] [--option --NAME=VALUE]... -- COMMAND [ARGUMENT]...

		Starts MySQL $MYSQL_SERIES with an empty data folder on a free port of 127.0.0.1, runs COMMAND with
		HOLDFAST_TEST_MYSQL=mysql://root@127.0.0.1:PORT, stops the server, deletes the data and ends with COMMAND's exit status.

		  --port-file FILE        write the port there once the server answers
		  --option --NAME=VALUE   one more option for mysqld; may be repeated
	END
}

# Paths inside the root filesystem. The data lies outside of it, mounted in a namespace that only the server sees.
INSIDE=/run/mysqld
OPTIONS=(--no-defaults --user=mysql "--datadir=$INSIDE/data" --secure-file-priv=NULL --mysqlx=OFF)

# serve FOLDER OPTION...: becomes mysqld, with FOLDER in its place.
serve() {
	local folder=$1
	shift
	exec unshare --mount --propagation private bash -euc 'mount --bind "$1" "$2$3"; root=$2; shift 3; exec chroot "$root" mysqld "$@"' \
		serve "$folder" "$(rootfs mysql)" "$INSIDE" "${OPTIONS[@]}" "$@"
}

# Initialising takes seconds and its result is always the same: it is done once, and copied.
template() { echo "$(rootfs mysql).data"; }

make_template() {
	local folder
	folder=$(template)
	rm -rf "$folder.partial"
	install -d -m 0755 -o 999 -g 999 "$folder.partial"
	(serve "$folder.partial" --initialize-insecure)
	# Each server makes an identity of its own when it starts.
	rm -f "$folder.partial/data/auto.cnf"
	mv "$folder.partial" "$folder"
}

client() { chroot "$(rootfs mysql)" mysql --no-defaults --protocol=tcp --host=127.0.0.1 --port="$PORT" --user=root "$@"; }

# Whether it is our server that answers, and not another program that took the port in between.
answers() { [[ $(client --batch --skip-column-names --execute 'SELECT @@pid_file') == "$INSIDE/mysqld.$SERVER.pid" ]]; }

# Sets SERVER and PORT. Another program may take the port between choosing and binding: then the next one is tried.
start_server() {
	local attempt deadline
	for attempt in 1 2 3 4 5; do
		PORT=$(free_port 127.0.0.1 $((20000 + RANDOM % 10000)))
		cp -a --reflink=auto "$(template)/data" "$RUN/data"
		# In a session of its own: Ctrl-C reaches this script, which stops the server when the command has ended.
		(
			server=$BASHPID
			# Durability costs time and protects nothing here; --option comes later and wins.
			exec setsid "$BASH" "$CLUSTER_DIR/mysqld.sh" serve "$RUN" --bind-address=127.0.0.1 --port="$PORT" \
				--socket="$INSIDE/mysqld.sock" --pid-file="$INSIDE/mysqld.$server.pid" --innodb-buffer-pool-size=512M \
				--innodb-flush-log-at-trx-commit=2 --sync-binlog=0 "${SERVER_OPTIONS[@]}"
		) >"$RUN/mysqld.log" 2>&1 </dev/null &
		SERVER=$!
		deadline=$((SECONDS + 60))
		while kill -0 "$SERVER" 2>/dev/null; do
			! answers 2>/dev/null || return 0
			((SECONDS < deadline)) || {
				tail -n 20 "$RUN/mysqld.log" >&2
				die "waited 60 s for MySQL to answer on 127.0.0.1:$PORT; its last messages are above"
			}
			sleep 0.1
		done
		grep -q "port: $PORT.*Address already in use\|Do you already have another mysqld server running on port" "$RUN/mysqld.log" || break
		rm -rf "$RUN/data"
	done
	tail -n 20 "$RUN/mysqld.log" >&2
	die "MySQL did not start (attempt $attempt); its last messages are above"
}

COMMAND=
SERVER=
RUN=

# Whatever happened: the command is told to end, the server is stopped, the data is removed.
clean() {
	local status=$? deadline=$((SECONDS + 20))
	trap '' INT TERM HUP
	[[ -z $COMMAND ]] || {
		kill -TERM "$COMMAND" 2>/dev/null || true
		wait "$COMMAND" 2>/dev/null || true
	}
	if [[ -n $SERVER ]]; then
		# Nothing of the data is kept, so there is nothing to flush.
		kill -KILL "$SERVER" 2>/dev/null || true
		wait "$SERVER" 2>/dev/null || true
	fi
	while [[ -n $RUN ]] && ! rm -rf "$RUN" 2>/dev/null; do
		((SECONDS < deadline)) || die "waited 20 s to remove $RUN"
		sleep 0.1
	done
	exit "$status"
}

run() {
	local port_file='' status=0
	SERVER_OPTIONS=()
	while (($# > 0)); do
		case $1 in
		--port-file) port_file=${2:?--port-file needs a FILE} && shift 2 ;;
		--option) SERVER_OPTIONS+=("${2:?--option needs an option of mysqld}") && shift 2 ;;
		--) shift && break ;;
		*) die "unknown argument $1; put -- before the command (mysqld.sh help)" ;;
		esac
	done
	(($# > 0)) || die "no command is given (mysqld.sh help)"
	need_root "mysqld.sh"
	lock_cache
	need_packages /usr/sbin/debootstrap=debootstrap
	build_rootfs mysql "making a root filesystem of Debian sid with MySQL $MYSQL_SERIES"
	check_mysql_version
	[[ -d $(template) ]] || step mysql-template "initialising an empty MySQL data folder" make_template
	unlock_cache
	trap clean EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mkdir -p "$CACHE/mysqld"
	RUN=$(mktemp -d "$CACHE/mysqld/run.XXXXXX")
	chmod 0755 "$RUN"
	chown 999:999 "$RUN"
	start_server
	[[ -z $port_file ]] || echo "$PORT" >"$port_file"
	# In the background, so that a signal is handled at once; with the caller's standard input.
	HOLDFAST_TEST_MYSQL=mysql://root@127.0.0.1:$PORT "$@" <&0 &
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
