# shellcheck shell=bash
# containerd's folder with the cluster's own images unpacked in it. Unpacking takes longer than starting all the rest, so it is done
# once, when images are built; a cluster uses the folder as it is, and puts it back into its first state when it ends.

OWN_IMAGES=("$PAUSE_IMAGE" "$BASE_IMAGE" "$MYSQL_IMAGE")

own_archives() {
	local image
	for image in "${OWN_IMAGES[@]}"; do
		compgen -G "$(archive_of "$image")-*.tar"
	done
}

# Named after its content.
image_root() {
	local key
	key=$({
		module_bin containerd
		own_archives
		declare -f containerd_config make_image_root image_root_entries
	} | sha256sum | cut -c1-16)
	echo "$CACHE/containerd/$key"
}

# containerd_config ROOT STATE SOCKETS
containerd_config() {
	local snapshotter=overlayfs
	[[ $(<"$CACHE/image-store/driver") == overlay ]] || snapshotter=native
	cat <<-END
		version = 3
		root = "$1"
		state = "$2"
		disabled_plugins = ["io.containerd.nri.v1.nri"]
		[grpc]
		address = "$3/containerd.sock"
		[ttrpc]
		address = "$3/containerd.ttrpc.sock"
		[plugins."io.containerd.internal.v1.opt"]
		path = "$2/opt"
		[plugins."io.containerd.cri.v1.runtime"]
		restrict_oom_score_adj = true
		disable_apparmor = true
		netns_mounts_under_state_dir = true
		[plugins."io.containerd.cri.v1.runtime".cni]
		bin_dirs = ["/usr/lib/cni"]
		conf_dir = "$STATE/cni"
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
		SystemdCgroup = false
		[plugins."io.containerd.cri.v1.images"]
		snapshotter = "$snapshotter"
		[plugins."io.containerd.cri.v1.images".pinned_images]
		sandbox = "$PAUSE_IMAGE"
	END
}

# Everything in the folder, with each layer and each blob as one entry.
image_root_entries() {
	(cd "$1" && find . -mindepth 1 \( -path ./pristine -prune \) -o \
		\( \( -path './*/snapshots/*' -o -path './*/blobs/*/*' \) -prune -print \) -o -print) | sort
}

make_image_root() {
	local root work bin server archive database
	root=$(image_root)
	bin=$(module_bin containerd)
	rm -rf "$root.partial"
	mkdir -p "$root.partial"
	work=$(mktemp -d)
	containerd_config "$root.partial" "$work/state" "$work" >"$work/config.toml"
	# Its mounts end with it, whatever happens.
	PATH=$bin:$PATH unshare --mount --propagation private "$bin/containerd" --config "$work/config.toml" &
	server=$!
	# shellcheck disable=SC2064 # the values of now
	trap "kill -TERM $server 2>/dev/null || true; wait $server || true; rm -rf '$work'" EXIT
	wait_until 20 "containerd" "the messages above" "$bin/ctr" --address "$work/containerd.sock" version
	while read -r archive; do
		"$bin/ctr" --address "$work/containerd.sock" --namespace k8s.io images import --local "$archive"
	done < <(own_archives)
	# What importing left is collected now, and not during the first cluster: deleting any lease does it.
	"$bin/ctr" --address "$work/containerd.sock" --namespace k8s.io leases create --id collect
	"$bin/ctr" --address "$work/containerd.sock" --namespace k8s.io leases delete --sync collect
	kill -TERM "$server"
	wait "$server" || true
	image_root_entries "$root.partial" >"$work/entries"
	mkdir "$root.partial/pristine"
	mv "$work/entries" "$root.partial/pristine/entries"
	(cd "$root.partial" && find . -path ./pristine -prune -o -name '*.db' -print0 | xargs -0 cp --parents --target-directory pristine)
	mv "$root.partial" "$root"
}

build_image_root() {
	[[ ! -d $(image_root) ]] || return 0
	# Those of earlier images; not while a cluster may be using one.
	ip link show "$BRIDGE" >/dev/null 2>&1 || rm -rf "${CACHE:?}/containerd"
	step image-root "unpacking the cluster's images" make_image_root
}

# Takes away what a cluster left in the folder, and puts containerd's databases back. What cannot be put back is made again.
reset_image_root() {
	local root=$1 now
	[[ -d $root/pristine ]] || return 0
	now=$(image_root_entries "$root")
	if [[ -n $(comm -13 <(echo "$now") "$root/pristine/entries") ]]; then
		say "the unpacked images in $root are incomplete and will be unpacked again"
		rm -rf "$root"
		return
	fi
	(cd "$root" && comm -23 <(echo "$now") pristine/entries | tr '\n' '\0' | xargs -0 --no-run-if-empty rm -rf)
	cp -a "$root/pristine/." "$root/"
	rm -f "$root/entries"
}
