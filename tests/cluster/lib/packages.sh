# shellcheck shell=bash
# The Debian packages that the local servers need. Their services are never started: each part starts what it needs itself.

# need_packages COMMAND=PACKAGE...: installs the packages whose command is missing.
need_packages() {
	local missing=() pair
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	((${#missing[@]})) || return 0
	need_root "installing ${missing[*]}"
	command -v apt-get >/dev/null || die "missing: ${missing[*]}. Install them with your distribution's package manager."
	step packages "installing ${missing[*]}" install_packages "${missing[@]}"
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	# RUNLEVEL tells the packages' own scripts that this is no time to start services.
	export RUNLEVEL=1
	apt-get update -q
	apt-get install -q -y --no-install-recommends "$@"
}
