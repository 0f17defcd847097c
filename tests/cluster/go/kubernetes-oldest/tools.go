//go:build tools

// Package tools names the program that is built of the oldest Kubernetes that the chart states, so that go.mod and go.sum cover it.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
