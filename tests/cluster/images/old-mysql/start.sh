#!/bin/bash
# Prepares an empty data folder and becomes the server. Statements in /accounts/accounts.sql, one a line, make the accounts.
set -euo pipefail
server=(/opt/mysql/bin/mysqld --no-defaults --basedir=/opt/mysql --datadir=/var/lib/mysql/data --socket=/tmp/mysqld.sock
	--pid-file=/tmp/mysqld.pid --secure-file-priv= --innodb-log-file-size=8M)
"${server[@]}" --initialize-insecure
exec "${server[@]}" --init-file=/accounts/accounts.sql "$@"
