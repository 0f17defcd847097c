# shellcheck shell=bash
# A root filesystem with MySQL 9.7 from Debian sid: what the cluster's MySQL image and the throw-away servers of the tests run from.

MYSQL_ROOT=$CACHE/mysql-9.7/root
MYSQL_EMPTY_DATA=$CACHE/mysql-9.7/empty-data

build_mysql_root() {
	[[ -d $MYSQL_EMPTY_DATA ]] && return 0
	need_root "making a root filesystem for MySQL"
	need_packages debootstrap=debootstrap
	[[ -d $MYSQL_ROOT ]] || step mysql-root "making a root filesystem with MySQL 9.7 (Debian sid)" bootstrap_mysql_root
	step mysql-data "initialising an empty data directory" initialise_empty_data
}

bootstrap_mysql_root() {
	local partial=$MYSQL_ROOT.partial
	rm -rf "$partial"
	mkdir -p "$partial"
	debootstrap --variant=minbase sid "$partial"
	# The host's way to the package archive (proxy, pinned settings) counts in there too.
	cp /etc/resolv.conf "$partial/etc/resolv.conf"
	cp -r /etc/apt/apt.conf.d/. "$partial/etc/apt/apt.conf.d/"
	printf '#!/bin/sh\nexit 101\n' >"$partial/usr/sbin/policy-rc.d"
	chmod +x "$partial/usr/sbin/policy-rc.d"
	# A mount namespace of its own: the mounts end with it, whatever happens.
	unshare --mount --propagation private bash -euc '
		mount -t proc proc "$1/proc"
		mount --rbind /dev "$1/dev"
		export DEBIAN_FRONTEND=noninteractive
		chroot "$1" apt-get -q -o Acquire::Check-Valid-Until=false update
		chroot "$1" apt-get -q -y install --no-install-recommends mysql-server mysql-client
	' bootstrap "$partial"
	rm -rf "$partial"/var/lib/apt/lists/* "$partial"/var/cache/apt/*.bin "$partial"/var/cache/apt/archives/*.deb \
		"$partial"/usr/share/{doc,man,locale,info} "$partial"/var/lib/mysql/* "$partial"/var/log/*.log "$partial"/usr/sbin/policy-rc.d
	mkdir -p "$partial/throw-away"
	mv "$partial" "$MYSQL_ROOT"
}

initialise_empty_data() {
	rm -rf "$MYSQL_EMPTY_DATA.partial" "$MYSQL_ROOT/throw-away/initialise"
	chroot "$MYSQL_ROOT" mysqld --no-defaults --initialize-insecure --user=mysql --datadir=/throw-away/initialise
	mv "$MYSQL_ROOT/throw-away/initialise" "$MYSQL_EMPTY_DATA.partial"
	# Each server makes an identity of its own when it starts.
	rm -f "$MYSQL_EMPTY_DATA.partial/auto.cnf"
	mv "$MYSQL_EMPTY_DATA.partial" "$MYSQL_EMPTY_DATA"
}
