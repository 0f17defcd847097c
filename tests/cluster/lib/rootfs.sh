# shellcheck shell=bash
# Root filesystems made with debootstrap: Debian stable for the operator's image and for MariaDB, Debian unstable for MySQL 9.7.

# shellcheck source=/dev/null
. "$CLUSTER_DIR/lib/maven_server.sh"

DEBIAN_MIRROR=${HOLDFAST_DEBIAN_MIRROR:-http://deb.debian.org/debian}
MYSQL_SERIES=9.7

# What recipes are made of, beside debian_rootfs and slim.
declare -A RECIPE_PARTS=([mysql80]="maven_artifact maven_server_rootfs")

# A root filesystem's folder is named after the recipe that makes it.
rootfs() {
	echo "$CACHE/rootfs/$1-$({
		# shellcheck disable=SC2086 # several names
		declare -f "fill_$1" debian_rootfs slim ${RECIPE_PARTS[$1]:-}
		echo "$DEBIAN_MIRROR"
	} | sha256sum | cut -c1-16)"
}

debian_rootfs() {
	local suite=$1 folder=$2
	shift 2
	debootstrap --variant=minbase --merged-usr "$@" "$suite" "$folder" "$DEBIAN_MIRROR"
}

# What no container needs.
slim() {
	rm -rf "$1"/usr/share/{doc,man,info,locale,lintian,bash-completion}/* "$1"/var/cache/{apt,debconf,ldconfig,man}/* \
		"$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/tmp/* "$1"/usr/sbin/policy-rc.d "$1"/debootstrap
}

fill_base() {
	debian_rootfs bookworm "$1" --include=ca-certificates
	slim "$1"
}

fill_mysql() {
	debian_rootfs sid "$1"
	printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
	chmod 0755 "$1/usr/sbin/policy-rc.d"
	# The user and group numbers of the official image, so that the same manifests fit both.
	chroot "$1" groupadd --system --gid 999 mysql
	chroot "$1" useradd --system --uid 999 --gid 999 --home-dir /var/lib/mysql --shell /usr/sbin/nologin mysql
	mount -t proc proc "$1/proc"
	# Unstable's Release file may be older than it claims to be valid on a mirror that is a snapshot.
	DEBIAN_FRONTEND=noninteractive chroot "$1" sh -ec '
		apt-get -o Acquire::Check-Valid-Until=false update
		apt-get -o Acquire::Check-Valid-Until=false install --yes --no-install-recommends mysql-server mysql-client'
	umount "$1/proc"
	slim "$1"
	# Tools and client plugins of 7 MB each that no server, and no job of ours, uses: an image that is imported at each start is small.
	rm -f "$1"/usr/bin/{perror,myisam*,innochecksum,ibd2sdi,my_print_defaults,mysql_*,mysqlcheck,mysqlimport,mysqlshow,mysqlslap} \
		"$1"/usr/lib/mysql/plugin/{telemetry_client,authentication_*_client,group_replication}.so
	rm -rf "$1"/usr/share/{i18n,perl,mysql-*} "$1"/var/lib/mysql "$1"/var/lib/mysql-files "$1"/etc/mysql
	install -d -m 0750 -o 999 -g 999 "$1/var/lib/mysql" "$1/var/lib/mysql-files" "$1/run/mysqld"
	install -d "$1/docker-entrypoint-initdb.d" "$1/etc/mysql"
}

fill_mariadb() {
	debian_rootfs bookworm "$1" --include=mariadb-server-core,mariadb-client-core
	chroot "$1" groupadd --system --gid 999 mysql
	chroot "$1" useradd --system --uid 999 --gid 999 --home-dir /var/lib/mysql --shell /usr/sbin/nologin mysql
	# The whole server's package would bring Perl and a service; of it only the plugin that shows metadata locks is used.
	chroot "$1" sh -ec 'cd /tmp
		apt-get --option APT::Sandbox::User=root download mariadb-server
		dpkg-deb --fsys-tarfile mariadb-server_*.deb | tar --extract --directory / ./usr/lib/mysql/plugin/metadata_lock_info.so'
	slim "$1"
	install -d -m 0750 -o 999 -g 999 "$1/var/lib/mysql" "$1/run/mysqld"
}

# Runs in a mount namespace of its own: whatever a broken installation leaves mounted vanishes with it.
make_rootfs() {
	local name=$1 folder
	folder=$(rootfs "$name")
	# debootstrap and apt in the new root see the environment only, so a proxy that apt is configured with is handed on.
	eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
	[[ -z ${http_proxy:-} ]] || export http_proxy
	rm -rf "$folder.partial"
	mkdir -p "$folder.partial"
	"fill_$name" "$folder.partial"
	mv "$folder.partial" "$folder"
}

build_rootfs() {
	local name=$1 description=$2
	[[ -d $(rootfs "$name") ]] || step "rootfs-$name" "$description" unshare --mount --propagation private \
		bash -euo pipefail -c 'CLUSTER_DIR=$1; . "$1/lib/common.sh"; . "$1/lib/rootfs.sh"; make_rootfs "$2"' rootfs "$CLUSTER_DIR" "$name"
}

check_mysql_version() {
	local version
	version=$(chroot "$(rootfs mysql)" mysqld --version)
	[[ $version == *" $MYSQL_SERIES."* ]] || die "the suite sid of $DEBIAN_MIRROR carries \"$version\", not MySQL $MYSQL_SERIES. Set" \
		"HOLDFAST_DEBIAN_MIRROR to a mirror or a snapshot that has it (https://snapshot.debian.org)."
}
