# shellcheck shell=bash
# Taking the cluster down, from whatever state it is in. Each part may be missing or half made; only the logs stay.

# The processes of all pods: they are in control groups of ours, whatever became of containerd.
pod_processes() {
	local root
	while read -r root; do
		[[ ! -d $root/$CGROUP ]] || find "$root/$CGROUP" -name cgroup.procs -exec cat {} +
	done < <(cgroup_roots) 2>/dev/null | sort -un
}

# containerd's shims: programs of our cache that live in the node's mount namespace.
shim_processes() {
	local namespace link pid
	[[ -e $STATE/mount-namespace ]] || return 0
	namespace=$(<"$STATE/mount-namespace")
	for link in /proc/[0-9]*/exe; do
		[[ $(readlink "$link" 2>/dev/null) == "$CACHE"/bin/containerd-*/containerd-shim-runc-v2* ]] || continue
		pid=${link#/proc/}
		pid=${pid%/exe}
		[[ $(readlink "/proc/$pid/ns/mnt" 2>/dev/null) != "$namespace" ]] || echo "$pid"
	done
}

kill_all() {
	local what=$1 list=$2 deadline=$((SECONDS + 20)) processes
	while :; do
		mapfile -t processes < <("$list")
		((${#processes[@]} > 0)) || return 0
		((SECONDS < deadline)) || die "these processes of $what do not end even on SIGKILL: ${processes[*]}"
		kill -KILL "${processes[@]}" 2>/dev/null || true
		sleep 0.05
	done
}

remove_cgroups() {
	local root deadline=$((SECONDS + 10))
	while read -r root; do
		while [[ -d $root/$CGROUP ]]; do
			# The kernel lets go of a control group a moment after its last process.
			find "$root/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
			((SECONDS < deadline)) || die "the control group $root/$CGROUP cannot be removed: something still runs in it"
			sleep 0.1
		done
	done < <(cgroup_roots)
}

# Connections to Services that are gone would be sent to their old pods as long as the kernel remembers them.
forget_connections() {
	[[ -e $STATE/network ]] || return 0
	NETWORK=$(<"$STATE/network")
	set_addresses
	conntrack --delete --orig-dst "$SERVICE_NETWORK" >/dev/null 2>&1 || true
}

remove_made_folders() {
	local folder
	[[ -e $STATE/made-folders ]] || return 0
	while read -r folder; do
		[[ ! -d $folder ]] || rmdir --ignore-fail-on-non-empty "$folder"
	done <"$STATE/made-folders"
}

take_down() {
	local entry
	[[ -d $STATE/run ]] || return 0
	# Who starts pods goes first, then the pods, then the rest: the API server waits for its clients otherwise.
	stop 3 kubelet kube-proxy volume-provisioner coredns kube-controller-manager kube-scheduler
	kill_all "pods" pod_processes
	stop 5 containerd
	kill_all "containerd" shim_processes
	kill_all "pods" pod_processes
	stop 5 kube-apiserver
	stop 3 etcd
	# The node's mounts vanish with the last process of their namespace.
	stop 1 node-mounts
	remove_cgroups
	disable_controllers
	forget_connections
	undo_network
	remove_made_folders
	[[ ! -e $STATE/image-root ]] || reset_image_root "$(<"$STATE/image-root")"
	for entry in "$STATE"/* "$STATE"/.[!.]*; do
		[[ ! -e $entry || $entry == "$LOGS" || $entry == "$STATE/lock" ]] || rm -rf --one-file-system "$entry"
	done
}
