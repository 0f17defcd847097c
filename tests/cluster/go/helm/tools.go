//go:build tools

// Package tools names the programs that the local cluster builds, so that go.mod and go.sum cover them.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
