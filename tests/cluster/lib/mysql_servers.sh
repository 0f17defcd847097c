# shellcheck shell=bash
# The kinds of server that SQL tests run on: which root filesystem, program and options each has, and how its data folder begins.

# What `mysqld.sh run --server` takes.
SERVER_KINDS=(mysql-9.7 mysql-9.7-native mysql-8.0 mariadb-10.11 mysql-9.7-replicated mysql-9.7-lower-case)

# Paths inside the root filesystem. The data lies outside of it, mounted in a namespace that only the server sees.
INSIDE=/run/mysqld

# rootfs_of KIND: the name of the recipe in rootfs.sh.
rootfs_of() {
	case $1 in
	mysql-8.0) echo mysql80 ;;
	mariadb-*) echo mariadb ;;
	*) echo mysql ;;
	esac
}

# options_of KIND: sets OPTIONS to what a server of this kind always gets, for initialising its data, too.
options_of() {
	OPTIONS=(--no-defaults --user=mysql "--datadir=$INSIDE/data")
	[[ $1 == mariadb-* ]] || OPTIONS+=(--secure-file-priv=NULL --mysqlx=OFF)
	# Binary logs are named after the host otherwise, and MariaDB has none unasked.
	[[ $1 != mariadb-* ]] || OPTIONS+=(--log-bin=binlog --binlog-format=ROW --plugin-load-add=metadata_lock_info)
	# Its OpenSSL 1.0.2 offers no cipher that rustls takes, so the tests do without TLS, and without TLS the newer plugin wants RSA.
	[[ $1 != mysql-8.0 ]] || OPTIONS+=(--default-authentication-plugin=mysql_native_password)
	# As Debian's own configuration says.
	[[ $1 != mariadb-* ]] || OPTIONS+=(--character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci)
	[[ $1 != mysql-9.7-native ]] || OPTIONS+=(--innodb-native-foreign-keys=ON)
	[[ $1 != *-lower-case ]] || OPTIONS+=(--lower-case-table-names=1)
	[[ $1 != mysql-9.7-replicated ]] || OPTIONS+=(--gtid-mode=ON --enforce-gtid-consistency=ON)
}

# need_server KIND: builds what a server of this kind needs. The cache must be locked.
need_server() {
	local recipe
	recipe=$(rootfs_of "$1")
	need_packages /usr/sbin/debootstrap=debootstrap
	case $recipe in
	mysql80)
		need_maven_packages
		build_rootfs mysql80 "making a root filesystem with MySQL 8.0 from its Maven artifact"
		;;
	mariadb)
		need_packages /usr/bin/openssl=openssl
		build_rootfs mariadb "making a root filesystem of Debian bookworm with MariaDB"
		;;
	mysql)
		build_rootfs mysql "making a root filesystem of Debian sid with MySQL $MYSQL_SERIES"
		check_mysql_version
		;;
	esac
	[[ -d $(template "$1") ]] || step "$recipe-template" "initialising an empty data folder of $recipe" make_template "$1"
}

# within FOLDER ROOT PROGRAM OPTION...: becomes a program of a root filesystem, with FOLDER in the place of INSIDE.
within() {
	local folder=$1 root=$2
	shift 2
	exec unshare --mount --propagation private bash -euc 'mount --bind "$1" "$2$3"; root=$2; shift 3; exec chroot "$root" "$@"' \
		within "$folder" "$root" "$INSIDE" "$@"
}

# serve KIND FOLDER OPTION...: becomes the server, with its data in FOLDER.
serve() {
	local kind=$1 folder=$2 program=mysqld
	shift 2
	options_of "$kind"
	[[ $kind != mariadb-* ]] || program=mariadbd
	within "$folder" "$(rootfs "$(rootfs_of "$kind")")" "$program" "${OPTIONS[@]}" "$@"
}

# Initialising takes seconds and its result is always the same: it is done once, and copied.
template() {
	local of=
	# How names are kept is decided when the data folder begins.
	[[ $1 != *-lower-case ]] || of=.lower-case
	echo "$(rootfs "$(rootfs_of "$1")")$of.data"
}

make_template() {
	local kind=$1 folder
	folder=$(template "$kind")
	rm -rf "$folder.partial"
	install -d -m 0755 -o 999 -g 999 "$folder.partial"
	if [[ $kind == mariadb-* ]]; then
		(within "$folder.partial" "$(rootfs mariadb)" mariadb-install-db --no-defaults --user=mysql "--datadir=$INSIDE/data" \
			--auth-root-authentication-method=normal --skip-test-db --force)
		# MySQL makes itself a certificate when it starts; MariaDB does not.
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=throw-away -days 3650 \
			-keyout "$folder.partial/data/server-key.pem" -out "$folder.partial/data/server-cert.pem"
		chown 999:999 "$folder.partial"/data/server-*.pem
	else
		kind=${kind%-native}
		(serve "${kind%-replicated}" "$folder.partial" --initialize-insecure)
		# Each server makes an identity of its own when it starts.
		rm -f "$folder.partial/data/auto.cnf"
	fi
	mv "$folder.partial" "$folder"
}

