package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/infer/sim/calibrate"
)

func newCompareCommand() *cobra.Command {
	var warmup time.Duration
	cmd := &cobra.Command{
		Use:   "compare DIR DIR",
		Short: "Say how far two runs of one application agree",
		Long: `Compare reads two campaign directories of one application, a measured one and a
simulated one for example, and says what each showed before its first fault: users'
latency, and per service how many requests it answered and how many were outstanding.
It also says how far the violations of both agree, those with faults included.`,
		Example: `  seersim compare runs/testbed runs/simulated`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("compare: %d directories given, want two: see `seersim compare --help`", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var dirs [2]*campaign.Dir
			for i, name := range args {
				var err error
				if dirs[i], err = campaign.Open(name); err != nil {
					return err
				}
			}
			c, err := calibrate.Compare(dirs[0], dirs[1], warmup)
			if err != nil {
				return fmt.Errorf("compare: %w", err)
			}
			return printComparison(cmd.OutOrStdout(), c)
		},
	}
	cmd.Flags().DurationVar(&warmup, "warmup", 5*time.Second, "leave out the beginning")
	return cmd
}

func printComparison(out io.Writer, c *calibrate.Comparison) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SERVICE\tper s\tsecond\toutstanding\tsecond\toff\trunnable\tsecond\t")
	for i := range c.Services {
		s := &c.Services[i]
		off := "-"
		if e, told := s.DepthError(); told {
			off = fmt.Sprintf("%+.0f%%", 100*e)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.3f\t%.3f\t%s\t%.3f\t%.3f\t\n", s.Name, s.Rate[0], s.Rate[1],
			s.Outstanding[0], s.Outstanding[1], off, s.Ready[0], s.Ready[1])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "requests/s %.1f and %.1f; p50 %.2f and %.2f ms (%+.0f%%); p99 %.2f and %.2f ms (%+.0f%%)\n"+
		"outstanding: median error %.0f%%; violations agree to %.0f%%\n",
		c.Rate[0], c.Rate[1], c.P50[0]/1e3, c.P50[1]/1e3, 100*(c.P50[1]/c.P50[0]-1), c.P99[0]/1e3, c.P99[1]/1e3, 100*(c.P99[1]/c.P99[0]-1),
		100*c.DepthError, 100*c.Agreement)
	return err
}
