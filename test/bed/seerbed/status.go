//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seer/test/bed"
)

func newStatusCommand() *cobra.Command {
	var s selection
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the containers of an application that is up",
		Example: "  sudo seerbed status --app social-network",
		Args:    cobra.NoArgs,
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
			const window = 500 * time.Millisecond // over which CPU is measured
			before := b.CPUTimes()
			began := time.Now()
			select {
			case <-time.After(window):
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			}
			elapsed := time.Since(began)
			rows := make([]statusRow, 0, len(b.Containers()))
			for i, c := range b.Status(cmd.Context()) {
				rows = append(rows, newStatusRow(c, float64(c.CPUTime-before[i])/float64(elapsed)))
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
					"app": b.App.Name, "services": len(b.App.Services), "started": b.Started, "ready_s": b.Took.Seconds(), "containers": rows,
				})
			}
			return printStatus(cmd.OutOrStdout(), b, rows)
		},
	}
	s.addTo(cmd)
	cmd.Flags().BoolVarP(&asJSON, "json", "j", false, "one JSON object")
	return cmd
}

// statusRow is one container, as it is printed.
type statusRow struct {
	Container string  `json:"container"`
	Service   string  `json:"service"`
	Kind      string  `json:"kind"`
	Addr      string  `json:"addr"`
	PIDs      []int   `json:"pids"`
	Healthy   bool    `json:"healthy"`
	Problem   string  `json:"problem,omitempty"`
	Memory    int64   `json:"memory_bytes"`
	CPUs      float64 `json:"cpus"`
}

func newStatusRow(c bed.Status, cpus float64) statusRow {
	r := statusRow{
		Container: c.Name, Service: c.Service, Kind: string(c.Kind), Addr: c.Addr.String(),
		PIDs: c.PIDs, Healthy: c.Health == nil, Memory: c.Memory, CPUs: cpus,
	}
	if c.Health != nil {
		r.Problem = c.Health.Error()
	}
	return r
}

func printStatus(w io.Writer, b *bed.Bed, rows []statusRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONTAINER\tSERVICE\tKIND\tADDRESS\tPID\tCPUS\tMEMORY\tHEALTH")
	var memory int64
	var cpus float64
	healthy := 0
	for _, r := range rows {
		health, pid := "ok", "-"
		if r.Healthy {
			healthy++
		} else {
			health = r.Problem
		}
		if len(r.PIDs) > 0 {
			pid = fmt.Sprint(r.PIDs[0])
		}
		memory += r.Memory
		cpus += r.CPUs
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.2f\t%d MiB\t%s\n", r.Container, r.Service, r.Kind, r.Addr, pid, r.CPUs, r.Memory>>20, health)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %d services, %d of %d containers healthy, %.2f CPUs, %d MiB, up for %s\n", b.App.Name,
		len(b.App.Services), healthy, len(rows), cpus, memory>>20, time.Since(b.Started).Round(time.Second))
	return err
}
