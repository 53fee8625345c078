//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seer/infer/topology"
	"seer/test/apps"
	"seer/test/bed"
)

// commands are the subcommands, in the order of the help.
var commands = []func() *cobra.Command{
	newUpCommand, newStatusCommand, newDownCommand, newLoadCommand, newFaultCommand, newCampaignCommand, newTierCommand, newAntagonistCommand,
}

// selection is what every command that is about an application takes.
type selection struct {
	app     string
	options bed.Options
}

func (s *selection) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.app, "app", "", "application: "+strings.Join(apps.Names(), ", ")+", or a topology `FILE`")
	f.StringVar(&s.options.State, "state", "/run/seer-bed", "`DIR` of journals and sockets")
	f.StringVar(&s.options.Data, "data", "/var/lib/seer-bed", "`DIR` of the services' data, on a disk")
	cmd.RegisterFlagCompletionFunc("app", cobra.FixedCompletions(apps.Names(), cobra.ShellCompDirectiveDefault))
}

// topology returns the application as it is described.
func (s *selection) topology() (*topology.App, error) {
	switch {
	case s.app == "":
		return nil, usageError{errors.New("which application? give --app")}
	case slices.Contains(apps.Names(), s.app):
		return apps.Load(s.app)
	}
	if _, err := os.Stat(s.app); err != nil {
		return nil, usageError{fmt.Errorf("no application %q: it is one of %s, or a file", s.app, strings.Join(apps.Names(), ", "))}
	}
	return topology.Load(s.app)
}

// name returns the name of an application that may be up. Its file may be gone.
func (s *selection) name() (string, error) {
	if s.app == "" {
		return "", usageError{errors.New("which application? give --app")}
	}
	if !strings.ContainsAny(s.app, "/.") {
		return s.app, nil
	}
	app, err := s.topology()
	if err != nil {
		return "", err
	}
	return app.Name, nil
}
