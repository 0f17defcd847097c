// Command etcd is the ordinary etcd server, of the version that the Kubernetes release is tested with (Debian's is too old for it).
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
