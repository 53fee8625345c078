// Seer measures the queues of every container on a Linux host, without a
// change to any program. This package holds flags and wiring only.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// The second signal kills: NotifyContext stops listening after the first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := newRootCommand().ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "seer: %s\n", oneLine(err))
	}
	os.Exit(exitCode(err))
}

// newRootCommand returns `seer`, which without a subcommand is `seer run --top`.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "seer",
		Short: "The queues of every container on this host, measured passively",
		Long: `Seer measures the queues of every container on a Linux host with eBPF: sockets,
epoll, run queue, block I/O and NIC, each tick, with no change to any program
and nothing that runs when a request is served.

Without a subcommand it traces this host and shows it in the terminal, as
"seer run --top" does.`,
		Example: `  sudo seer                    trace this host and look at it
  sudo seer run                trace and record, as a service does
  seer inspect queue           ask the running seer
  sudo seer doctor             what this host lets seer do`,
		Version:       version(),
		Args:          noSubcommand,
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
	}
	addRun(root)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newRunCommand(), newTopCommand(), newInspectCommand(localHooks()), newLabelCommand(), newDoctorCommand(), newTrainCommand(), newEvalCommand(), newImportCommand(), newExportCommand(), newManCommand())
	return root
}

// noSubcommand refuses a word that is not a subcommand.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("no command %q: see `seer --help`", args[0])
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		err = fmt.Errorf("no command %q: did you mean `seer %s`?", args[0], similar[0])
	}
	return usageError(err)
}

// release is set by the build (-X main.release).
var release = "dev"

// version names this build: its release and the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return release + " (" + s.Value[:12] + ")"
		}
	}
	return release
}
