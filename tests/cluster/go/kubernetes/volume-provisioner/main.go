// Command volume-provisioner gives the local cluster a default StorageClass: each claim gets a folder of its own on this machine, and
// the folder is removed with the claim. Sizes are not enforced: `cluster.sh volume` makes a volume whose size is.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// The name that the StorageClass gives as its provisioner.
const provisionerName = "holdfast.test/folder"

type folders struct {
	root string
	node string
}

// Provision makes the claim's folder and describes it as a volume that only this node can mount.
func (f folders) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	folder := filepath.Join(f.root, options.PVName)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, controller.ProvisioningNoChange, fmt.Errorf("make the folder of volume %s: %w", options.PVName, err)
	}
	// Containers run as many users; the process's umask must not keep them out.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the folder of volume %s: %w", options.PVName, err)
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			Capacity:                      core.ResourceList{core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			// A local volume, not a hostPath: the kubelet then applies the pod's fsGroup, as it does on real storage.
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: folder}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{f.node},
				}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume whose claim is gone.
func (f folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	// The path comes from the API, which anyone with rights on volumes can write: only our own folders are removed.
	if volume.Spec.Local == nil || volume.Spec.Local.Path != filepath.Join(f.root, volume.Name) {
		return &controller.IgnoredError{Reason: "volume " + volume.Name + " is not a folder of " + f.root}
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "file with the credentials")
	root := flag.String("root", "", "folder that holds the volumes")
	node := flag.String("node", "", "name of the node that can mount them")
	flag.Parse()
	if *root == "" || *node == "" {
		return fmt.Errorf("--root and --node are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", *kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	controller.NewProvisionController(ctx, client, provisionerName, folders{root: *root, node: *node},
		controller.LeaderElection(false)).Run(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "volume-provisioner:", err)
		os.Exit(1)
	}
}
