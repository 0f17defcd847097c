#!/usr/bin/env bash
# Runs a command beside Argo CD: its application controller and its repository server, a Redis and a Git server, as processes of this machine on
# ports of the loopback, against the API server that KUBECONFIG names (api-server.sh run). Leaves nothing behind but logs.
#
#   argo-cd.sh run -- COMMAND...
#   argo-cd.sh build                          only builds what it needs
#
# Argo CD is installed as its own manifests have it, in the namespace argocd, and acts with the rights of its own service account. COMMAND finds a
# folder in HOLDFAST_TEST_GIT_FOLDER, and the address by which Argo CD reads the bare repositories in it in HOLDFAST_TEST_GIT_URL.
set -euo pipefail
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages process binaries; do
	# shellcheck source=/dev/null
	. "$CLUSTER_DIR/lib/$part.sh"
done

START_LIMIT=60
ARGO_CD=github.com/argoproj/argo-cd/v2

USAGE="usage: argo-cd.sh run -- COMMAND..., or argo-cd.sh build"
action=${1:-}
[[ ($action == build && $# == 1) || ($action == run && ${2:-} == -- && $# -ge 3) ]] || die "$USAGE"

trap 'stop_step; exit 130' INT
trap 'stop_step; exit 143' TERM HUP
lock_cache
need_packages /usr/bin/redis-server=redis-server /usr/lib/git-core/git-daemon=git /usr/bin/curl=curl /usr/bin/jq=jq
build_binaries argo-cd
files_of argo-cd "$ARGO_CD" manifests
unlock_cache
[[ $action == run ]] || exit 0
shift 2
: "${KUBECONFIG:?names no API server: api-server.sh run -- argo-cd.sh run -- COMMAND}"
PATH=$(module_bin argo-cd):$PATH
export PATH

folder=$(mktemp -d)
mkdir "$folder/git" "$folder/tls" "$folder/ssh" "$folder/plugins" "$folder/tmp" "$folder/home"
mkdir -p "$BUILD_LOGS"
command=
started=()

stop_all() {
	local status=$? process
	trap - EXIT
	# Whoever ends a group of processes is heard twice; the second time must not leave half of it running.
	trap '' INT TERM HUP
	stop_child "the command" "$command" 60
	for process in "${started[@]}"; do
		stop_child "a process of Argo CD" "$process" 20
		# The shell would report its end as news.
		wait "$process" 2>/dev/null || true
	done
	rm -rf "$folder"
	((status == 0)) || say "what Argo CD, Redis and Git said is in $BUILD_LOGS/argo-cd-*.log"
	exit "$status"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# begin NAME COMMAND...: in the background, in a session of its own; its number is in $! afterwards.
begin() {
	local name=$1
	shift
	setsid "$@" >"$BUILD_LOGS/argo-cd-$name.log" 2>&1 </dev/null &
	started+=("$!")
}

# ready NAME PORT PATH: waits until the process that was begun last answers there, and says why where it has ended.
ready() {
	local process=${started[-1]} log=$BUILD_LOGS/argo-cd-$1.log
	answers_or_ended() { ! kill -0 "$process" || curl --fail --silent --show-error "http://127.0.0.1:$1$2"; }
	wait_until "$START_LIMIT" "$1 of Argo CD to be ready" "$log" answers_or_ended "$2" "$3"
	kill -0 "$process" 2>/dev/null || die "$1 of Argo CD ended while it started: $(tail -n 3 "$log")"
}

# The settings and the rights that Argo CD's own installation makes, and what teaches it to judge a migration, as the README says.
install() {
	kubectl create namespace argocd
	kubectl apply --server-side --filename "$FILES/crds/application-crd.yaml" --filename "$FILES/crds/appproject-crd.yaml"
	kubectl apply --namespace argocd --kustomize "$FILES/base/config"
	kubectl apply --namespace argocd --kustomize "$FILES/base/application-controller-roles"
	kubectl apply --kustomize "$FILES/cluster-rbac/application-controller"
	kubectl wait --for=condition=Established --timeout=60s customresourcedefinition/{applications,appprojects}.argoproj.io
	kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file "$CLUSTER_DIR/../../deploy/gitops/argocd/argocd-cm.yaml"
}
install >"$BUILD_LOGS/argo-cd-install.log" 2>&1 || die "installing Argo CD failed: $(tail -n 3 "$BUILD_LOGS/argo-cd-install.log")"

# The administrator's kubeconfig with the service account's token in it.
kubectl create token argocd-application-controller --namespace argocd --duration 6h >"$folder/token"
kubectl config view --raw --flatten --minify --output json |
	jq --rawfile token "$folder/token" '.users[0].user = {token: ($token | rtrimstr("\n"))}' >"$folder/kubeconfig"

redis_port=$(free_port 127.0.0.1 $((26000 + RANDOM % 700)))
git_port=$(free_port 127.0.0.1 $((27000 + RANDOM % 700)))
repository_port=$(free_port 127.0.0.1 $((28000 + RANDOM % 350)))
repository_health=$(free_port 127.0.0.1 $((28600 + RANDOM % 350)))
controller_health=$(free_port 127.0.0.1 $((29000 + RANDOM % 700)))

begin redis redis-server --bind 127.0.0.1 --port "$redis_port" --save "" --appendonly no --dir "$folder"
begin git "$(git --exec-path)/git-daemon" --reuseaddr --listen=127.0.0.1 --port="$git_port" --base-path="$folder/git" --export-all

# Where Argo CD's containers have folders of their own.
export ARGOCD_TLS_DATA_PATH=$folder/tls ARGOCD_SSH_DATA_PATH=$folder/ssh ARGOCD_PLUGINSOCKFILEPATH=$folder/plugins
export ARGOCD_ASK_PASS_SOCK=$folder/ask-pass.sock ARGOCD_GPG_ENABLED=false
begin repo-server env HOME="$folder/home" TMPDIR="$folder/tmp" argocd argocd-repo-server --address 127.0.0.1 --port "$repository_port" \
	--metrics-address 127.0.0.1 --metrics-port "$repository_health" --redis "127.0.0.1:$redis_port"
ready repo-server "$repository_health" "/healthz?full=true"
# The cluster that it is in is the one of its kubeconfig; its metrics are served on all addresses, which cannot be set.
begin application-controller env HOME="$folder/home" KUBECONFIG="$folder/kubeconfig" ARGOCD_FAKE_IN_CLUSTER=true argocd argocd-application-controller \
	--namespace argocd --redis "127.0.0.1:$redis_port" --repo-server "127.0.0.1:$repository_port" --metrics-port "$controller_health"
ready application-controller "$controller_health" /healthz

# With the caller's standard input, which what runs in the background has not by itself.
HOLDFAST_TEST_GIT_FOLDER=$folder/git HOLDFAST_TEST_GIT_URL=git://127.0.0.1:$git_port "$@" <&0 &
command=$!
status=0
wait "$command" || status=$?
command=
exit "$status"
