// Command kstatus says what kstatus, by which Flux and kubectl-like tools judge objects, makes of Kubernetes objects. It reads them
// from standard input, one JSON document after another, and writes one line for each: the status, a tab, and kstatus's message.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func judge(input io.Reader, output io.Writer) error {
	decoder := json.NewDecoder(input)
	for number := 1; ; number++ {
		var document json.RawMessage
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("document %d is not JSON: %w", number, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(document); err != nil {
			return fmt.Errorf("document %d is no object: %w", number, err)
		}
		result, err := status.Compute(object)
		if err != nil {
			return fmt.Errorf("document %d, %s %s: %w", number, object.GetKind(), object.GetName(), err)
		}
		message := strings.ReplaceAll(result.Message, "\n", " ")
		if _, err := fmt.Fprintf(output, "%s\t%s\n", result.Status, message); err != nil {
			return err
		}
	}
}
