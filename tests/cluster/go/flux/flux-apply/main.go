// Command flux-apply does with a folder of manifests what Flux's kustomize-controller does with a Kustomization, by Flux's own library: it
// applies them server-side under a field manager, waits until kstatus calls each of them current, and deletes what is not among them any
// more. It prints one line for each object that it changed, or, where it fails, what it waited for.
//
//	flux-apply --name NAME --namespace NAMESPACE --inventory FILE [--timeout 30s] MANIFEST...
//
// Exit status: 0 all are current; 1 one failed, or was not current in time; 2 it could not be tried.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// What kustomize-controller calls itself.
const (
	fieldManager = "kustomize-controller"
	group        = "kustomize.toolkit.fluxcd.io"
)

// errNotCurrent is the answer that a Kustomization would show as not ready.
var errNotCurrent = errors.New("not current")

func main() {
	name := flag.String("name", "", "name of the Kustomization")
	namespace := flag.String("namespace", "", "its namespace")
	inventory := flag.String("inventory", "", "file that keeps what was applied, between two runs")
	timeout := flag.Duration("timeout", 30*time.Second, "longest time to wait for the objects to be current")
	flag.Parse()
	log.SetLogger(klog.Background())
	err := run(context.Background(), *name, *namespace, *inventory, *timeout, flag.Args())
	switch {
	case errors.Is(err, errNotCurrent):
		fmt.Fprintln(os.Stderr, "flux-apply:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "flux-apply:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, name, namespace, inventory string, timeout time.Duration, files []string) error {
	if name == "" || namespace == "" || inventory == "" {
		return errors.New("--name, --namespace and --inventory are needed")
	}
	manager, err := newManager()
	if err != nil {
		return err
	}
	objects, err := readAll(files)
	if err != nil {
		return err
	}
	manager.SetOwnerLabels(objects, name, namespace)
	changes, err := manager.ApplyAllStaged(ctx, objects, ssa.DefaultApplyOptions())
	if err != nil {
		return fmt.Errorf("applying: %w", err)
	}
	for _, change := range changes.Entries {
		fmt.Println(change.String())
	}
	if err := prune(ctx, manager, objects, name, namespace, inventory); err != nil {
		return err
	}
	options := ssa.DefaultWaitOptions()
	options.Interval, options.Timeout, options.FailFast = 500*time.Millisecond, timeout, true
	if err := manager.WaitForSet(changes.ToObjMetadataSet(), options); err != nil {
		return fmt.Errorf("%w: %w", errNotCurrent, err)
	}
	return nil
}

func newManager() (*ssa.ResourceManager, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, err
	}
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, transport)
	if err != nil {
		return nil, err
	}
	cluster, err := client.New(config, client.Options{Mapper: mapper})
	if err != nil {
		return nil, err
	}
	poller := polling.NewStatusPoller(cluster, mapper, polling.Options{})
	return ssa.NewResourceManager(cluster, poller, ssa.Owner{Field: fieldManager, Group: group}), nil
}

func readAll(files []string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, file := range files {
		input, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		read, err := utils.ReadObjects(input)
		_ = input.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		objects = append(objects, read...)
	}
	return objects, nil
}

// prune deletes what the last run applied and this one did not, if it is still ours, and writes down what this one applied.
func prune(ctx context.Context, manager *ssa.ResourceManager, objects []*unstructured.Unstructured, name, namespace, inventory string) error {
	var before []*unstructured.Unstructured
	text, err := os.ReadFile(inventory)
	if err == nil {
		if err := json.Unmarshal(text, &before); err != nil {
			return fmt.Errorf("%s: %w", inventory, err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	now := map[string]bool{}
	kept := []*unstructured.Unstructured{}
	for _, object := range objects {
		now[utils.FmtUnstructured(object)] = true
		short := &unstructured.Unstructured{}
		short.SetGroupVersionKind(object.GroupVersionKind())
		short.SetName(object.GetName())
		short.SetNamespace(object.GetNamespace())
		kept = append(kept, short)
	}
	var gone []*unstructured.Unstructured
	for _, object := range before {
		if !now[utils.FmtUnstructured(object)] {
			gone = append(gone, object)
		}
	}
	options := ssa.DefaultDeleteOptions()
	options.Inclusions = manager.GetOwnerLabels(name, namespace)
	changes, err := manager.DeleteAll(ctx, gone, options)
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	for _, change := range changes.Entries {
		fmt.Println(change.String())
	}
	text, err = json.Marshal(kept)
	if err != nil {
		return err
	}
	return os.WriteFile(inventory, text, 0o600)
}
