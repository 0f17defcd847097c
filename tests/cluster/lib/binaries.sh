# shellcheck shell=bash
# Builds the programs of the cluster from pinned Go modules and keeps them in the cache, so that a second build costs nothing.
# A module's folder is named after everything that decides its content: go.mod, go.sum, the programs and the build flags.

GO_SOURCES=$CLUSTER_DIR/go
# What a cluster consists of. What only tests need is built where it is named.
MODULES=(containerd kubernetes coredns helm)

# required MODULE PACKAGE: the version of PACKAGE that a module here requires.
required() { awk -v package="$2" 'NF > 1 && $(NF-1) == package { print $NF; exit }' "$GO_SOURCES/$1/go.mod"; }

# The packages that a module's tools.go names, plus the programs written here (folders beside it).
module_packages() {
	[[ ! -e $GO_SOURCES/$1/tools.go ]] || sed -n 's/^\t_ "\(.*\)"$/\1/p' "$GO_SOURCES/$1/tools.go"
	find "$GO_SOURCES/$1" -mindepth 2 -maxdepth 2 -name main.go -printf './%P\n' | sed 's,/main.go$,,' | sort
}

module_flags() {
	local version number package flags
	case $1 in
	kubernetes*)
		# Without these the server calls itself v0.0.0, and clients refuse what they think is too old.
		version=$(required "$1" k8s.io/kubernetes)
		number=${version#v}
		flags="-s -w"
		for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags+=" -X $package.gitVersion=$version -X $package.gitMajor=${number%%.*}"
			flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$number") -X $package.gitTreeState=clean"
		done
		printf '%s\n' -trimpath "-ldflags=$flags"
		;;
	# Without what finds targets in clouds, which only a server needs: a third of the build.
	prometheus) printf '%s\n' -trimpath "-ldflags=-s -w" -tags=remove_all_sd ;;
	containerd) printf '%s\n' -trimpath "-ldflags=-s -w" -tags=no_btrfs,no_devmapper,no_zfs ;;
	helm) printf '%s\n' -trimpath "-ldflags=-s -w -X helm.sh/helm/v4/internal/version.version=$(required helm helm.sh/helm/v4)" ;;
	argo-cd)
		version=$(required argo-cd github.com/argoproj/argo-cd/v2)
		printf '%s\n' -trimpath "-ldflags=-s -w -X github.com/argoproj/argo-cd/v2/common.version=${version#v}"
		;;
	*) printf '%s\n' -trimpath "-ldflags=-s -w" ;;
	esac
}

# The folder of a module's binaries.
module_bin() {
	local key
	key=$(
		cd "$GO_SOURCES/$1"
		{
			cat go.mod go.sum
			find . -name '*.go' -print0 | sort -z | xargs -0 cat
			module_flags "$1"
		} | sha256sum | cut -c1-16
	)
	echo "$CACHE/bin/$1-$key"
}

build_module() {
	local module=$1 bin flags packages
	bin=$(module_bin "$module")
	mapfile -t flags < <(module_flags "$module")
	mapfile -t packages < <(module_packages "$module")
	rm -rf "$bin.partial"
	mkdir -p "$bin.partial"
	cd "$GO_SOURCES/$module"
	# -buildvcs=false: a worktree's commit must not change the binaries. The folder gets its name only when it is complete.
	CGO_ENABLED=0 go build -mod=readonly -buildvcs=false "${flags[@]}" -o "$bin.partial/" "${packages[@]}"
	mv "$bin.partial" "$bin"
}

# build_binaries [MODULE]...: builds what is missing of these modules, or of those of a cluster.
build_binaries() {
	local module modules=("$@")
	((${#modules[@]} > 0)) || modules=("${MODULES[@]}")
	for module in "${modules[@]}"; do
		[[ -d $(module_bin "$module") ]] && continue
		command -v go >/dev/null || die "Go is missing: the cluster's programs are built from source. Install Go 1.26 or newer (https://go.dev/dl)."
		step "go-$module" "building $module ($(module_packages "$module" | sed 's,.*/,,' | paste -sd' '))" build_module "$module"
	done
}

keep_files() {
	local folder
	cd "$GO_SOURCES/$1"
	go mod download "$2"
	folder=$(go list -mod=readonly -m -f '{{.Dir}}' "$2")
	rm -rf "$4.partial"
	mkdir -p "${4%/*}"
	# The module cache cannot be written to, and what is kept must be easy to delete.
	cp -r --no-preserve=mode "$folder/$3" "$4.partial"
	mv "$4.partial" "$4"
}

# files_of MODULE PACKAGE FOLDER: a folder of files that a pinned Go module publishes, kept in the cache. Its path is in FILES afterwards.
files_of() {
	FILES=$CACHE/files/$1-$(required "$1" "$2")
	[[ ! -d $FILES ]] || return 0
	command -v go >/dev/null || die "Go is missing: it fetches $2. Install Go 1.26 or newer (https://go.dev/dl)."
	step "files-$1" "fetching $3 of $2" keep_files "$1" "$2" "$3" "$FILES"
}
