// Command monitoring-check reads manifests of the Prometheus operator from standard input and refuses what its types do not know, such as a
// misspelt field or a value of another type.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	checked, err := check(os.Stdin)
	if err == nil && checked == 0 {
		err = errors.New("standard input holds no manifest")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring-check:", err)
		os.Exit(1)
	}
	fmt.Println(checked, "manifests are as the Prometheus operator's types say")
}

func check(input io.Reader) (int, error) {
	reader := documents.NewYAMLReader(bufio.NewReader(input))
	checked := 0
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return checked, nil
		}
		if err != nil {
			return checked, err
		}
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &head); err != nil {
			return checked, err
		}
		var object any
		switch head.Kind {
		case "ServiceMonitor":
			object = &monitoring.ServiceMonitor{}
		case "PrometheusRule":
			object = &monitoring.PrometheusRule{}
		default:
			return checked, fmt.Errorf("kind %q is none of ServiceMonitor and PrometheusRule", head.Kind)
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			return checked, fmt.Errorf("%s: %w", head.Kind, err)
		}
		checked++
	}
}
