package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/infer/sim/calibrate"
)

func newCalibrateCommand() *cobra.Command {
	var (
		from, out string
		o         calibrate.Options
	)
	cmd := &cobra.Command{
		Use:   "calibrate --from DIR --out FILE",
		Short: "Fit a description to a run without faults",
		Long: `Calibrate reads a campaign's directory, of the testbed for example, and writes its
application with other costs: CPU time of each service, its spread, and what
messages cost, so that the simulator shows what was measured. Only what comes
before the first fault counts.`,
		Example: `  seersim calibrate --from runs/testbed --out calibrated.yaml
  seersim --app calibrated.yaml --seed 1 --duration 1h --out runs/1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("calibrate: what is %q? see `seersim calibrate --help`", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || out == "" {
				return usageError{errors.New("calibrate: --from and --out: which directory to read, which file to write?")}
			}
			return fit(cmd.Context(), from, out, o, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "directory of a campaign, without faults for at least ten seconds")
	flags.StringVar(&out, "out", "", "file to write; it must not exist")
	flags.IntVar(&o.Hosts, "hosts", 1, "number of hosts that were measured")
	flags.IntVar(&o.Cores, "cores", 2, "CPUs of each")
	flags.DurationVar(&o.Warmup, "warmup", 5*time.Second, "leave out the beginning")
	return cmd
}

func fit(ctx context.Context, from, out string, o calibrate.Options, stdout io.Writer) error {
	dir, err := campaign.Open(from)
	if err != nil {
		return err
	}
	app, report, err := calibrate.Fit(ctx, dir, o)
	if err != nil {
		return fmt.Errorf("calibrate from %s: %w", from, err)
	}
	text, err := app.Marshal()
	if err != nil {
		return err
	}
	if err := writeNew(out, text); err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SERVICE\tper s\tmeasured\tfitted\tdepth\tfitted\t")
	for _, s := range report.Services {
		own, depth := fmt.Sprintf("%.0f us", s.Own), fmt.Sprintf("%.3f", s.Depth)
		if !s.Measured {
			own, depth = "-", "-"
		}
		fmt.Fprintf(w, "%s\t%.1f\t%s\t%.0f us\t%s\t%.3f\t\n", s.Name, s.Rate, own, s.FittedOwn, depth, s.FittedDepth)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if report.Ready > 1.5*report.FittedReady {
		fmt.Fprintf(stdout, "threads waited for a CPU for longer than the application explains: was the machine busy with something else?\n")
	}
	m := report.Machine
	fmt.Fprintf(stdout, "users: p50 %.1f ms, fitted %.1f; p99 %.1f ms, fitted %.1f, at %.0f requests/s\nthreads waiting for a CPU: %.3f, fitted %.3f\nmessages: %v CPU to receive, %v to send, %v of the host; %v on the way\n%s\n",
		report.P50/1e3, report.FittedP50/1e3, report.P99/1e3, report.FittedP99/1e3, report.Rate,
		report.Ready, report.FittedReady, m.Receive, m.Send, m.Kernel, m.Hop, out)
	return nil
}

// writeNew writes a file that must not exist, all of it or nothing.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}
