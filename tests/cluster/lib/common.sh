# shellcheck shell=bash
# Folders, messages, timing and bounded waiting: what every other part of the local cluster stands on.

# Where things live. The cache may be deleted at any time and is built again; the state belongs to one running cluster.
CACHE=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}
STATE=${HOLDFAST_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/holdfast/cluster}
BUILD_LOGS=$CACHE/logs
LOGS=$STATE/log
AUDIT_LOG=$LOGS/audit.log
STARTED_AT=$EPOCHREALTIME
STEP_GROUP=

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
	[[ $(id -u) == 0 ]] || die "$1 needs root: it makes network bridges, mounts and control groups. Run it as root, best in a virtual machine."
}

# step LOG DESCRIPTION COMMAND...: runs a build step with its output in a log that is named when the step fails.
step() {
	local log=$BUILD_LOGS/$1.log description=$2 began=$EPOCHREALTIME status=0
	shift 2
	mkdir -p "$BUILD_LOGS"
	say "$description ..."
	# In a process group of its own and in the background, so that a signal to this script is handled at once and ends the
	# whole step; in a subshell, so that errexit holds inside although the result is tested here.
	set -m
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null 8>&- 9>&- &
	STEP_GROUP=$!
	set +m
	wait "$STEP_GROUP" || status=$?
	STEP_GROUP=
	if ((status != 0)); then
		tail -n 20 "$log" | sed 's/^/    | /' >&2
		die "$description failed (exit status $status); the whole log: $log"
	fi
	say "$description: done in $(seconds_since "$began") s"
}

# Ends the step that a signal interrupted.
stop_step() {
	[[ -n $STEP_GROUP ]] || return 0
	kill -TERM -- "-$STEP_GROUP" 2>/dev/null || true
	wait "$STEP_GROUP" 2>/dev/null || true
	STEP_GROUP=
}

# wait_until SECONDS WHAT LOG COMMAND...: repeats COMMAND until it succeeds; after SECONDS says what it waited for and where to look.
wait_until() {
	local limit=$1 what=$2 log=$3
	local deadline=$((SECONDS + limit))
	shift 3
	# In a subshell, so that a signal's message does not go where the command's output goes; without the locks, so that a command
	# that outlives this script does not keep them.
	until ("$@") >/dev/null 2>&1 8>&- 9>&-; do
		((SECONDS < deadline)) || die "waited $limit s for $what; see $log"
		sleep 0.1
	done
}

# Only one command at a time changes a state folder, and a second cluster from the same folder is refused.
lock_state() {
	install -d -m 0700 "$STATE"
	exec 9>"$STATE/lock"
	flock --nonblock 9 || die "another cluster.sh is working on $STATE; wait until it has ended"
}

# The cache is shared by all state folders: builders wait for each other.
lock_cache() {
	mkdir -p "$CACHE"
	exec 8>"$CACHE/lock"
	flock --nonblock 8 && return
	say "waiting for another build in $CACHE ..."
	flock --timeout 3600 8 || die "waited an hour for another build in $CACHE (lock: $CACHE/lock)"
}

unlock_cache() { exec 8>&-; }

# Whether overlay file systems can be mounted here: not when the folder lies on one itself, as inside a container.
overlay_works() {
	local folder=$1/overlay-probe status=0
	mkdir -p "$folder"/{lower,upper,work,merged}
	unshare --mount mount -t overlay overlay \
		-o "lowerdir=$folder/lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/merged" 2>/dev/null || status=$?
	rm -rf "$folder"
	return "$status"
}
