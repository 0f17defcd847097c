#!/usr/bin/env bash
# A real Kubernetes cluster of one node on a bare Debian machine, without Docker: for the demo and for the tests. See README.md beside it.
set -euo pipefail
export LC_ALL=C
# Root's programs, also when the caller's PATH is a user's.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages binaries rootfs images image_root maven_server process network pki control_plane node addons teardown; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

usage() {
	cat <<-END
		usage: cluster.sh COMMAND

		  build                                  install, download and build everything that a cluster needs
		  up                                     build, then start the cluster
		  run -- COMMAND...                      run COMMAND with the cluster's environment (see env) and end with its exit
		                                         status; a cluster that was not up is started for it, and taken down after
		                                         it, however it ends (HOLDFAST_CLUSTER_ENDS=true tells COMMAND so)
		  down                                   stop it and remove all it made; its logs stay
		  status                                 say what runs; exit status 0 if the cluster is up
		  env                                    print shell commands that set KUBECONFIG, PATH and where requests are written down, for eval
		  image NAME:TAG DOCKERFILE CONTEXT [--build-arg K=V]...
		                                         build an image; a cluster that is up gets it at once
		  old-mysql                              build an image of a MySQL that is too old: holdfast.test/mysql:5.7
		  volume NAME SIZE                       make a PersistentVolume NAME of StorageClass holdfast-small that
		                                         holds SIZE (like 16Mi) and not a byte more
		  clean-cache                            remove everything that was built

		Folders: \$HOLDFAST_CACHE (now $CACHE)
		         \$HOLDFAST_STATE (now $STATE)
	END
}

build() {
	need_root "cluster.sh build"
	lock_cache
	need_packages "${CLUSTER_PACKAGES[@]}"
	build_rootfs base "making a root filesystem of Debian bookworm"
	build_rootfs mysql "making a root filesystem of Debian sid with MySQL $MYSQL_SERIES"
	check_mysql_version
	build_own_images
	build_binaries
	build_image_root
	unlock_cache
}

# Every process of a complete cluster.
PROCESSES=(node-mounts etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy coredns volume-provisioner)

is_up() {
	local process
	[[ -e $STATE/up ]] || return 1
	for process in "${PROCESSES[@]}"; do
		alive "$process" || return 1
	done
}

start_node() {
	make_node_mounts
	readlink "/proc/$(pid_of node-mounts)/ns/mnt" >"$STATE/mount-namespace"
	make_cgroups
	start_containerd
	start_kubelet
}

