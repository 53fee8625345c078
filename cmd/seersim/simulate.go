package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/sim/record"
)

// simulateFlags are those of `seersim` itself.
type simulateFlags struct {
	app, out      string
	seed          uint64
	duration      time.Duration
	rate          float64
	load, faults  string
	tick          time.Duration
	hosts, cores  int
	replicas      int
	updates       []string
	check, accept bool
}

func newSimulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "seersim --app APP --seed N --duration 1h --out DIR",
		Short: "Applications of microservices, their queues and faults, in virtual time",
		Long: `Seersim simulates an application under load and faults, and writes what the queues
of each container showed, what the users felt and what was injected into a
campaign's directory, as the testbed does. The same seed gives the same bytes.`,
		Example: `  seersim --app social-network --seed 1 --duration 1h --out runs/1
  seersim --app shop.yaml --seed 1 --duration 10m --faults off --out runs/nominal
  seersim --app hotel --seed 2 --duration 1h --faults compute=2,disk=1 --load diurnal --out runs/2
  seersim check runs/1
  seersim calibrate --from runs/testbed --out calibrated.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("no command %q: see `seersim --help`", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return simulate(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.app, "app", "", "application: social-network, media, ecommerce, banking, hotel, or a file")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of load, faults and everything random; from 9000 kept for acceptance")
	flags.DurationVar(&f.duration, "duration", time.Hour, "simulated time")
	flags.StringVar(&f.out, "out", "", "directory to write; it must not exist, or be empty")
	flags.Float64Var(&f.rate, "rate", 0, "requests per second (default the application's nominal load, times --replicas)")
	flags.StringVar(&f.load, "load", "constant", "shape of the load: constant, diurnal, spiky")
	flags.StringVar(&f.faults, "faults", "on", "on, off, or weights of causes or classes: cpu=3,network=1")
	flags.DurationVar(&f.tick, "tick", 100*time.Millisecond, "time between samples")
	flags.IntVar(&f.hosts, "hosts", 0, "number of hosts (default --replicas)")
	flags.IntVar(&f.cores, "cores", 2, "CPUs of each host")
	flags.IntVar(&f.replicas, "replicas", 1, "multiply the replicas of every service")
	flags.StringArrayVar(&f.updates, "update", nil, "TIME=FILE: from then on the application is FILE's; may be repeated")
	flags.BoolVar(&f.check, "check", false, "check the directory when it is complete")
	flags.BoolVar(&f.accept, "acceptance", false, "allow the seeds that are kept for acceptance")
	return cmd
}

// options turns flags into what to run.
func (f *simulateFlags) options() (*record.Options, error) {
	if f.out == "" {
		return nil, usageError{errors.New("--out: which directory to write?")}
	}
	if f.replicas < 1 {
		return nil, usageError{fmt.Errorf("--replicas %d: want one or more", f.replicas)}
	}
	app, err := loadApp(f.app)
	if err != nil {
		return nil, err
	}
	scaleReplicas(app, f.replicas)
	plan := campaign.PlanOptions{Shape: campaign.Shape(f.load), Rate: f.rate, Acceptance: f.accept}
	switch f.faults {
	case "on":
	case "off":
		plan.NoFaults = true
	default:
		if plan.Mix, err = campaign.ParseMix(f.faults); err != nil {
			return nil, usageError{fmt.Errorf("--faults: %w", err)}
		}
	}
	if f.tick <= 0 || f.tick%time.Millisecond != 0 || f.duration%f.tick != 0 {
		return nil, usageError{fmt.Errorf("--tick %v: want whole milliseconds of which --duration %v is a multiple", f.tick, f.duration)}
	}
	o := &record.Options{Versions: map[string]string{"seer": version(), "simulator": sim.Version}}
	if o.Plan, err = campaign.NewPlan(app, f.seed, f.duration, plan); err != nil {
		return nil, usageError{err}
	}
	hosts := f.hosts
	if hosts == 0 {
		hosts = f.replicas
	}
	o.Sim = sim.Config{Hosts: hosts, Cores: f.cores, Tick: f.tick}
	if o.Sim.Updates, err = parseUpdates(f.updates, f.replicas); err != nil {
		return nil, err
	}
	o.Options = map[string]string{"hosts": strconv.Itoa(hosts), "cores": strconv.Itoa(f.cores), "replicas": strconv.Itoa(f.replicas)}
	if len(f.updates) > 0 {
		o.Options["updates"] = strings.Join(f.updates, ",")
	}
	return o, nil
}

func simulate(ctx context.Context, f simulateFlags, stdout, stderr io.Writer) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	p := newProgress(stderr, f.duration)
	o.Progress = p.show
	result, err := record.Run(ctx, f.out, *o)
	p.end()
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %s is incomplete, as its manifest says: remove it and begin again", f.out)
		}
		return err
	}
	if f.check {
		if problems := campaign.Check(f.out); len(problems) > 0 {
			return fmt.Errorf("%s: %d problems, the first: %s", f.out, len(problems), problems[0])
		}
	}
	explained := 0
	for _, v := range result.Violations {
		if v.Fault != 0 {
			explained++
		}
	}
	fmt.Fprintf(stdout, "%s: %v of %s, %d faults, %d violations (%d explained by a fault), %.1f million events in %v\n",
		f.out, f.duration, o.Plan.App.Name, result.Faults, len(result.Violations), explained, float64(result.Events)/1e6, p.elapsed().Round(100*time.Millisecond))
	return nil
}

// release is set by the build (-X main.release).
var release = "dev"

// version names this build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return release + " (" + s.Value[:12] + ")"
			}
		}
	}
	return release
}
