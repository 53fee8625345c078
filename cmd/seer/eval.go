package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seer/collector/tracedb/embedded"
	"seer/infer/baseline"
	"seer/infer/evaluate"
	"seer/infer/evaluate/plot"
	"seer/infer/window"
)

// defaultReaction is the time from an alarm to the end of the action. Inference takes
// a tenth of a millisecond, a diagnosis reads some files, an actuator writes some.
const defaultReaction = 10 * time.Millisecond

// evalFlags are the flags of seer eval.
type evalFlags struct {
	data       []string
	db         string
	models     []string
	baseline   string
	train      trainFlags
	reaction   time.Duration
	asJSON     bool
	plots      string
	falseShare float64
}

func newEvalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --data DIR...|--db DIR [--model FILE]",
		Short: "Say how many violations were predicted, and how many alarms were false",
		Long: `Eval lets a model judge every tick of what was recorded, and compares its alarms
with the violations that users felt: those of campaigns (--data), or those that a
database holds (--db, after seer import of a campaign).

A violation is detected by an alarm before its onset, at most 500 ms ahead and not
later than the reaction time; other horizons are given, too. An alarm outside of all
violations is false if no onset follows within the horizon. Shares have their 95 %
intervals.

--baseline trains a baseline on the campaigns that --train names and judges it
beside the model: queue and utilisation are thresholds, growth is Little's law
against nominal, logistic and trees learn from violations; all means all five.
Those three that need only nominal load do without --train: then the first fifth
of what is judged tells what is normal, and is left out.

With neither --model nor --baseline, growth is judged: what serves where there is
no model.`,
		Example: `  seer eval --data runs/3 --model hotel.model
  seer eval --data runs/3 --baseline all --train runs/1 --validation runs/2 -j
  seer eval --db /var/lib/seer --model hotel.model`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return usageError(fmt.Errorf("eval: %w", err))
			}
			if err := runEval(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("eval: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.data, "data", nil, "DIR of a campaign to judge; may be repeated")
	flags.StringVar(&f.db, "db", "", "DIR of a database to judge")
	flags.StringArrayVar(&f.models, "model", nil, "FILE of a model; may be repeated")
	flags.StringVar(&f.baseline, "baseline", "", "judge a baseline, too: "+strings.Join(baseline.Names, ", ")+", or all")
	flags.StringArrayVar(&f.train.data, "train", nil, "DIR of a campaign to train baselines on; may be repeated")
	flags.StringArrayVar(&f.train.validation, "validation", nil, "DIR of a campaign to tune baselines on; may be repeated")
	flags.StringVar(&f.train.queues, "queues", window.SelectAll, "which queues baselines see: "+strings.Join(window.Selections, ", "))
	flags.IntVar(&f.train.ticks, "window", 10, "how many ticks baselines see")
	flags.DurationVar(&f.train.horizon, "horizon", 500*time.Millisecond, "how far ahead baselines predict")
	flags.Float64Var(&f.falseShare, "false-share", evaluate.DefaultFalseShare, "share of a baseline's alarms that may be false, on validation")
	flags.DurationVar(&f.reaction, "reaction", defaultReaction, "time from an alarm to the end of the action")
	flags.StringVar(&f.plots, "plot", "", "DIR to draw into: precision and recall, lead, causes, culprits")
	flags.BoolVarP(&f.asJSON, "json", "j", false, "print one JSON object")
	for _, dir := range []string{"data", "db", "train", "validation", "plot"} {
		_ = cmd.MarkFlagDirname(dir)
	}
	_ = cmd.RegisterFlagCompletionFunc("baseline", cobra.FixedCompletions(append(slices.Clone(baseline.Names), "all"), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("queues", cobra.FixedCompletions(window.Selections, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *evalFlags) check() error {
	switch {
	case len(f.data) == 0 && f.db == "":
		return errors.New("nothing to judge: name a campaign with --data DIR, or a database with --db DIR")
	case len(f.data) > 0 && f.db != "":
		return errors.New("--data and --db: want one of them")
	case !(f.falseShare >= 0 && f.falseShare < 1):
		return fmt.Errorf("--false-share %v: want 0 or more, below 1", f.falseShare)
	case f.reaction < 0:
		return fmt.Errorf("--reaction %v: want 0 or more", f.reaction)
	}
	if f.baseline == "" && len(f.models) == 0 {
		f.baseline = baseline.Growth
	}
	if f.baseline == "" {
		return nil
	}
	names, err := baseline.ParseName(f.baseline)
	if err != nil {
		return err
	}
	for _, name := range names {
		if len(f.train.data) == 0 && baseline.Learns(name) {
			return fmt.Errorf("--baseline %s: it learns from violations: name campaigns with --train DIR", f.baseline)
		}
	}
	return nil
}

func runEval(ctx context.Context, f evalFlags, stdout, stderr io.Writer) error {
	p := newProgress(stderr)
	defer p.end()
	o := evaluate.Options{ReactionMS: f.reaction.Milliseconds()}
	e := judging{f: f, o: o, p: p, results: map[string]evaluate.Result{}}
	defer e.close()
	for _, path := range f.models {
		c, err := loadModel(path)
		if err != nil {
			return err
		}
		if err := e.judge(ctx, c, nil); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if f.baseline != "" {
		if err := e.baselines(ctx); err != nil {
			return err
		}
	}
	p.end()
	report, err := evaluate.NewReport(e.names, e.results, e.runs, o)
	if err != nil {
		return err
	}
	if report.Violations == 0 {
		fmt.Fprintln(stderr, "eval: no violation happened in what was judged: only false alarms can be told")
	}
	if f.plots != "" {
		if err := plot.Save(report, e.names, f.plots); err != nil {
			return err
		}
	}
	if !f.asJSON {
		return report.WriteText(stdout, e.names)
	}
	out := json.NewEncoder(stdout)
	out.SetIndent("", "  ")
	return out.Encode(report)
}

// judging collects the results of one model after the other.
type judging struct {
	f       evalFlags
	o       evaluate.Options
	p       *progress
	names   []string
	results map[string]evaluate.Result
	runs    []*window.Run // of the last model: all have the same truth
	open    []*window.Run
}

func (e *judging) close() {
	for _, r := range e.open {
		r.Close()
	}
}

// openRuns opens what is judged. A layout of nil means that of what was recorded.
func (e *judging) openRuns(ctx context.Context, l *window.Layout) ([]*window.Run, error) {
	var o window.OpenOptions
	if tell := e.p.step("reading what is judged"); tell != nil {
		o.Progress = func(done, total float64) { tell(done / total) }
	}
	if e.f.db == "" {
		if l == nil {
			first, err := window.OpenCampaign(ctx, e.f.data[0], nil, window.OpenOptions{})
			if err != nil {
				return nil, err
			}
			first.Close()
			l = first.Layout
		}
		runs, err := window.OpenCampaigns(ctx, e.f.data, l, o)
		e.open = append(e.open, runs...)
		return runs, err
	}
	db, err := embedded.OpenCopy(ctx, e.f.db, embedded.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	r, err := window.OpenDatabase(ctx, e.f.db, db, l, o)
	if err != nil {
		return nil, err
	}
	e.open = append(e.open, r)
	return []*window.Run{r}, nil
}

// judge lets one model judge all runs, which it opens where they are nil.
func (e *judging) judge(ctx context.Context, c *candidate, runs []*window.Run) error {
	if runs == nil {
		var err error
		if runs, err = e.openRuns(ctx, c.layout); err != nil {
			return err
		}
	}
	traces, err := evaluate.AskAll(ctx, runs, c.scale, c.model, e.p.step("judging with %s", c.name))
	if err != nil {
		return err
	}
	result, err := evaluate.Evaluate(traces, c.threshold, e.o)
	if err != nil {
		return err
	}
	result.Curve = evaluate.Curve(traces, e.o)
	name := c.name
	for n := 2; slices.Contains(e.names, name); n++ {
		name = fmt.Sprintf("%s %d", c.name, n)
	}
	e.names = append(e.names, name)
	e.results[name] = *result
	e.runs = runs
	return nil
}

// baselines trains those that were asked for, and judges them.
func (e *judging) baselines(ctx context.Context) error {
	names, err := baseline.ParseName(e.f.baseline)
	if err != nil {
		return err
	}
	if len(e.f.train.data) == 0 {
		return e.nominal(ctx, names)
	}
	o := e.f.train.options()
	o.Progress = e.p.step("reading %d campaigns to train on", len(e.f.train.data)+len(e.f.train.validation))
	d, err := window.OpenData(ctx, e.f.train.data, o)
	if err != nil {
		return err
	}
	defer d.Close()
	runs, err := e.openRuns(ctx, d.Layout)
	if err != nil {
		return err
	}
	for _, name := range names {
		m, point, err := learn(ctx, name, d, e.p, e.f.falseShare, e.o)
		if err != nil {
			return err
		}
		if err := e.judge(ctx, &candidate{name, d.Layout, d.Scale, point.Threshold, m}, runs); err != nil {
			return err
		}
	}
	return nil
}

// nominal judges baselines that know only what is normal: from the first part of what
// is judged, which is then left out.
func (e *judging) nominal(ctx context.Context, names []string) error {
	all, err := e.openRuns(ctx, nil)
	if err != nil {
		return err
	}
	var before, runs []*window.Run
	for _, r := range all {
		a, b := r.Split(nominalShare)
		before, runs = append(before, a), append(runs, b)
	}
	scale, err := window.EstimateScale(before)
	if err != nil {
		return err
	}
	quiet, err := window.NewSequence(before, scale)
	if err != nil {
		return err
	}
	for _, name := range names {
		m, err := baseline.Train(ctx, name, scale, quiet, nil, nil)
		if err != nil {
			return err
		}
		if err := e.judge(ctx, &candidate{name, all[0].Layout, scale, m.Threshold, m}, runs); err != nil {
			return err
		}
	}
	return nil
}

// nominalShare of what is judged tells what is normal where nothing else does.
const nominalShare = 0.2
