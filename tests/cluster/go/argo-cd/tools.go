//go:build tools

// Package tools names what the repository server runs, in the version that Argo CD's own image has.
package tools

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
