# shellcheck shell=bash
# The one node: containerd, the kubelet and kube-proxy. They run in a mount namespace of their own, in which the few folders whose place
# is fixed in their code lead into the state folder: nothing of theirs is mounted on, or written into, the machine's own tree.

NODE=holdfast
CGROUP=holdfast
# Fixed in the code of the kubelet, containerd's shim and the CNI library.
FIXED_FOLDERS=(/var/lib/kubelet /var/lib/cni /var/log/containers /run/containerd)

# Runs a command where the node's mounts are.
in_node() { nsenter --mount="/proc/$(pid_of node-mounts)/ns/mnt" -- "$@"; }

make_node_mounts() {
	local folder
	for folder in "${FIXED_FOLDERS[@]}"; do
		[[ -d $folder ]] || {
			mkdir -p "$folder"
			echo "$folder" >>"$STATE/made-folders"
		}
	done
	# "slave": what the machine mounts later is seen here, what is mounted here is not seen there. A tail of an empty file holds it open.
	start node-mounts unshare --mount --propagation slave tail -f /dev/null
	wait_until 5 "the node's mount namespace" "$LOGS/node-mounts.log" node_mounts_are_separate
	for folder in "${FIXED_FOLDERS[@]}"; do
		mkdir -p "$STATE/fixed$folder"
		in_node mount --bind "$STATE/fixed$folder" "$folder"
	done
}

node_mounts_are_separate() {
	[[ $(readlink "/proc/$(pid_of node-mounts)/ns/mnt") != "$(readlink /proc/self/ns/mnt)" && $(<"/proc/$(pid_of node-mounts)/comm") == tail ]]
}

# The control group above all pods, in every hierarchy: with version 1 there is one for each controller, with version 2 a single one.
cgroup_roots() {
	if [[ $(stat --file-system --format %T /sys/fs/cgroup) == cgroup2fs ]]; then
		echo /sys/fs/cgroup
	else
		awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
	fi
}

make_cgroups() {
	local root file
	while read -r root; do
		[[ ! -e $root/cgroup.subtree_control ]] || enable_controllers "$root"
		mkdir -p "$root/$CGROUP"
		# A new cpuset of version 1 is empty, and nothing can run in it.
		for file in cpuset.cpus cpuset.mems; do
			[[ ! -e $root/cgroup.clone_children || ! -e $root/$CGROUP/$file ]] || cat "$root/$file" >"$root/$CGROUP/$file"
		done
	done < <(cgroup_roots)
}

# With version 2 a group has the controllers that the one above hands down. The kubelet refuses to start without these.
enable_controllers() {
	local root=$1 controller
	for controller in cpu cpuset memory pids hugetlb; do
		if grep -qw "$controller" "$root/cgroup.controllers" && ! grep -qw "$controller" "$root/cgroup.subtree_control"; then
			(echo "+$controller" >"$root/cgroup.subtree_control") 2>/dev/null ||
				die "the controller $controller cannot be enabled in $root: inside a container, run the cluster on the machine itself"
			echo "$controller $root" >>"$STATE/enabled-controllers"
		fi
	done
}

disable_controllers() {
	local controller root
	[[ -e $STATE/enabled-controllers ]] || return 0
	while read -r controller root; do
		(echo "-$controller" >"$root/cgroup.subtree_control") 2>/dev/null ||
			say "the controller $controller stays enabled in $root: another control group uses it by now"
	done <"$STATE/enabled-controllers"
}

start_containerd() {
	local root bin
	root=$(<"$STATE/image-root")
	bin=$(module_bin containerd)
	mkdir -p "$STATE/containerd" "$STATE/cni"
	containerd_config "$root" "$STATE/containerd/state" "$STATE/run" >"$STATE/containerd/config.toml"
	# No portmap plugin: host ports would be rules in tables that are not ours.
	jq --null-input --arg bridge "$BRIDGE" --arg subnet "$POD_NETWORK" --arg gateway "$GATEWAY" --arg data "$STATE/cni-addresses" '{
		cniVersion: "1.0.0", name: "holdfast", plugins: [
			{type: "bridge", bridge: $bridge, isGateway: true, ipMasq: false, hairpinMode: true,
			 ipam: {type: "host-local", dataDir: $data, ranges: [[{subnet: $subnet, gateway: $gateway}]], routes: [{dst: "0.0.0.0/0"}]}}]}' >"$STATE/cni/10-bridge.conflist"
	# containerd finds its shim by the PATH.
	PATH=$bin:$PATH start containerd nsenter --mount="/proc/$(pid_of node-mounts)/ns/mnt" -- \
		"$bin/containerd" --config "$STATE/containerd/config.toml"
	wait_until 20 "containerd" "$LOGS/containerd.log" "$bin/ctr" --address "$STATE/run/containerd.sock" version
}

start_kubelet() {
	mkdir -p "$STATE/kubelet"
	# Pods that ask for the node's own name service get the cluster's: nothing of this machine's resolv.conf leaks into tests.
	echo "nameserver $DNS_ADDRESS" >"$STATE/kubelet/resolv.conf"
	cat >"$STATE/kubelet/config.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $GATEWAY
		port: $KUBELET_PORT
		healthzBindAddress: 127.0.0.1
		healthzPort: $KUBELET_HEALTH_PORT
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $STATE/pki/ca.crt}}
		authorization: {mode: Webhook}
		tlsCertFile: $STATE/pki/kubelet-serving.crt
		tlsPrivateKeyFile: $STATE/pki/kubelet-serving.key
		cgroupDriver: cgroupfs
		cgroupRoot: /$CGROUP
		failCgroupV1: false
		failSwapOn: false
		enforceNodeAllocatable: []
		oomScoreAdj: 0
		makeIPTablesUtilChains: false
		clusterDNS: [$DNS_ADDRESS]
		clusterDomain: cluster.local
		resolvConf: $STATE/kubelet/resolv.conf
		containerRuntimeEndpoint: unix://$STATE/run/containerd.sock
		volumePluginDir: $STATE/kubelet/plugins
		podLogsDir: $LOGS/pods
		imageGCHighThresholdPercent: 100
		imageMinimumGCAge: 24h
		evictionHard: {"memory.available": 50Mi, "nodefs.available": 1%, "imagefs.available": 1%}
	END
	start kubelet nsenter --mount="/proc/$(pid_of node-mounts)/ns/mnt" -- "$(module_bin kubernetes)/kubelet" \
		--kubeconfig="$STATE/kubelet.kubeconfig" --config="$STATE/kubelet/config.yaml" --root-dir="$STATE/kubelet/root" \
		--hostname-override="$NODE" --node-ip="$GATEWAY"
}

start_kube_proxy() {
	# The three zeros leave the machine's connection tracking settings as they are.
	start kube-proxy "$(module_bin kubernetes)/kube-proxy" --kubeconfig="$STATE/kube-proxy.kubeconfig" --proxy-mode=nftables \
		--hostname-override="$NODE" --cluster-cidr="$POD_NETWORK" --conntrack-max-per-core=0 \
		--conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
		--healthz-bind-address="127.0.0.1:$PROXY_HEALTH_PORT" --metrics-bind-address="127.0.0.1:$PROXY_METRICS_PORT"
}
