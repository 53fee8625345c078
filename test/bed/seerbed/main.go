//go:build linux

// Seerbed runs an application as real processes on this host, loads it and breaks
// it on purpose. This package holds flags and wiring only.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"seer/test/bed/host"
)

func main() {
	host.Launch()
	// The second signal kills: NotifyContext stops listening after the first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "seerbed: %s\n", oneLine(err))
		os.Exit(exitCode(err))
	}
}

// newRootCommand returns `seerbed`. Each command is in a file of its own.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "seerbed",
		Short: "Real applications of microservices on one host, loaded and broken on purpose",
		Long: `Seerbed runs an application of microservices as real processes on this host, each
replica in a cgroup and a network namespace of its own. It loads the
application, injects faults and records what was injected and what users felt.

It takes root. What it creates is named seerbed-APP in the cgroup hierarchies, is
invisible among the host's links, and is removed by "seerbed down", whatever was
killed in between.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	for _, add := range commands {
		root.AddCommand(add())
	}
	return root
}

// usageError is one of the command line: exit status 2.
type usageError struct{ error }

func exitCode(err error) int {
	if errors.As(err, &usageError{}) {
		return 2
	}
	return 1
}

// oneLine joins the lines of several errors.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}