# client KIND PORT ARGUMENT...
client() {
	local kind=$1 port=$2
	shift 2
	chroot "$(rootfs "$(rootfs_of "$kind")")" mysql --no-defaults --protocol=tcp --host=127.0.0.1 --port="$port" --user=root "$@"
}

# answers KIND PORT PROCESS: whether it is our server that answers, and not another program that took the port in between.
answers() { [[ $(client "$1" "$2" --batch --skip-column-names --execute 'SELECT @@pid_file') == "$INSIDE/mysqld.$3.pid" ]]; }

# launch KIND FOLDER PORT OPTION...: starts the server on the data in FOLDER and adds it to SERVERS; fails where it ends before it
# answers.
launch() {
	local kind=$1 folder=$2 port=$3 deadline=$((SECONDS + 60)) server tls=()
	shift 3
	[[ $kind != mariadb-* ]] || tls=("--ssl-cert=$INSIDE/data/server-cert.pem" "--ssl-key=$INSIDE/data/server-key.pem")
	# In a session of its own: Ctrl-C reaches this script, which stops the server when the command has ended.
	(
		server=$BASHPID
		# What is committed survives the death of the server, not of the machine, which would cost time and protect nothing here;
		# --option comes later and wins. The statistics of statements have room for those of every test, which never meet again.
		exec setsid "$BASH" "$CLUSTER_DIR/mysqld.sh" serve "$kind" "$folder" --bind-address=127.0.0.1 --port="$port" \
			--socket="$INSIDE/mysqld.sock" --pid-file="$INSIDE/mysqld.$server.pid" --innodb-buffer-pool-size=512M \
			--innodb-flush-log-at-trx-commit=2 --sync-binlog=0 --performance-schema-digests-size=50000 "${tls[@]}" "$@"
	) >"$folder/mysqld.log" 2>&1 </dev/null &
	server=$!
	SERVERS+=("$server")
	while kill -0 "$server" 2>/dev/null; do
		! answers "$kind" "$port" "$server" 2>/dev/null || return 0
		((SECONDS < deadline)) || {
			tail -n 20 "$folder/mysqld.log" >&2
			die "waited 60 s for $kind to answer on 127.0.0.1:$port; its last messages are above"
		}
		sleep 0.1
	done
	return 1
}

# start_server KIND FOLDER OPTION...: sets PORT and adds to SERVERS. Another program may take the port between choosing and
# binding: then the next one is tried.
start_server() {
	local kind=$1 folder=$2 attempt
	shift 2
	mkdir -p "$folder"
	chown 999:999 "$folder"
	for attempt in 1 2 3 4 5; do
		PORT=$(free_port 127.0.0.1 $((20000 + RANDOM % 10000)))
		cp -a --reflink=auto "$(template "$kind")/data" "$folder/data"
		! launch "$kind" "$folder" "$PORT" "$@" || return 0
		unset 'SERVERS[-1]'
		grep -q "port: $PORT.*Address already in use\|Do you already have another .* server running on port" "$folder/mysqld.log" || break
		rm -rf "$folder/data"
	done
	tail -n 20 "$folder/mysqld.log" >&2
	die "$kind did not start (attempt $attempt); its last messages are above"
}

# url_of KIND PORT: how the tests log in.
url_of() {
	case $1 in
	mysql-8.0) echo "mysql://tester:throw-away@127.0.0.1:$2?ssl-mode=DISABLED" ;;
	mariadb-*) echo "mysql://tester:throw-away@127.0.0.1:$2" ;;
	*) echo "mysql://root@127.0.0.1:$2" ;;
	esac
}

# make_account KIND PORT: the account in url_of. The older plugin cannot be given an empty password by every client.
make_account() {
	[[ $(url_of "$1" "$2") == *//tester:* ]] || return 0
	client "$1" "$2" --execute "CREATE USER tester IDENTIFIED BY 'throw-away'; GRANT ALL ON *.* TO tester WITH GRANT OPTION"
}

# replicate SOURCE_PORT REPLICA_PORT LOG: makes the second server follow the first by GTID, and waits until it does.
replicate() {
	local source=$1 replica=$2 log=$3
	client mysql-9.7 "$source" --execute "CREATE USER replicator IDENTIFIED BY 'throw-away'; GRANT REPLICATION SLAVE ON *.* TO replicator"
	client mysql-9.7 "$replica" --execute "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = $source,
		SOURCE_USER = 'replicator', SOURCE_PASSWORD = 'throw-away', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1;
		START REPLICA; SET GLOBAL super_read_only = ON"
	wait_until 60 "the replica on 127.0.0.1:$replica to follow its source" "$log" follows "$source" "$replica"
}

follows() {
	local gtids
	gtids=$(client mysql-9.7 "$1" --batch --skip-column-names --raw --execute 'SELECT @@gtid_executed')
	[[ $(client mysql-9.7 "$2" --batch --skip-column-names --execute "SELECT GTID_SUBSET('${gtids//$'\n'/}', @@gtid_executed)
		AND (SELECT COUNT(*) = 1 FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'ON')
		AND (SELECT COUNT(*) = 1 FROM performance_schema.replication_applier_status WHERE SERVICE_STATE = 'ON')") == 1 ]]
}
