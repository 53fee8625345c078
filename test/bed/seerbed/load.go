//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"seer/collector"
	"seer/infer/campaign"
	"seer/test/bed"
	"seer/test/bed/load"
)

// tickMS is the tick of a campaign without samples.
const tickMS = 100

func newLoadCommand() *cobra.Command {
	var (
		s        selection
		o        campaign.PlanOptions
		shape    string
		duration time.Duration
		seed     uint64
		out      string
		asJSON   bool
		cfg      load.Config
	)
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Send users' requests to an application that is up",
		Long: `Load sends users' requests to an application that is up, at times that follow from
the seed, whatever becomes of them. Latency counts from the moment at which a
request was meant to be sent.

With --out it writes a campaign directory without samples, of which "seersim check"
finds nothing else to say.`,
		Example: `  sudo seerbed load --app social-network --duration 2m
  sudo seerbed load --app hotel --rate 300 --shape diurnal --duration 1h --out hotel-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := s.name()
			if err != nil {
				return err
			}
			b, err := bed.Open(name, s.options)
			if err != nil {
				return err
			}
			defer b.Close()
			if o.Shape, err = campaign.ParseShape(shape); err != nil {
				return usageError{err}
			}
			o.NoFaults = true
			if cfg.Plan, err = campaign.NewPlan(b.App, seed, duration, o); err != nil {
				return usageError{err}
			}
			cfg.Aim(b)
			if !asJSON {
				cfg.Progress = showWindow(cmd.ErrOrStderr(), duration)
			}
			if err := load.Prioritise(); err != nil {
				slog.Warn("requests may be sent late", "err", err)
			}
			report, err := sendLoad(cmd.Context(), cfg, out)
			if report != nil {
				err = errors.Join(err, printReport(cmd.OutOrStdout(), report, asJSON))
			}
			return err
		},
	}
	s.addTo(cmd)
	f := cmd.Flags()
	f.Float64Var(&o.Rate, "rate", 0, "requests per `SECOND` (default the application's nominal load)")
	f.StringVar(&shape, "shape", string(campaign.ShapeConstant), "of the load: constant, diurnal or spiky")
	f.DurationVar(&duration, "duration", time.Minute, "how long")
	f.Uint64Var(&seed, "seed", 1, "of the times and kinds of requests")
	f.IntVar(&cfg.Connections, "connections", 0, "connections kept open (default the application's)")
	f.IntVar(&cfg.InFlight, "in-flight", 0, "most requests under way; those due beyond it are errors (default 2048)")
	f.DurationVar(&cfg.Timeout, "timeout", 5*time.Second, "when users give up")
	f.StringVar(&out, "out", "", "`DIR` for every request, as a campaign without samples")
	f.BoolVarP(&asJSON, "json", "j", false, "one JSON object")
	return cmd
}

// sendLoad runs a load, and keeps its requests in a campaign's directory unless
// that is "".
func sendLoad(ctx context.Context, cfg load.Config, out string) (*load.Report, error) {
	if out == "" {
		return load.Run(ctx, cfg)
	}
	cfg.Start = time.Now().Add(time.Second).Truncate(time.Millisecond) // connections first
	w, err := campaign.Create(out, manifest(cfg.Plan, cfg.Start), cfg.Plan.App)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cfg.Record = w.Request
	report, err := load.Run(ctx, cfg)
	if report == nil || err != nil {
		return report, err
	}
	if err := w.Update(func(m *campaign.Manifest) { m.Notes = append(m.Notes, report.Notes()...) }); err != nil {
		return report, err
	}
	_, err = w.Finish()
	return report, err
}

// manifest describes a campaign of load alone.
func manifest(p *campaign.Plan, start time.Time) campaign.Manifest {
	services, _ := p.App.Order()
	m := campaign.Manifest{
		App: p.App.Name, Seed: p.Seed, Source: campaign.SourceTestbed, Start: start,
		DurationMS: p.Duration.Milliseconds(), TickMS: tickMS, Services: services,
		Options:  p.Options.Strings(),
		Versions: map[string]string{"go": runtime.Version()},
	}
	// None was measured, but a reader wants to know the columns.
	for _, q := range collector.Queues {
		m.Queues = append(m.Queues, q.Name)
	}
	for _, c := range p.App.Containers() {
		m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service})
	}
	for _, q := range p.App.QoS {
		m.QoS = append(m.QoS, campaign.QoS{Service: q.Service, Percentile: q.Percentile, TargetMS: q.Target.Seconds() * 1000})
	}
	return m
}

// showWindow prints a line every load.WindowLength.
func showWindow(w io.Writer, total time.Duration) func(load.Window) {
	return func(x load.Window) {
		fmt.Fprintf(w, "%4.0f of %.0f s  %6d requests  %d errors  p50 %.2f  p99 %.2f  max %.2f ms\n",
			x.StartS+load.WindowLength.Seconds(), total.Seconds(), x.Ended, x.Errors, x.Latency.P50, x.Latency.P99, x.Latency.Max)
	}
}

func printReport(w io.Writer, r *load.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	return r.Text(w)
}
