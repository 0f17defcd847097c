// Command argo-lua runs Argo CD's own Lua engine, as the application controller and the API server of Argo CD do: it reads customizations of
// one kind and objects of it as JSON, and writes the health of each object, the actions that are offered for it, and what each would change.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type input struct {
	// Group and kind, as in Argo CD's settings: holdfast.dev/SchemaMigration.
	Kind    string           `json:"kind"`
	Health  string           `json:"health"`
	Actions string           `json:"actions"`
	Objects []map[string]any `json:"objects"`
}

type action struct {
	Name     string         `json:"name"`
	Disabled bool           `json:"disabled"`
	Result   map[string]any `json:"result"`
}

type output struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Actions []action `json:"actions"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argo-lua:", err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	engine := lua.VM{ResourceOverrides: map[string]v1alpha1.ResourceOverride{in.Kind: {HealthLua: in.Health, Actions: in.Actions}}}
	outputs := []output{}
	for number, content := range in.Objects {
		one, err := judge(engine, &unstructured.Unstructured{Object: content})
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		outputs = append(outputs, one)
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}

func judge(engine lua.VM, object *unstructured.Unstructured) (output, error) {
	var out output
	script, _, err := engine.GetHealthScript(object)
	if err != nil {
		return out, err
	}
	health, err := engine.ExecuteHealthLua(object, script)
	if err != nil {
		return out, fmt.Errorf("health: %w", err)
	}
	out.Status, out.Message = string(health.Status), health.Message
	discovery, err := engine.GetResourceActionDiscovery(object)
	if err != nil {
		return out, err
	}
	offered, err := engine.ExecuteResourceActionDiscovery(object, discovery)
	if err != nil {
		return out, fmt.Errorf("discovery of actions: %w", err)
	}
	for _, each := range offered {
		definition, err := engine.GetResourceAction(object, each.Name)
		if err != nil {
			return out, fmt.Errorf("action %s: %w", each.Name, err)
		}
		impacted, err := engine.ExecuteResourceAction(object.DeepCopy(), definition.ActionLua)
		if err != nil {
			return out, fmt.Errorf("action %s: %w", each.Name, err)
		}
		if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
			return out, fmt.Errorf("action %s: it must patch the object, and nothing else", each.Name)
		}
		result := impacted[0].UnstructuredObj.Object
		out.Actions = append(out.Actions, action{Name: each.Name, Disabled: each.Disabled, Result: result})
	}
	return out, nil
}
