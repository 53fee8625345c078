package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/evaluate"
	"seer/infer/network"
	"seer/infer/window"
)

// trainFlags are the flags of seer train.
type trainFlags struct {
	data       []string
	validation []string
	out, kind  string
	queues     string
	ticks      int
	spare      int
	horizon    time.Duration
	falseShare float64
	reaction   time.Duration
}

func newTrainCommand() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train --data DIR... --out FILE",
		Short: "Learn from recorded violations to predict the next ones",
		Long: `Train learns from the directories of campaigns (seersim, seerbed campaign) of one
application, which service is about to start a violation of its promise to the
users, and writes a model to a file.

Where no --validation is given, the last fifth of each directory is kept from
training: on it, learning stops and the threshold of the alarm is chosen, so that no
more than --false-share of the alarms there are false. Seeds from 9000 are kept for
acceptance and refused.`,
		Example: `  seersim --app hotel --seed 1 --duration 8h --out runs/1
  seersim --app hotel --seed 2 --duration 2h --out runs/2
  seer train --data runs/1 --validation runs/2 --out hotel.model
  seer eval --data runs/3 --model hotel.model`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return usageError(fmt.Errorf("train: %w", err))
			}
			if err := runTrain(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("train: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.data, "data", nil, "DIR of a campaign to learn from; may be repeated")
	flags.StringArrayVar(&f.validation, "validation", nil, "DIR of a campaign to stop and to choose the threshold on; may be repeated")
	flags.StringVar(&f.out, "out", "", "FILE to write the model to")
	flags.StringVar(&f.kind, "kind", network.Ships, "kind of model: "+strings.Join(trainerNames(), ", "))
	flags.StringVar(&f.queues, "queues", window.SelectAll, "which queues it sees: "+strings.Join(window.Selections, ", "))
	flags.IntVar(&f.ticks, "window", 10, "how many ticks it sees")
	flags.IntVar(&f.spare, "spare", 4, "room for services to come")
	flags.DurationVar(&f.horizon, "horizon", 500*time.Millisecond, "how far ahead it predicts")
	flags.Float64Var(&f.falseShare, "false-share", evaluate.DefaultFalseShare, "share of the alarms that may be false")
	flags.DurationVar(&f.reaction, "reaction", defaultReaction, "time from an alarm to the end of the action")
	for _, dir := range []string{"data", "validation"} {
		_ = cmd.MarkFlagDirname(dir)
	}
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(trainerNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("queues", cobra.FixedCompletions(window.Selections, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *trainFlags) check() error {
	switch {
	case len(f.data) == 0:
		return errors.New("nothing to learn from: name a campaign's directory with --data DIR")
	case f.out == "":
		return errors.New("no file: say where the model goes with --out FILE")
	case !(f.falseShare >= 0 && f.falseShare < 1):
		return fmt.Errorf("--false-share %v: want 0 or more, below 1", f.falseShare)
	case f.spare < 0:
		return fmt.Errorf("--spare %d: want 0 or more", f.spare)
	}
	_, err := trainerOf(f.kind)
	return err
}

// options returns what training data are opened with.
func (f *trainFlags) options() window.DataOptions {
	spare := f.spare
	if spare == 0 {
		spare = -1 // 0 means the default there
	}
	return window.DataOptions{
		Layout:     window.LayoutOptions{Queues: f.queues, Ticks: f.ticks, Spare: spare, HorizonMS: f.horizon.Milliseconds()},
		Validation: f.validation,
	}
}

func runTrain(ctx context.Context, f trainFlags, stdout, stderr io.Writer) error {
	p := newProgress(stderr)
	defer p.end()
	o := f.options()
	o.Progress = p.step("reading %d campaigns", len(f.data)+len(f.validation))
	d, err := window.OpenData(ctx, f.data, o)
	if err != nil {
		return err
	}
	defer d.Close()
	begin := time.Now()
	m, point, err := learn(ctx, f.kind, d, p, f.falseShare, evaluate.Options{ReactionMS: f.reaction.Milliseconds()})
	if err != nil {
		return err
	}
	if err := m.Save(f.out); err != nil {
		return err
	}
	p.end()
	fmt.Fprintf(stdout, "%s: %s, trained in %v; on validation it detects %.1f%%, %.1f%% with the culprit, %.1f%% of the alarms are false, at a threshold of %.3g\n",
		f.out, f.kind, time.Since(begin).Round(time.Second), 100*point.Detection, 100*point.Joint, 100*point.FalseShare, point.Threshold)
	return nil
}

// learn trains a kind of model and chooses its threshold.
func learn(ctx context.Context, kind string, d *window.Data, p *progress, falseShare float64, o evaluate.Options) (trained, evaluate.Point, error) {
	var point evaluate.Point
	train, err := trainerOf(kind)
	if err != nil {
		return nil, point, err
	}
	examples, validation, err := d.Samples(window.SampleOptions{})
	if err != nil {
		return nil, point, err
	}
	m, err := train(ctx, d, examples, validation, p.step("training %s on %d windows before violations", kind, examples.Positives()))
	if err != nil {
		return nil, point, err
	}
	point, err = evaluate.Tune(ctx, d, m, falseShare, o, p.step("choosing the threshold of %s", kind))
	if err != nil {
		return nil, point, fmt.Errorf("%s: %w", kind, err)
	}
	m.SetThreshold(point.Threshold)
	return m, point, nil
}
