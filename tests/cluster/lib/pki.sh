# shellcheck shell=bash
# Certificates and kubeconfigs, made afresh for each cluster. Keys lie under the state folder, which only root can enter.

certificate() {
	local name=$1 subject=$2 extensions=$3
	openssl ecparam -name prime256v1 -genkey -noout -out "$STATE/pki/$name.key"
	openssl req -new -key "$STATE/pki/$name.key" -subj "$subject" |
		openssl x509 -req -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" -set_serial "0x$(openssl rand -hex 16)" -days 365 \
			-extfile <(echo "$extensions") -out "$STATE/pki/$name.crt" 2>/dev/null
}

kubeconfig() {
	cat >"$STATE/$1.kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		clusters:
		- name: holdfast
		  cluster:
		    server: https://$GATEWAY:$API_PORT
		    certificate-authority-data: $(base64 --wrap=0 "$STATE/pki/ca.crt")
		users:
		- name: $1
		  user:
		    client-certificate-data: $(base64 --wrap=0 "$STATE/pki/$1.crt")
		    client-key-data: $(base64 --wrap=0 "$STATE/pki/$1.key")
		contexts:
		- name: holdfast
		  context: {cluster: holdfast, user: $1}
		current-context: holdfast
	END
}

make_certificates() {
	local client subject
	mkdir -p "$STATE/pki"
	openssl ecparam -name prime256v1 -genkey -noout -out "$STATE/pki/ca.key"
	openssl req -x509 -new -key "$STATE/pki/ca.key" -subj "/CN=holdfast local cluster" -days 365 -out "$STATE/pki/ca.crt"
	openssl ecparam -name prime256v1 -genkey -noout -out "$STATE/pki/service-accounts.key"
	certificate etcd /CN=etcd "subjectAltName=IP:127.0.0.1"
	certificate apiserver /CN=kube-apiserver "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:$KUBERNETES_ADDRESS,IP:$GATEWAY"
	certificate kubelet-serving "/CN=$NODE" "subjectAltName=DNS:$NODE,IP:$GATEWAY"
	while read -r client subject; do
		certificate "$client" "$subject" "extendedKeyUsage=clientAuth"
		kubeconfig "$client"
	done <<-END
		admin /O=system:masters/CN=admin
		controller-manager /CN=system:kube-controller-manager
		scheduler /CN=system:kube-scheduler
		kubelet /O=system:nodes/CN=system:node:$NODE
		kube-proxy /CN=system:kube-proxy
		coredns /CN=holdfast:coredns
		volume-provisioner /CN=holdfast:volume-provisioner
	END
}
