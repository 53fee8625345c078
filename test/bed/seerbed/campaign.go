//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/test/bed/conduct"
)

func newCampaignCommand() *cobra.Command {
	var (
		s          selection
		cfg        conduct.Config
		shape, mix string
	)
	cmd := &cobra.Command{
		Use:   "campaign",
		Short: "Load and break an application by a seeded schedule, and record all of it",
		Long: `Campaign takes an application up, traces it with Seer, loads and breaks it by a
schedule that follows from the seed, takes it down, and leaves a directory: what
was injected, what users felt and what Seer measured.

Interrupted or killed, it leaves an unfinished campaign. The same command with
--resume goes on with it.`,
		Example: `  sudo seerbed campaign --app social-network --seed 1 --duration 1h --out social-1
  sudo seerbed campaign --app hotel --seed 2 --mix compute=2,disk=1 --out hotel-2
  sudo seerbed campaign --app hotel --seed 2 --mix compute=2,disk=1 --out hotel-2 --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Out == "" {
				return usageError{errors.New("where to? give --out")}
			}
			if cfg.App, err = s.topology(); err != nil {
				return err
			}
			if cfg.Plan.Shape, err = campaign.ParseShape(shape); err != nil {
				return usageError{err}
			}
			if mix != "" {
				if cfg.Plan.Mix, err = campaign.ParseMix(mix); err != nil {
					return usageError{err}
				}
			}
			if _, err := os.Stat(cfg.Seer); err != nil {
				return usageError{fmt.Errorf("no program %q to trace with: build it with `make build`, or give --seer", cfg.Seer)}
			}
			cfg.Bed = s.options
			w := cmd.ErrOrStderr()
			cfg.Bed.Progress = progress(w)
			cfg.Progress = showCampaign(w)
			cfg.Note = func(text string) { fmt.Fprintln(w, text) }
			result, err := conduct.Run(cmd.Context(), cfg)
			if err != nil {
				if _, open := campaign.Open(cfg.Out); open == nil && !campaign.Complete(cfg.Out) {
					err = fmt.Errorf("%w (%s is unfinished: --resume goes on with it)", err, cfg.Out)
				}
				return err
			}
			return printCampaign(cmd.OutOrStdout(), cfg.Out, result)
		},
	}
	s.addTo(cmd)
	f := cmd.Flags()
	f.Uint64Var(&cfg.Seed, "seed", 1, "of the schedule, the requests, and what services do by chance")
	f.DurationVar(&cfg.Duration, "duration", 15*time.Minute, "how long")
	f.StringVar(&cfg.Out, "out", "", "`DIR` for the campaign")
	f.BoolVar(&cfg.Resume, "resume", false, "go on with the unfinished campaign in --out")
	f.StringVar(&cfg.Seer, "seer", defaultSeer(), "the `PROGRAM` seer")
	f.DurationVar(&cfg.Tick, "tick", 100*time.Millisecond, "length of one sample")
	f.StringVar(&cfg.Budget, "cpu-budget", conduct.DefaultBudget, "Seer's `SHARE` of the host's CPUs")
	f.Float64Var(&cfg.Plan.Rate, "rate", 0, "requests per `SECOND` (default the application's nominal load)")
	f.StringVar(&shape, "shape", string(campaign.ShapeConstant), "of the load: constant, diurnal or spiky")
	f.StringVar(&mix, "mix", "", "weights of causes or classes, such as `application=2,disk=1` (default the paper's)")
	f.BoolVar(&cfg.Plan.NoFaults, "no-faults", false, "nominal load only")
	f.DurationVar(&cfg.Load.Timeout, "timeout", 5*time.Second, "when users give up")
	f.BoolVar(&cfg.Plan.Acceptance, "acceptance", false, "allow the seeds that are kept for acceptance")
	return cmd
}

// defaultSeer is the seer beside this program.
func defaultSeer() string {
	self, err := os.Executable()
	if err != nil {
		return "seer"
	}
	return filepath.Join(filepath.Dir(self), "seer")
}

// showCampaign prints a line for every window of the load.
func showCampaign(w io.Writer) func(conduct.Progress) {
	return func(p conduct.Progress) {
		present := ""
		if p.Fault != nil {
			present = fmt.Sprintf("  fault %d: %s of %s", p.Fault.ID, p.Fault.Cause, cmp.Or(p.Fault.Culprit, "the host"))
		}
		fmt.Fprintf(w, "%8s of %s, %s left  %5d requests  %d errors  p99 %.1f ms%s\n", p.Done.Round(time.Second), p.Total,
			(p.Total - p.Done).Round(time.Second), p.Window.Ended, p.Window.Errors, p.Window.Latency.P99, present)
	}
}

// printCampaign says what a campaign came to, after holding its directory to all
// that is promised of one.
func printCampaign(w io.Writer, dir string, r *conduct.Result) error {
	explained := 0
	for _, v := range r.Violations {
		if v.Fault != 0 {
			explained++
		}
	}
	fmt.Fprintf(w, "%s: %d requests, %d errors and timeouts; %d faults, %d violations, %d of them explained by a fault\n",
		dir, r.Report.Requests, r.Report.Errors+r.Report.Timeouts, r.Faults, len(r.Violations), explained)
	problems := campaign.Check(dir)
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s has %d problems", dir, len(problems))
	}
	return nil
}
