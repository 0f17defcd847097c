# shellcheck shell=bash
# The cluster's own /16: its lower half for pods, on a bridge, its upper half for Services. Everything that is changed on the machine is
# written down first, and `undo_network` puts it back. (The bridge plugin enforces no NetworkPolicy: objects are accepted, traffic flows.)

BRIDGE=holdfast0
FIREWALL_COMMENT=holdfast-local-cluster
# What this script, the kubelet or kube-proxy set.
SYSCTLS=(net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables
	net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_tcp_timeout_established
	net.netfilter.nf_conntrack_tcp_timeout_close_wait net.netfilter.nf_conntrack_tcp_be_liberal
	vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

address_number() {
	local a b c d
	IFS=. read -r a b c d <<<"$1"
	echo $(((a << 24) + (b << 16) + (c << 8) + d))
}

# Whether two networks, given as ADDRESS/BITS, share addresses: the shorter prefix decides.
overlap() {
	local bits=$((${1#*/} < ${2#*/} ? ${1#*/} : ${2#*/}))
	local mask=$((bits == 0 ? 0 : (0xffffffff << (32 - bits)) & 0xffffffff))
	((($(address_number "${1%/*}") & mask) == ($(address_number "${2%/*}") & mask)))
}

# The networks that this machine has routes to, from all its tables.
routed_networks() {
	local first second rest
	while read -r first second rest; do
		[[ $first =~ ^[0-9] ]] || first=$second
		[[ $first =~ ^[0-9.]+(/[0-9]+)?$ ]] || continue
		[[ $first == */* ]] || first+=/32
		[[ $first == */0 ]] || echo "$first"
	done < <(ip -4 -o route show table all)
}

# Sets NETWORK to the first two bytes of a /16 that overlaps nothing.
choose_network() {
	local candidate routed taken
	routed=$(routed_networks)
	for candidate in 10.{88..127} 172.{16..31} 10.{128..255}; do
		taken=
		while read -r network; do
			if [[ -n $network ]] && overlap "$candidate.0.0/16" "$network"; then
				taken=yes
				break
			fi
		done <<<"$routed"
		[[ -n $taken ]] || {
			NETWORK=$candidate
			return
		}
	done
	die "this machine has routes into every private /16 that was tried (10.88 to 10.255, 172.16 to 172.31); see ip route show table all"
}

set_addresses() {
	GATEWAY=$NETWORK.0.1
	POD_NETWORK=$NETWORK.0.0/17
	SERVICE_NETWORK=$NETWORK.128.0/17
	KUBERNETES_ADDRESS=$NETWORK.128.1
	DNS_ADDRESS=$NETWORK.128.10
}

record_sysctls() {
	local name value
	cat /proc/sys/kernel/random/boot_id >"$STATE/sysctl.before"
	for name in "${SYSCTLS[@]}"; do
		value=$(sysctl --values "$name" 2>/dev/null) || continue
		echo "$name=$value" >>"$STATE/sysctl.before"
	done
}

restore_sysctls() {
	local name value
	[[ -e $STATE/sysctl.before ]] || return 0
	# After a restart of the machine there is nothing to put back.
	if [[ $(head -n 1 "$STATE/sysctl.before") == "$(</proc/sys/kernel/random/boot_id)" ]]; then
		while IFS='=' read -r name value; do
			[[ $(sysctl --values "$name") == "$value" ]] || sysctl --quiet --write "$name=$value"
		done < <(tail -n +2 "$STATE/sysctl.before")
	fi
	rm -f "$STATE/sysctl.before"
}

# Base chains that drop what no rule accepts, as Docker, ufw and firewalld make them: FAMILY TABLE CHAIN HOOK.
dropping_chains() {
	nft --json list chains | jq --raw-output '.nftables[].chain | select(. != null)
		| select(.policy == "drop" and (.hook == "forward" or .hook == "input") and (.family == "ip" or .family == "inet"))
		| "\(.family) \(.table) \(.name) \(.hook)"'
}

open_firewall() {
	local family table chain hook
	while read -r family table chain hook; do
		nft insert rule "$family" "$table" "$chain" iifname "$BRIDGE" accept comment "\"$FIREWALL_COMMENT\""
		[[ $hook == input ]] || nft insert rule "$family" "$table" "$chain" oifname "$BRIDGE" accept comment "\"$FIREWALL_COMMENT\""
	done < <(dropping_chains)
}

close_firewall() {
	local family table chain handle
	while read -r family table chain handle; do
		nft delete rule "$family" "$table" "$chain" handle "$handle"
	done < <(nft --json --handle list ruleset | jq --raw-output --arg comment "$FIREWALL_COMMENT" '.nftables[].rule
		| select(. != null and .comment == $comment) | "\(.family) \(.table) \(.chain) \(.handle)"')
}

make_network() {
	! ip link show "$BRIDGE" >/dev/null 2>&1 ||
		die "the network bridge $BRIDGE exists already: another local cluster, with another HOLDFAST_STATE, runs here. Take that one down first."
	if nft list table ip kube-proxy >/dev/null 2>&1; then
		die "this machine has kube-proxy's nftables already: another Kubernetes node runs here, or ran (then: nft delete table ip kube-proxy)"
	fi
	choose_network
	set_addresses
	echo "$NETWORK" >"$STATE/network"
	record_sysctls
	ip link add "$BRIDGE" type bridge
	ip address add "$GATEWAY/17" dev "$BRIDGE"
	ip link set "$BRIDGE" up
	# Without a default route the kernel would refuse Service addresses before kube-proxy's rules see them.
	ip route add "$SERVICE_NETWORK" dev "$BRIDGE"
	sysctl --quiet --write net.ipv4.ip_forward=1
	open_firewall
}

undo_network() {
	local family
	[[ -e $STATE/network ]] || return 0
	close_firewall
	for family in ip ip6; do
		! nft list table "$family" kube-proxy >/dev/null 2>&1 || nft delete table "$family" kube-proxy
	done
	! ip link show "$BRIDGE" >/dev/null 2>&1 || ip link delete "$BRIDGE"
	restore_sysctls
	rm -f "$STATE/network"
}
