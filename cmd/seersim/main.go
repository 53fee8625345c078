// Seersim runs an application of microservices in virtual time: weeks of data in
// minutes, and clusters that nobody has. This package holds flags and wiring only.
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
)

func main() {
	// The second signal kills: NotifyContext stops listening after the first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "seersim: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(exitCode(err))
	}
}

// newRootCommand returns `seersim`, which simulates; check, calibrate and
// plot are beside it.
func newRootCommand() *cobra.Command {
	root := newSimulateCommand()
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newCheckCommand(), newCalibrateCommand(), newCompareCommand(), newPlotCommand())
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
