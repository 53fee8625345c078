//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/test/bed"
	"seer/test/bed/fault"
	"seer/test/bed/load"
)

func newFaultCommand() *cobra.Command {
	var (
		s        selection
		f        campaign.Fault
		duration time.Duration
		truth    string
		end      bool
	)
	cmd := &cobra.Command{
		Use:   "fault CAUSE",
		Short: "Break an application that is up, for a while",
		Long: `Fault breaks an application that is up in one way, and mends it after a while or
when it is interrupted. What it does is printed before it begins, as a line of
truth.jsonl whose times are Unix time.

` + causeList(),
		Example: `  sudo seerbed fault cpu --app social-network --culprit posts-storage --for 20s
  sudo seerbed fault network_failure --app hotel --for 5s
  sudo seerbed fault --clear --app hotel     end what a killed injector left`,
		Args: func(cmd *cobra.Command, args []string) error {
			want := 1
			if end {
				want = 0
			}
			if err := cobra.ExactArgs(want)(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(causeNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := s.name()
			if err != nil {
				return err
			}
			b, err := bed.Open(name, s.options)
			if err != nil {
				return err
			}
			defer b.Close()
			if end {
				return fault.Clear(cmd.Context(), b)
			}
			if f.Cause = campaign.Cause(args[0]); f.Cause.Class() == "" {
				return usageError{fmt.Errorf("there is no cause %q: `seerbed fault --help` lists them", f.Cause)}
			}
			if duration < time.Millisecond {
				return usageError{errors.New("for how long? give --for at least 1ms")}
			}
			f.ID = 1
			record := func(f *campaign.Fault) error {
				f.OnsetMS = time.Now().UnixMilli()
				f.EndMS = f.OnsetMS + duration.Milliseconds()
				return writeTruth(cmd.OutOrStdout(), truth, *f)
			}
			if f.Cause == campaign.CauseLoadSpike {
				return spike(cmd.Context(), b, f, duration, record)
			}
			return inject(cmd.Context(), b, f, duration, record)
		},
	}
	s.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.Culprit, "culprit", "", "the `SERVICE` to break")
	flags.StringSliceVar(&f.Peers, "peers", nil, "the other two services of a cycle (default any)")
	flags.Float64Var(&f.Intensity, "intensity", 0.7, "above 0, at most 1")
	flags.DurationVar(&duration, "for", 20*time.Second, "how long")
	flags.StringVar(&truth, "truth", "", "`FILE` to add the line to, too")
	flags.BoolVar(&end, "clear", false, "end the fault that a killed injector left")
	return cmd
}

// inject begins a fault once it has been recorded and ends it after a while.
func inject(ctx context.Context, b *bed.Bed, f campaign.Fault, duration time.Duration, record func(*campaign.Fault) error) error {
	i, err := fault.Prepare(ctx, b, f)
	if err != nil {
		return err
	}
	if err := record(&i.Fault); err != nil {
		return err
	}
	if err := i.Start(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(duration):
	case <-ctx.Done():
	}
	return errors.Join(i.Stop(ctx), ctx.Err())
}

// spike sends more load, besides that of another load generator.
func spike(ctx context.Context, b *bed.Bed, f campaign.Fault, duration time.Duration, record func(*campaign.Fault) error) error {
	const most = 3 // times the nominal load, on top of it
	o := campaign.PlanOptions{NoFaults: true, Rate: b.App.Load.Rate * most * f.Intensity}
	plan, err := campaign.NewPlan(b.App, 1, duration, o)
	if err != nil {
		return err
	}
	if err := record(&f); err != nil {
		return err
	}
	cfg := load.Config{Plan: plan}
	cfg.Aim(b)
	_, err = load.Run(ctx, cfg)
	return err
}

// writeTruth writes a line of truth to w, and to a file unless that is "". It is
// on disk when writeTruth returns.
func writeTruth(w io.Writer, path string, f campaign.Fault) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if path != "" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = file.Write(line)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	_, err = w.Write(line)
	return err
}

func causeNames() []string {
	var names []string
	for _, c := range campaign.Causes {
		names = append(names, string(c.Cause))
	}
	return names
}

// causeList is the causes by class, for the help.
func causeList() string {
	text := "The causes, by class:"
	var class campaign.Class
	for _, c := range campaign.Causes {
		if c.Class != class {
			class = c.Class
			text += fmt.Sprintf("\n  %-12s", class)
		}
		text += " " + string(c.Cause)
	}
	return text
}

func newAntagonistCommand() *cobra.Command {
	var cfg fault.AntagonistConfig
	cmd := &cobra.Command{
		Use:       "antagonist cpu|memory|disk",
		Short:     "Use up a resource",
		Hidden:    true, // a fault starts it
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"cpu", "memory", "disk"},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Kind = args[0]
			return fault.RunAntagonist(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&cfg.Intensity, "intensity", 1, "above 0, at most 1")
	f.IntVar(&cfg.CPU, "cpu", 0, "of cpu: which")
	f.StringVar(&cfg.Dir, "dir", ".", "of disk: `DIR` to write in")
	return cmd
}
