# shellcheck shell=bash
# etcd, the API server, the controller manager and the scheduler. etcd listens on the loopback only and asks for certificates; the API
# server listens on the bridge's address, since Kubernetes refuses to advertise a loopback address to pods.

start_etcd() {
	local etcd=https://127.0.0.1
	# A throw-away cluster need not survive a power cut: --unsafe-no-fsync.
	start etcd "$(module_bin kubernetes)/etcd" --name default --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls "$etcd:$ETCD_PORT" --advertise-client-urls "$etcd:$ETCD_PORT" \
		--cert-file "$STATE/pki/etcd.crt" --key-file "$STATE/pki/etcd.key" --trusted-ca-file "$STATE/pki/ca.crt" --client-cert-auth \
		--listen-peer-urls "$etcd:$ETCD_PEER_PORT" --initial-advertise-peer-urls "$etcd:$ETCD_PEER_PORT" \
		--initial-cluster "default=$etcd:$ETCD_PEER_PORT" --peer-cert-file "$STATE/pki/etcd.crt" --peer-key-file "$STATE/pki/etcd.key" \
		--peer-trusted-ca-file "$STATE/pki/ca.crt" --peer-client-cert-auth
}

start_api_server() {
	start kube-apiserver "$(module_bin kubernetes)/kube-apiserver" \
		--etcd-servers="https://127.0.0.1:$ETCD_PORT" --etcd-cafile="$STATE/pki/ca.crt" \
		--etcd-certfile="$STATE/pki/etcd.crt" --etcd-keyfile="$STATE/pki/etcd.key" \
		--bind-address="$GATEWAY" --advertise-address="$GATEWAY" --secure-port="$API_PORT" \
		--tls-cert-file="$STATE/pki/apiserver.crt" --tls-private-key-file="$STATE/pki/apiserver.key" \
		--client-ca-file="$STATE/pki/ca.crt" --authorization-mode=Node,RBAC --anonymous-auth=false --allow-privileged=true \
		--service-account-key-file="$STATE/pki/service-accounts.key" \
		--service-account-signing-key-file="$STATE/pki/service-accounts.key" \
		--service-account-issuer=https://kubernetes.default.svc.cluster.local --service-cluster-ip-range="$SERVICE_NETWORK" \
		--kubelet-client-certificate="$STATE/pki/admin.crt" --kubelet-client-key="$STATE/pki/admin.key" \
		--kubelet-certificate-authority="$STATE/pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
		--audit-policy-file="$CLUSTER_DIR/manifests/audit-policy.yaml" --audit-log-path="$AUDIT_LOG" --audit-log-maxsize=1024
}

start_controllers() {
	local bin
	bin=$(module_bin kubernetes)
	start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$STATE/controller-manager.kubeconfig" \
		--service-account-private-key-file="$STATE/pki/service-accounts.key" --root-ca-file="$STATE/pki/ca.crt" \
		--use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1 --secure-port="$CONTROLLER_PORT" \
		--cluster-cidr="$POD_NETWORK" --cluster-signing-cert-file="$STATE/pki/ca.crt" --cluster-signing-key-file="$STATE/pki/ca.key"
	start kube-scheduler "$bin/kube-scheduler" --kubeconfig="$STATE/scheduler.kubeconfig" --leader-elect=false \
		--bind-address=127.0.0.1 --secure-port="$SCHEDULER_PORT"
}

kubectl() { "$(module_bin kubernetes)/kubectl" --cache-dir "$STATE/kubectl-cache" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }

choose_ports() {
	API_PORT=$(free_port "$GATEWAY" 6443)
	ETCD_PORT=$(free_port 127.0.0.1 23790)
	ETCD_PEER_PORT=$(free_port 127.0.0.1 $((ETCD_PORT + 1)))
	CONTROLLER_PORT=$(free_port 127.0.0.1 10257)
	SCHEDULER_PORT=$(free_port 127.0.0.1 $((CONTROLLER_PORT + 1)))
	KUBELET_PORT=$(free_port "$GATEWAY" 10250)
	KUBELET_HEALTH_PORT=$(free_port 127.0.0.1 10348)
	PROXY_HEALTH_PORT=$(free_port 127.0.0.1 10456)
	PROXY_METRICS_PORT=$(free_port 127.0.0.1 $((PROXY_HEALTH_PORT + 1)))
	DNS_PORT=$(free_port "$GATEWAY" 10053)
	DNS_READY_PORT=$(free_port 127.0.0.1 18181)
}
