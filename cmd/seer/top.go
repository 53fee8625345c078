package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"seer/cmd/seer/top"
)

// newTopCommand returns `seer top`.
func newTopCommand() *cobra.Command {
	opts := top.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show every container's queues, live",
		Long: `Top shows the queues of every container or service on this host in the
terminal: what waits where, how it developed, and which queue is contended.

It shows what the running Seer measures. When none runs, and as root, it
measures by itself until it ends. Press ? for the keys and the columns, e for
who calls whom: the application as a tree from its entry services down.`,
		Example: `  seer top
  seer top --group service --sort runq
  seer top --once --filter shop
  seer top --once --graph`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path := os.Getenv("SEER_SOCKET"); path != "" && !cmd.Flags().Changed("socket") {
				opts.Socket = path
			}
			return topError(top.Run(cmd.Context(), opts, os.Stdout))
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Socket, "socket", opts.Socket, "control socket of the running seer (SEER_SOCKET)")
	f.DurationVarP(&opts.Interval, "interval", "d", opts.Interval, "what the numbers cover, 250ms to 1m")
	f.BoolVar(&opts.Once, "once", false, "print one interval as text and exit")
	f.BoolVar(&opts.Graph, "graph", false, "begin with who calls whom, or print that with --once")
	f.StringVar(&opts.Group, "group", opts.Group, "container or service")
	f.StringVar(&opts.Sort, "sort", opts.Sort, "column to sort by")
	f.StringVar(&opts.Filter, "filter", "", "show only names with these words")
	f.IntVar(&opts.Width, "width", 0, "width of --once (default the terminal's, or 80)")
	for flag, words := range map[string][]string{"sort": top.SortNames(), "group": {"container", "service"}} {
		if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// topError gives an error of the display its exit code.
func topError(err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("top: %w", err)
	switch {
	case errors.Is(err, top.ErrUsage):
		return usageError(wrapped)
	case errors.Is(err, top.ErrUnavailable):
		return kernelError(wrapped)
	}
	return wrapped
}
