# shellcheck shell=bash
# Folders, messages, timing and bounded waiting: what every other part of the local cluster stands on.

# Where things live. The cache may be deleted at any time and is built again; the state belongs to one running cluster.
CACHE=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}
STATE=${HOLDFAST_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/holdfast/cluster}
BUILD_LOGS=$CACHE/logs
export LOGS=$STATE/log
export REPOSITORY; REPOSITORY=$(cd "$CLUSTER_DIR/../.." && pwd)
STARTED_AT=$EPOCHREALTIME

# Seconds since the given EPOCHREALTIME value, with one decimal. (The value has six decimals, whatever the locale's separator.)
seconds_since() {
	local tenths=$(((${EPOCHREALTIME//[!0-9]/} - ${1//[!0-9]/}) / 100000))
	echo "$((tenths / 10)).$((tenths % 10))"
}

say() { printf '%7ss  %s\n' "$(seconds_since "$STARTED_AT")" "$*" >&2; }

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

need_root() {
	[[ $(id -u) == 0 ]] || die "$1 needs root: it makes network bridges, mounts and control groups. Run it with sudo -E, or in a throw-away virtual machine."
}

# step LOGFILE DESCRIPTION COMMAND...: runs a build step with its output in a log that is named when the step fails.
step() {
	local log=$BUILD_LOGS/$1.log description=$2 began=$EPOCHREALTIME status=0
	shift 2
	mkdir -p "$BUILD_LOGS"
	say "$description ..."
	# A subshell that keeps errexit: `if ! command` would switch it off inside the step.
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	status=$?
	set -e
	if ((status != 0)); then
		tail -n 20 "$log" | sed 's/^/    | /' >&2
		die "$description failed (exit status $status); the whole log: $log"
	fi
	say "$description: done in $(seconds_since "$began") s"
}

# wait_until SECONDS WHAT LOG COMMAND...: repeats COMMAND until it succeeds; after SECONDS says what it waited for and where to look.
wait_until() {
	local deadline=$((SECONDS + $1)) limit=$1 what=$2 log=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || die "waited $limit s for $what; see $log"
		sleep 0.1
	done
}

# Commands that change the same folder exclude each other. Children must not keep the lock: they are started with 9>&-.
lock() {
	local file=$1 message=$2
	mkdir -p "$(dirname "$file")"
	exec 9>"$file"
	flock --nonblock 9 || die "$message (lock: $file)"
}
