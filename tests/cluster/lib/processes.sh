# shellcheck shell=bash
# Processes that a script started and must not outlive it, and the ports that they listen on.

STOP_LIMIT=70

# stop_process WHAT PROCESS_ID: asks, waits, and kills after a deadline. An empty process id is fine: it was not started yet.
stop_process() {
	local what=$1 process=$2 deadline=$((SECONDS + STOP_LIMIT))
	[[ -n $process ]] && kill -TERM "$process" 2>/dev/null || return 0
	while kill -0 "$process" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
	if kill -KILL "$process" 2>/dev/null; then say "$what did not stop within $STOP_LIMIT s and was killed"; fi
}

# A TCP port of loopback on which nothing listens now.
free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}
