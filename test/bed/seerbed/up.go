//go:build linux

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"seer/test/bed"
	"seer/test/bed/tier"
)

func newUpCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Create an application and start it",
		Example: "  sudo seerbed up --app social-network",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			app, err := s.topology()
			if err != nil {
				return err
			}
			s.options.Progress = progress(cmd.ErrOrStderr())
			b, err := bed.Up(cmd.Context(), app, s.options)
			if err != nil {
				return err
			}
			defer b.Close()
			fmt.Fprintf(cmd.OutOrStdout(), "%s is up: %d services, %d containers, ready in %s\n",
				app.Name, len(app.Services), len(b.Containers()), b.Took.Round(100*time.Millisecond))
			return nil
		},
	}
	s.addTo(cmd)
	cmd.Flags().StringVar((*string)(&s.options.Runtime), "runtime", "", "containerd: let containerd and runc make the containers")
	cmd.Flags().Uint64Var(&s.options.Seed, "seed", 1, "of what the services do by chance")
	cmd.Flags().BoolVar(&s.options.Spans, "spans", false, "let services log spans, as ground truth, into their data directories")
	return cmd
}

// progress prints a line per service.
func progress(w io.Writer) func(bed.Progress) {
	return func(p bed.Progress) {
		fmt.Fprintf(w, "%5.1fs  %2d/%d  %s\n", p.Elapsed.Seconds(), p.Ready, p.Total, p.Service)
	}
}

func newDownCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Remove all there is of an application",
		Example: "  sudo seerbed down --app social-network",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := s.name()
			if err != nil {
				return err
			}
			return bed.Down(cmd.Context(), name, s.options)
		},
	}
	s.addTo(cmd)
	return cmd
}

func newTierCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:    "tier",
		Short:  "Be one replica of a service",
		Hidden: true, // up starts it
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := tier.LoadConfig(config)
			if err != nil {
				return err
			}
			return tier.Main(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "`FILE` that says which")
	cmd.MarkFlagRequired("config")
	return cmd
}