node_is_ready() { [[ $(kubectl get node "$NODE" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }

start_cluster() {
	mkdir -p "$STATE/run" "$STATE/imported" "$LOGS"
	image_root >"$STATE/image-root"
	reset_image_root "$(<"$STATE/image-root")"
	own_archives | sed 's,.*/,,' | (cd "$STATE/imported" && xargs touch)
	make_network
	choose_ports
	make_certificates
	start_etcd
	start_api_server
	# The node waits for the API server by itself, and the images are unpacked meanwhile.
	start_node
	import_images 8>&- 9>&- &
	local import=$!
	start_kube_proxy
	wait_until 60 "the API server" "$LOGS/kube-apiserver.log" kubectl get --raw /readyz
	say "the API server is ready"
	# Not before: the controller manager ends where it may not ask within ten seconds, as on a busy machine.
	start_controllers
	wait_until 30 "the namespace kube-system to accept the add-ons" "$LOGS/kube-apiserver.log" apply_addons
	# Not before their rights exist: a refusal makes them wait for seconds before they ask again.
	start_coredns
	start_volume_provisioner
	wait_until 60 "the node to be ready" "$LOGS/kubelet.log" node_is_ready
	say "the node is ready"
	wait_until 30 "CoreDNS" "$LOGS/coredns.log" curl --fail --silent "http://127.0.0.1:$DNS_READY_PORT/ready"
	wait_until 30 "the default service account" "$LOGS/kube-controller-manager.log" kubectl get serviceaccount default
	wait "$import" || die "the images were not imported; see $LOGS/image-import.log"
	touch "$STATE/up"
}

# On any way out of an unfinished start, nothing stays behind.
abandon_start() {
	local status=$?
	trap '' INT TERM HUP
	stop_step
	say "the start did not finish: taking down what there is (logs: $LOGS)"
	take_down
	exit "$status"
}

up() {
	need_root "cluster.sh up"
	lock_state
	if is_up; then
		build
		import_images
		# Nobody who asks for a cluster wants it to go with a command that ended long ago.
		rm -f "$STATE/for-one-command"
		say "the cluster is up already ($STATE)"
		return
	fi
	bring_up
}

# bring_up [AT_EXIT]: builds and starts, in place of whatever an earlier cluster left. AT_EXIT is the trap that is set in the end.
bring_up() {
	if [[ -d $STATE/run ]]; then
		say "removing what an earlier cluster left"
		take_down
	fi
	build
	local began=$EPOCHREALTIME
	((${#STATE} <= 70)) || die "the state folder's path is too long for sockets (${#STATE} of 70 characters): set HOLDFAST_STATE to a shorter one, not $STATE"
	rm -rf "$LOGS"
	trap abandon_start EXIT
	start_cluster
	trap -- "${1:--}" EXIT
	say "the cluster is up in $(seconds_since "$began") s; to use it: eval \"\$(${CLUSTER_DIR/#$PWD\//}/cluster.sh env)\""
}

# Of `run`: the command's process, and whether the cluster was started for it.
COMMAND=
OURS=

# On any way out of `run`: the command's whole process group ends, then the cluster, if it was started for the command.
end_run() {
	local status=$? deadline=$((SECONDS + 60)) signal=TERM
	trap '' INT TERM HUP
	stop_step
	while [[ -n $COMMAND ]] && kill -"$signal" -- "-$COMMAND" 2>/dev/null; do
		((SECONDS < deadline)) || signal=KILL
		sleep 0.2
	done
	if [[ -n $OURS ]]; then
		take_down
		say "the cluster is down; its logs: $LOGS"
	fi
	exit "$status"
}

run() {
	local status=0 settings
	[[ ${1:-} == -- && $# -ge 2 ]] || die "usage: cluster.sh run -- COMMAND..."
	shift
	need_root "cluster.sh run"
	lock_state
	if is_up && [[ ! -e $STATE/for-one-command ]]; then
		build
		import_images
		say "the cluster is up already ($STATE) and stays up"
		trap end_run EXIT
	else
		OURS=yes
		bring_up end_run
		touch "$STATE/for-one-command"
	fi
	settings=$(environment)
	eval "$settings"
	# What would only be removed before its cluster is, can be left to that.
	[[ -z $OURS ]] || export HOLDFAST_CLUSTER_ENDS=true
	# In a process group of its own, so that a signal to this script is handled at once and ends all of the command; without the
	# locks, which its children would keep.
	set -m
	"$@" <&0 8>&- 9>&- &
	COMMAND=$!
	set +m
	wait "$COMMAND" || status=$?
	exit "$status"
}

down() {
	need_root "cluster.sh down"
	lock_state
	if [[ ! -d $STATE/run ]]; then
		say "no cluster is up ($STATE)"
		return
	fi
	# Half a removal helps nobody.
	trap '' INT TERM HUP
	take_down
	say "the cluster is down; its logs: $LOGS"
}

status() {
	local process state
	[[ -d $STATE/run ]] || {
		echo "no cluster is up ($STATE)"
		return 1
	}
	for process in "${PROCESSES[@]}"; do
		state="not running"
		! alive "$process" || state="running as process $(pid_of "$process")"
		printf '%-24s %s\n' "$process" "$state"
	done
	is_up || {
		echo "the cluster is not up; logs: $LOGS"
		return 1
	}
	kubectl --request-timeout 10s get nodes,pods --all-namespaces --output wide
}

environment() {
	is_up || die "no cluster is up ($STATE): start it with cluster.sh up"
	printf 'export KUBECONFIG=%q\n' "$STATE/admin.kubeconfig"
	printf 'export HOLDFAST_AUDIT_LOG=%q\n' "$AUDIT_LOG"
	printf 'export KUBECACHEDIR=%q\n' "$STATE/kubectl-cache"
	printf 'export PATH=%q:%q:"$PATH"\n' "$(module_bin kubernetes)" "$(module_bin helm)"
}

image() {
	(($# >= 3)) || die "image needs NAME:TAG DOCKERFILE CONTEXT"
	[[ $1 == *:* ]] || die "the image name $1 has no tag"
	need_root "cluster.sh image"
	lock_cache
	step "image-$(tr '/:' '__' <<<"$1")" "building the image $1" build_image "$@"
	unlock_cache
	! is_up || step "import-$(tr '/:' '__' <<<"$1")" "importing the image $1" import_images "$(archive_of "$1")-"
}

old_mysql() {
	build
	lock_cache
	build_old_mysql
	unlock_cache
	! is_up || step import-old-mysql "importing the image $OLD_MYSQL_IMAGE" import_images "$(archive_of "$OLD_MYSQL_IMAGE")-"
}

volume() {
	(($# == 2)) || die "volume needs NAME SIZE"
	is_up || die "no cluster is up ($STATE): start it with cluster.sh up"
	make_limited_volume "$@"
}

clean_cache() {
	lock_state
	lock_cache
	[[ ! -d $STATE/run ]] || die "a cluster is up ($STATE): take it down first"
	# By name: a folder that was chosen by mistake keeps what is not ours.
	rm -rf "${CACHE:?}"/{bin,rootfs,image-store,image-archives,maven-servers,containerd,mysqld,logs} "${CACHE:?}"/image-context.*
	say "removed what was built in $CACHE"
}

trap 'stop_step; exit 130' INT
trap 'stop_step; exit 143' TERM HUP

command=${1:-}
shift || true
case $command in
build | up | run | down | status | image | volume) "$command" "$@" ;;
old-mysql) old_mysql ;;
env) environment ;;
clean-cache) clean_cache ;;
help | --help | -h) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
