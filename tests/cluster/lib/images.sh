# shellcheck shell=bash
# Images without a daemon or a registry: buildah builds Dockerfiles into a store under the cache, and each image is kept beside it as
# an archive that containerd imports. buildah's layer cache decides what has to be built again.

IMAGE_ARCHIVES=$CACHE/image-archives
BASE_IMAGE=holdfast.test/base:bookworm
PAUSE_IMAGE=holdfast.test/pause:1
MYSQL_IMAGE=holdfast.test/mysql:$MYSQL_SERIES

store() {
	local driver=overlay command=$1
	shift
	[[ -e $CACHE/image-store/driver ]] || {
		mkdir -p "$CACHE/image-store"
		overlay_works "$CACHE/image-store" || driver=vfs
		echo "$driver" >"$CACHE/image-store/driver"
	}
	buildah --root "$CACHE/image-store/root" --runroot "$CACHE/image-store/run" \
		--storage-driver "$(<"$CACHE/image-store/driver")" "$command" "$@"
}

archive_of() { echo "$IMAGE_ARCHIVES/$(tr '/:' '__' <<<"$1")"; }

# build_image NAME:TAG DOCKERFILE CONTEXT [--build-arg K=V]...
build_image() {
	local name=$1 dockerfile=$2 context=$3 id archive identity
	shift 3
	identity=$(mktemp)
	# The root filesystem of RUN is a chroot: no daemon, no network of its own. A name without a registry must be in the store.
	# --force-rm: what fails leaves no container mounted.
	store build --isolation chroot --layers --force-rm --pull-never --format docker --iidfile "$identity" \
		--file "$dockerfile" --tag "$name" "$@" "$context"
	id=$(sed 's/^sha256://' "$identity" | cut -c1-16)
	rm -f "$identity"
	archive=$(archive_of "$name")
	[[ ! -e $archive-$id.tar ]] || return 0
	mkdir -p "$IMAGE_ARCHIVES"
	rm -f "$archive"-????????????????.tar "$archive.partial"
	store push --quiet "$name" "docker-archive:$archive.partial:$name"
	mv "$archive.partial" "$archive-$id.tar"
}

# Imports the archives that containerd does not have yet: all of them, or those of one image.
import_images() {
	local archive
	for archive in "${1:-$IMAGE_ARCHIVES/}"*.tar; do
		[[ -e $archive && ! -e $STATE/imported/${archive##*/} ]] || continue
		in_node "$(module_bin containerd)/ctr" --address "$STATE/run/containerd.sock" --namespace k8s.io \
			images import --local "$archive" >>"$LOGS/image-import.log" 2>&1 ||
			die "containerd does not take the image in $archive; see $LOGS/image-import.log"
		touch "$STATE/imported/${archive##*/}"
	done
}

# Builds an image that the cluster itself needs, unless nothing has changed since: even asking buildah takes a second.
build_own_image() {
	local name=$1 make=$2 key stamp
	shift 2
	key=$({
		declare -f "$make" build_image
		for input in "$@"; do
			# Not the whole path of a file: another clone's images are the same.
			[[ -f $input ]] || echo "$input"
			[[ ! -f $input ]] || cat "$input"
		done
	} | sha256sum | cut -c1-16)
	stamp=$(archive_of "$name").key
	[[ -e $stamp && $(<"$stamp") == "$key" && -n $(compgen -G "$(archive_of "$name")-*.tar") ]] && return
	step "image-$(tr '/:' '__' <<<"$name")" "building the image $name" "$make"
	echo "$key" >"$stamp"
}

# An image whose only layer is a root filesystem.
rootfs_image() {
	local name=$1 folder=$2 context
	context=$(mktemp -d "$CACHE/image-context.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$context'" EXIT
	tar --create --file "$context/rootfs.tar" --numeric-owner --one-file-system --directory "$folder" .
	printf 'FROM scratch\nADD rootfs.tar /\nCMD ["/bin/sh"]\n' >"$context/Dockerfile"
	build_image "$name" "$context/Dockerfile" "$context"
}

make_base_image() { rootfs_image "$BASE_IMAGE" "$(rootfs base)"; }

make_mysql_image() {
	local context
	context=$(mktemp -d "$CACHE/image-context.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$context'" EXIT
	cp "$CLUSTER_DIR"/images/mysql/* "$context"
	tar --create --file "$context/rootfs.tar" --numeric-owner --one-file-system --directory "$(rootfs mysql)" .
	build_image "$MYSQL_IMAGE" "$context/Dockerfile" "$context"
}

make_pause_image() {
	local context
	context=$(mktemp -d "$CACHE/image-context.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$context'" EXIT
	cp "$CLUSTER_DIR/images/pause/Dockerfile" "$context"
	gcc -Os -static -s -Wall -Werror -o "$context/pause" "$CLUSTER_DIR/images/pause/pause.c"
	build_image "$PAUSE_IMAGE" "$context/Dockerfile" "$context"
}

build_own_images() {
	build_own_image "$PAUSE_IMAGE" make_pause_image "$CLUSTER_DIR"/images/pause/*
	build_own_image "$BASE_IMAGE" make_base_image "$(rootfs base)"
	build_own_image "$MYSQL_IMAGE" make_mysql_image "$(rootfs mysql)" "$CLUSTER_DIR"/images/mysql/*
}
