# shellcheck shell=bash
# The Debian packages that the cluster needs. Only missing ones are installed, and no service of theirs is ever started.

# What the cluster needs: a file that must exist, and the package that brings it.
CLUSTER_PACKAGES=(
	/usr/bin/jq=jq
	/usr/bin/openssl=openssl
	/usr/bin/flock=util-linux
	/usr/bin/make=make
	/usr/bin/gcc=gcc
	/usr/include/stdio.h=libc6-dev
	/usr/bin/curl=curl
	/bin/ip=iproute2
	/sbin/sysctl=procps
	/usr/sbin/nft=nftables
	/usr/sbin/conntrack=conntrack
	/usr/sbin/runc=runc
	/usr/lib/cni/bridge=containernetworking-plugins
	/usr/bin/buildah=buildah
	/usr/sbin/debootstrap=debootstrap
	/etc/ssl/certs/ca-certificates.crt=ca-certificates
)

install_packages() {
	local guard=/usr/sbin/policy-rc.d made=
	# Debian's own switch against starting services while installing; removed again, whatever happens.
	if [[ ! -e $guard ]]; then
		made=$guard
		printf '#!/bin/sh\nexit 101\n' >"$guard"
		chmod 0755 "$guard"
	fi
	trap '[[ -z '"'$made'"' ]] || rm -f '"'$made'" EXIT
	export DEBIAN_FRONTEND=noninteractive
	# A source of this machine that does not answer must not stop us: the installation itself then decides.
	apt-get update || echo "apt-get update had errors; trying with the lists that there are"
	apt-get install --yes --no-install-recommends "$@"
}

# need_packages FILE=PACKAGE...: installs the packages whose file is missing. Other versions of Debian have some of them in other
# folders: what is found on the PATH is there, too.
need_packages() {
	local entry file missing=()
	for entry in "$@"; do
		file=${entry%%=*}
		[[ -e $file ]] || command -v "${file##*/}" >/dev/null || missing+=("${entry#*=}")
	done
	((${#missing[@]} > 0)) || return 0
	need_root "installing ${missing[*]}"
	command -v apt-get >/dev/null ||
		die "these are missing: ${missing[*]} (Debian package names); without apt-get they must be installed by hand"
	step packages "installing Debian packages: ${missing[*]}" install_packages "${missing[@]}"
}
