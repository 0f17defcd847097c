// Command argocd is the parts of Argo CD that bring Git to a cluster: its application controller and its repository server, each a
// command of this one. Argo CD's own main holds its API server, too, which embeds pages that the published module lacks.
package main

import (
	"os"

	controller "github.com/argoproj/argo-cd/v2/cmd/argocd-application-controller/commands"
	repositories "github.com/argoproj/argo-cd/v2/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "argocd", SilenceUsage: true}
	root.AddCommand(controller.NewCommand(), repositories.NewCommand())
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
