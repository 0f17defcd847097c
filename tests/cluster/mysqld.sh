#!/usr/bin/env bash
# Runs a command beside a throw-away MySQL 9.7 on loopback, and leaves neither server nor data behind.
#
#   mysqld.sh run [--option MYSQLD_OPTION]... -- COMMAND...
#
# COMMAND finds the server in HOLDFAST_TEST_MYSQL (mysql://root@127.0.0.1:PORT).
set -euo pipefail
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CLUSTER_DIR/lib/common.sh"
. "$CLUSTER_DIR/lib/packages.sh"
. "$CLUSTER_DIR/lib/processes.sh"
. "$CLUSTER_DIR/lib/mysql_root.sh"

START_LIMIT=60

usage() { die "usage: mysqld.sh run [--option MYSQLD_OPTION]... -- COMMAND..."; }

[[ ${1:-} == run ]] || usage
shift
options=()
while [[ ${1:-} != -- ]]; do
	[[ ${1:-} == --option && $# -ge 2 ]] || usage
	options+=("$2")
	shift 2
done
shift
(($#)) || usage

need_root "running a server from its own root filesystem"
build_mysql_root

name=server-$$
data=$MYSQL_ROOT/throw-away/$name
log=$data.log
server=
command=

stop_all() {
	trap - EXIT
	stop_process "the command" "$command"
	stop_process MySQL "$server"
	rm -rf "$data" "$log"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port=$(free_port)
cp -a "$MYSQL_EMPTY_DATA" "$data"
setsid chroot "$MYSQL_ROOT" mysqld --no-defaults --user=mysql --datadir="/throw-away/$name" --port="$port" --bind-address=127.0.0.1 \
	--socket="/throw-away/$name/mysqld.sock" --pid-file="/throw-away/$name/mysqld.pid" --mysqlx=OFF --secure-file-priv=NULL \
	--innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=2 ${options[@]+"${options[@]}"} >"$log" 2>&1 </dev/null &
server=$!

answers_or_ended() {
	! kill -0 "$server" || chroot "$MYSQL_ROOT" mysqladmin --no-defaults --user=root --socket="/throw-away/$name/mysqld.sock" ping
}
wait_until "$START_LIMIT" "MySQL to answer on 127.0.0.1:$port" "$log" answers_or_ended
kill -0 "$server" 2>/dev/null || die "MySQL ended while it started: $(tail -n 3 "$log")"

export HOLDFAST_TEST_MYSQL=mysql://root@127.0.0.1:$port
"$@" &
command=$!
status=0
wait "$command" || status=$?
exit "$status"
