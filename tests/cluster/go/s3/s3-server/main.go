// Command s3-server is an S3 service over a folder, for tests: Versity's gateway with its POSIX backend, and nothing of it that tests do not
// need. Each folder below the folder is a bucket, each file of a bucket an object, so that a test can look at them and spoil them.
//
// The root account comes from ROOT_ACCESS_KEY and ROOT_SECRET_KEY. With -users a folder's users.json names accounts that own no bucket.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func run() error {
	address := flag.String("listen", "127.0.0.1:7070", "address and port")
	folder := flag.String("folder", "", "folder of the buckets")
	metadata := flag.String("metadata", "", "folder of what belongs to buckets and objects beside their content")
	users := flag.String("users", "", "folder with users.json")
	certificate := flag.String("certificate", "", "file of the server's certificate; with it only TLS is spoken")
	key := flag.String("key", "", "file of its key")
	region := flag.String("region", "us-east-1", "region that signatures must name")
	flag.Parse()

	// Not in extended attributes, which not every file system has.
	store, err := meta.NewSideCar(*metadata)
	if err != nil {
		return fmt.Errorf("-metadata: %w", err)
	}
	backend, err := posix.New(*folder, store, posix.PosixOpts{SideCarDir: *metadata, ValidateBucketNames: true, Concurrency: 100})
	if err != nil {
		return fmt.Errorf("-folder: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            *region,
		Ports:             []string{*address},
		MaxConnections:    1000,
		MaxRequests:       1000,
		MultipartMaxParts: 10000,
		CertFile:          *certificate,
		KeyFile:           *key,
		IAMDir:            *users,
		IAMCacheDisable:   true,
		Quiet:             true,
	})
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "s3-server:", err)
		os.Exit(1)
	}
}
