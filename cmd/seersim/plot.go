package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"seer/infer/campaign/plot"
)

func newPlotCommand() *cobra.Command {
	var o plot.Options
	cmd := &cobra.Command{
		Use:   "plot DIR --out FILE",
		Short: "Draw what users felt, the faults behind it, and a service's queues",
		Long: `Plot draws a campaign's directory, of the simulator or of the testbed, complete or
not: the promised percentile of each entry service with its target, faults and
violations, the rate of requests, and the queues of one service.`,
		Example: `  seersim plot runs/1 --out run.png
  seersim plot runs/1 --out run.svg --service search --from 10m --to 15m`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("plot: which directory? one; see `seersim plot --help`")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if ext := filepath.Ext(o.File); ext != ".png" && ext != ".svg" {
				return usageError{fmt.Errorf("plot: --out %q: want a file that ends in .png or .svg", o.File)}
			}
			return plot.Timeline(args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.File, "out", "", "FILE to write, .png or .svg")
	f.StringVar(&o.Service, "service", "", "whose queues (default: the culprit that was hit for the longest)")
	f.DurationVar(&o.From, "from", 0, "where to begin, time since the start")
	f.DurationVar(&o.To, "to", 0, "where to end (default: all of it)")
	return cmd
}
