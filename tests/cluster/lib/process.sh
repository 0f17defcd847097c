# shellcheck shell=bash
# Starting, recognising and ending the cluster's processes. Each is recorded by its number and its start time, since numbers are used
# again; a record without a live process is a remain of an earlier run.

started_at() {
	local stat fields
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	# The second field is the name in parentheses and may hold anything; the state and, nineteen fields on, the start time follow.
	read -ra fields <<<"${stat##*) }"
	# A zombie has ended: only its parent has not asked yet.
	[[ ${fields[0]} != Z ]] || return 1
	echo "${fields[19]}"
}

# start NAME COMMAND...: runs it in the background, in a session of its own, so that Ctrl-C reaches this script alone.
start() {
	local name=$1
	shift
	(
		# Written by the process itself, before it becomes the command: a signal in between leaves no process unrecorded.
		echo "$BASHPID $(started_at "$BASHPID")" >"$STATE/run/$name.pid"
		exec setsid "$@" >"$LOGS/$name.log" 2>&1 </dev/null 8>&- 9>&-
	) &
	# Not a child to wait for: it outlives this script.
	disown
	wait_until 5 "the record of $name" "$LOGS/$name.log" test -s "$STATE/run/$name.pid"
}

alive() {
	local pid began now
	[[ -s $STATE/run/$1.pid ]] || return 1
	read -r pid began <"$STATE/run/$1.pid"
	# Some kernels report a start time that shifts by a tick; a number is not used again within two seconds.
	now=$(started_at "$pid") && ((now - began <= 200 && began - now <= 200))
}

pid_of() { cut -d' ' -f1 "$STATE/run/$1.pid"; }

# Ends the named processes together: SIGTERM, and SIGKILL for those that are still there after SECONDS.
stop() {
	local deadline=$((SECONDS + $1)) name left signal=TERM
	shift
	for name in "$@"; do
		! alive "$name" || kill -TERM "$(pid_of "$name")" 2>/dev/null || true
	done
	while :; do
		left=()
		for name in "$@"; do
			! alive "$name" || left+=("$name")
		done
		((${#left[@]} > 0)) || break
		if ((SECONDS >= deadline)); then
			[[ $signal == TERM ]] || die "these processes do not end even on SIGKILL: ${left[*]} (records: $STATE/run)"
			signal=KILL
			deadline=$((SECONDS + 10))
			for name in "${left[@]}"; do
				kill -KILL "$(pid_of "$name")" 2>/dev/null || true
			done
		fi
		sleep 0.05
	done
	for name in "$@"; do
		rm -f "$STATE/run/$name.pid"
	done
}

# stop_child WHAT PROCESS SECONDS: ends a process of this script. An empty number is fine: it was not started yet.
stop_child() {
	local what=$1 process=$2 deadline=$((SECONDS + $3))
	[[ -n $process ]] && kill -TERM "$process" 2>/dev/null || return 0
	while kill -0 "$process" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
	! kill -KILL "$process" 2>/dev/null || say "$what did not end within $3 s and was killed"
}

# free_port ADDRESS FIRST: the first port from FIRST on that nothing listens on.
free_port() {
	local port=$2
	while ((port < $2 + 200)); do
		if [[ -z $(ss --no-header --listening --tcp --udp --numeric "sport = :$port") ]]; then
			echo "$port"
			return
		fi
		port=$((port + 1))
	done
	die "no free port on $1 between $2 and $port"
}
