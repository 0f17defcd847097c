# shellcheck shell=bash
# What a cluster offers beyond its core: names (CoreDNS), volumes (a provisioner of folders) and volumes that are really limited.

start_coredns() {
	# Names outside the cluster do not exist here: tests must not depend on, or reach, the world outside.
	cat >"$STATE/Corefile" <<-END
		cluster.local:$DNS_PORT in-addr.arpa:$DNS_PORT {
		    bind $GATEWAY
		    errors
		    ready 127.0.0.1:$DNS_READY_PORT
		    kubernetes cluster.local in-addr.arpa {
		        kubeconfig $STATE/coredns.kubeconfig
		        pods insecure
		    }
		}
		.:$DNS_PORT {
		    bind $GATEWAY
		    errors
		    template ANY ANY . {
		        rcode NXDOMAIN
		    }
		}
	END
	start coredns "$(module_bin coredns)/coredns" -conf "$STATE/Corefile"
}

start_volume_provisioner() {
	mkdir -p "$STATE/volumes"
	start volume-provisioner "$(module_bin kubernetes)/volume-provisioner" --kubeconfig "$STATE/volume-provisioner.kubeconfig" \
		--root "$STATE/volumes" --node "$NODE"
}

apply_addons() {
	sed -e "s/@DNS_ADDRESS@/$DNS_ADDRESS/" -e "s/@GATEWAY@/$GATEWAY/" -e "s/@DNS_PORT@/$DNS_PORT/" \
		"$CLUSTER_DIR/manifests/addons.yaml" | kubectl apply --filename -
}

# volume NAME SIZE: a volume of a really limited size, for tests of what happens when it is full.
make_limited_volume() {
	local name=$1 size=$2 bytes folder=$STATE/limited-volumes/$1
	[[ $name =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || die "volume name $name: lower-case letters, digits and dashes, at most 63"
	bytes=$(numfmt --from=iec-i "$size" 2>/dev/null) || die "volume size $size: give it as a Kubernetes quantity like 16Mi"
	in_node mountpoint --quiet "$folder" && die "the volume $name exists already; choose another name"
	mkdir -p "$folder"
	in_node mount -t tmpfs -o "size=$bytes,mode=0777,nosuid,nodev" "holdfast-$name" "$folder"
	sed -e "s/@NAME@/$name/" -e "s/@SIZE@/$bytes/" -e "s,@FOLDER@,$folder," -e "s/@NODE@/$NODE/" \
		"$CLUSTER_DIR/manifests/limited-volume.yaml" | kubectl create --filename -
}
