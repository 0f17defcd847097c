#!/usr/bin/env bash
# Runs a command beside a throw-away Kubernetes API server on loopback (etcd and kube-apiserver, no nodes), and leaves nothing behind.
#
#   api-server.sh run [--oldest | --gitops | --monitoring] -- COMMAND...
#   api-server.sh build                          only builds what it needs
#
# COMMAND finds an administrator's kubeconfig in KUBECONFIG and HOLDFAST_TEST_KUBECONFIG, the definitions of CSI's snapshots in the folder
# HOLDFAST_TEST_SNAPSHOT_CRDS, and kubectl, helm and kstatus on its PATH.
# --oldest: the API server of the oldest Kubernetes that the chart states, instead of the one that the local cluster runs.
# --gitops: argo-lua and flux-apply on the PATH, too, which take minutes to build.
# --monitoring: promtool and monitoring-check on the PATH, too, which take minutes to build.
set -euo pipefail
CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CLUSTER_DIR/lib/common.sh"
. "$CLUSTER_DIR/lib/packages.sh"
. "$CLUSTER_DIR/lib/process.sh"
. "$CLUSTER_DIR/lib/binaries.sh"

START_LIMIT=60

USAGE="usage: api-server.sh run [--oldest | --gitops | --monitoring] -- COMMAND..., or api-server.sh build"
action=${1:-}
[[ $action == run || ($action == build && $# == 1) ]] || die "$USAGE"
shift
modules=(kubernetes helm kstatus)
if [[ ${1:-} == --oldest ]]; then
	# Before the others on the PATH: of this one only the API server is built.
	modules=(kubernetes-oldest "${modules[@]}")
	export HOLDFAST_TEST_OLDEST=yes
	shift
elif [[ ${1:-} == --gitops ]]; then
	modules+=(flux argo-cd)
	shift
elif [[ ${1:-} == --monitoring ]]; then
	modules+=(prometheus)
	shift
fi
[[ $action == build || (${1:-} == -- && $# -ge 2) ]] || die "$USAGE"

trap 'stop_step; exit 130' INT
trap 'stop_step; exit 143' TERM HUP
lock_cache
need_packages /usr/bin/openssl=openssl
build_binaries "${modules[@]}"
files_of snapshots github.com/kubernetes-csi/external-snapshotter/client/v8 config/crd
export HOLDFAST_TEST_SNAPSHOT_CRDS=$FILES
unlock_cache
[[ $action == run ]] || exit 0
shift
for ((i = ${#modules[@]} - 1; i >= 0; i--)); do
	PATH=$(module_bin "${modules[i]}"):$PATH
done
export PATH

folder=$(mktemp -d)
etcd=
server=
command=

stop_all() {
	local status=$?
	trap - EXIT
	# Whoever ends a group of processes is heard twice; the second time must not leave half of it running.
	trap '' INT TERM HUP
	stop_child "the command" "$command" 60
	# Its graceful stop drains watches for up to a minute; nothing here is worth that wait.
	[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || say "the API server had ended already"
	# The shell would report its end as news.
	wait "$server" 2>/dev/null || true
	stop_child etcd "$etcd" 10
	rm -rf "$folder"
	exit "$status"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# certificate NAME SUBJECT EXTENSION: signed by the throw-away authority.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" &&
		openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo "$3") -out "$1.crt"
}

# In a subshell, so that the command is run where the caller is.
certificates() (
	cd "$folder" &&
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=throw-away -days 2 -keyout ca.key -out ca.crt &&
		certificate server /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,DNS:localhost" &&
		certificate administrator /O=system:masters/CN=administrator "extendedKeyUsage=clientAuth" &&
		openssl genrsa -out service-accounts.key 2048
)
certificates >"$folder/certificates.log" 2>&1 || die "making certificates failed: $(tail -n 3 "$folder/certificates.log")"

# Not the ports of a cluster that may be started meanwhile.
etcd_port=$(free_port 127.0.0.1 $((30000 + RANDOM % 700)))
peer_port=$(free_port 127.0.0.1 $((31000 + RANDOM % 700)))
port=$(free_port 127.0.0.1 $((32000 + RANDOM % 700)))
cat >"$folder/kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters: [{name: throw-away, cluster: {server: "https://127.0.0.1:$port", certificate-authority: $folder/ca.crt}}]
users: [{name: administrator, user: {client-certificate: $folder/administrator.crt, client-key: $folder/administrator.key}}]
contexts: [{name: throw-away, context: {cluster: throw-away, user: administrator}}]
current-context: throw-away
KUBECONFIG

setsid etcd --data-dir "$folder/etcd" --unsafe-no-fsync \
	--listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
	--listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
	--initial-cluster "default=http://127.0.0.1:$peer_port" >"$folder/etcd.log" 2>&1 </dev/null &
etcd=$!
# A loopback address cannot be advertised; nobody follows this one, which is reserved for documentation (RFC 5737).
setsid kube-apiserver --etcd-servers="http://127.0.0.1:$etcd_port" --bind-address=127.0.0.1 --advertise-address=192.0.2.1 \
	--secure-port="$port" --tls-cert-file="$folder/server.crt" --tls-private-key-file="$folder/server.key" \
	--client-ca-file="$folder/ca.crt" --authorization-mode=RBAC --service-cluster-ip-range=10.96.0.0/16 \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$folder/service-accounts.key" \
	--service-account-signing-key-file="$folder/service-accounts.key" >"$folder/server.log" 2>&1 </dev/null &
server=$!

export KUBECACHEDIR=$folder/kubectl-cache KUBECONFIG=$folder/kubeconfig HOLDFAST_TEST_KUBECONFIG=$folder/kubeconfig
ready_or_ended() { ! kill -0 "$server" || kubectl get --raw /readyz; }
wait_until "$START_LIMIT" "the API server on 127.0.0.1:$port to be ready" "$folder/server.log" ready_or_ended
kill -0 "$server" 2>/dev/null || die "the API server ended while it started: $(tail -n 3 "$folder/server.log")"

# With the caller's standard input, which what runs in the background has not by itself.
"$@" <&0 &
command=$!
status=0
wait "$command" || status=$?
command=
exit "$status"
