#!/bin/bash
# Prepares an empty data directory as the official mysql image does, then becomes the server. Understood: MYSQL_ROOT_PASSWORD,
# MYSQL_DATABASE, MYSQL_USER, MYSQL_PASSWORD (each also as NAME_FILE), MYSQL_ALLOW_EMPTY_PASSWORD, MYSQL_ROOT_HOST and
# /docker-entrypoint-initdb.d/*.sql. What else the official image knows is refused.
set -euo pipefail

DATA=/var/lib/mysql
# Its presence means that preparing was interrupted. mysqld --initialize overlooks names that begin with a dot.
UNFINISHED=$DATA/.holdfast-initialising
SOCKET=/var/run/mysqld/initialising.sock

die() {
	echo "docker-entrypoint.sh: $*" >&2
	exit 1
}

# The value of a variable, or the content of the file that NAME_FILE names.
setting() {
	local name=$1 file=${1}_FILE
	[[ -z ${!name:-} || -z ${!file:-} ]] || die "both $name and $file are set: choose one"
	if [[ -n ${!file:-} ]]; then
		printf '%s' "$(<"${!file}")"
	else
		printf '%s' "${!name:-}"
	fi
}

quoted() {
	local text=${1//\\/\\\\}
	printf "'%s'" "${text//\'/\'\'}"
}

identifier() { printf '`%s`' "${1//\`/\`\`}"; }

# Statements that make the accounts and the database. They go to the client's standard input, never into its arguments.
accounts() {
	local root=$1 database user password host=${MYSQL_ROOT_HOST-%}
	database=$(setting MYSQL_DATABASE)
	user=$(setting MYSQL_USER)
	password=$(setting MYSQL_PASSWORD)
	# Password literals must mean the same whatever sql_mode the server's arguments set.
	echo "SET @@SESSION.sql_mode = '', @@SESSION.sql_log_bin = OFF;"
	[[ -z $host || $host == localhost ]] || {
		echo "CREATE USER 'root'@$(quoted "$host") IDENTIFIED BY $(quoted "$root");"
		echo "GRANT ALL ON *.* TO 'root'@$(quoted "$host") WITH GRANT OPTION;"
	}
	[[ -z $database ]] || echo "CREATE DATABASE IF NOT EXISTS $(identifier "$database");"
	if [[ -n $user ]]; then
		[[ -n $password ]] || die "MYSQL_USER is set without MYSQL_PASSWORD"
		echo "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$password");"
		[[ -z $database ]] || echo "GRANT ALL ON $(identifier "${database//_/\\_}").* TO $(quoted "$user")@'%';"
	fi
	echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$root");"
}

prepare() {
	local root file server deadline=$((SECONDS + 120)) options=(--protocol=socket --socket="$SOCKET" --user=root)
	root=$(setting MYSQL_ROOT_PASSWORD)
	[[ -n $root || -n ${MYSQL_ALLOW_EMPTY_PASSWORD:-} ]] ||
		die "the data directory is empty and no root password is given: set MYSQL_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD_FILE"
	[[ -z ${MYSQL_RANDOM_ROOT_PASSWORD:-}${MYSQL_ONETIME_PASSWORD:-} ]] ||
		die "MYSQL_RANDOM_ROOT_PASSWORD and MYSQL_ONETIME_PASSWORD are not supported by this image"
	touch "$UNFINISHED"
	"$@" --initialize-insecure
	"$@" --skip-networking --socket="$SOCKET" --pid-file=/var/run/mysqld/initialising.pid &
	server=$!
	until mysql "${options[@]}" --execute "SELECT 1" >/dev/null 2>&1; do
		kill -0 "$server" 2>/dev/null || die "the server ended while it was prepared; its messages are above"
		((SECONDS < deadline)) || die "waited 120 s for the server to accept connections on $SOCKET"
		sleep 0.2
	done
	for file in /docker-entrypoint-initdb.d/*; do
		[[ -e $file ]] || continue
		[[ $file == *.sql ]] || die "$file: only *.sql is supported by this image"
		echo "docker-entrypoint.sh: running $file"
		# The official image makes the database before the files run, and they start in it.
		if [[ -n $(setting MYSQL_DATABASE) ]]; then
			{
				echo "CREATE DATABASE IF NOT EXISTS $(identifier "$(setting MYSQL_DATABASE)"); USE $(identifier "$(setting MYSQL_DATABASE)");"
				cat "$file"
			} | mysql "${options[@]}"
		else
			mysql "${options[@]}" <"$file"
		fi
	done
	# Last, because it ends root's access without a password.
	accounts "$root" | mysql "${options[@]}"
	kill -TERM "$server"
	wait "$server"
	rm -f "$UNFINISHED"
}

[[ ${1:-} != -* ]] || set -- mysqld "$@"
[[ ${1:-} == mysqld ]] || exec "$@"

if [[ -e $UNFINISHED ]]; then
	echo "docker-entrypoint.sh: an earlier start was interrupted while it prepared $DATA; beginning again"
	find "$DATA" -mindepth 1 -maxdepth 1 ! -path "$UNFINISHED" ! -name lost+found -exec rm -rf {} +
fi
if [[ -e $UNFINISHED || ! -d $DATA/mysql ]]; then
	prepare "$@"
fi
unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec "$@"
