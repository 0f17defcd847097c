//go:build tools

// Package tools names the program that the plugin is installed by, so that go.mod and go.sum cover it.
package tools

import (
	_ "sigs.k8s.io/krew/cmd/krew"
)
