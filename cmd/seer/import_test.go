package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/sim/record"
	"seer/test/apps"
)

// importing runs seer import and returns what it said.
func importing(t *testing.T, args ...string) (said string, err error) {
	t.Helper()
	cmd := newImportCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	traces, db, csv := filepath.Join(dir, "traces.json"), filepath.Join(dir, "db"), filepath.Join(dir, "out.csv")
	text := `[{"traceId": "a1", "id": "b1", "kind": "SERVER", "timestamp": 1700000000010000, "duration": 50000, "localEndpoint": {"serviceName": "cart"}},
		{"traceId": "a1", "id": "b2", "parentId": "b7", "kind": "SERVER", "timestamp": 1700000000020000, "duration": 10000, "localEndpoint": {"serviceName": "db"}}]`
	if err := os.WriteFile(traces, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := importing(t, "--db", db, traces)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 spans of 2 services", "2023-11-14T22:13:20Z", "1 ticks", "1 missing parent"} {
		if !strings.Contains(said, want) {
			t.Errorf("import says %q, want %q in it", said, want)
		}
	}
	export := newExportCommand()
	export.SetArgs([]string{"--db", db, "--out", csv, "--queue", "outstanding"})
	export.SetErr(new(bytes.Buffer))
	if err := export.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(csv)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(rows); strings.Count(got, "\n") != 3 || !strings.Contains(got, ",cart,cart,") || !strings.Contains(got, ",0.5,") {
		t.Errorf("exported:\n%s\nwant a mean of 0.5 in cart, and db", got)
	}
}

func TestImportCampaign(t *testing.T) {
	dir, db := filepath.Join(t.TempDir(), "campaign"), filepath.Join(t.TempDir(), "db")
	app, err := apps.Load("hotel")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := campaign.NewPlan(app, 1, 30*time.Second, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Run(t.Context(), dir, record.Options{Plan: plan, Sim: sim.Config{Tick: 100 * time.Millisecond}, Versions: map[string]string{"simulator": sim.Version}}); err != nil {
		t.Fatal(err)
	}
	said, err := importing(t, "--db", db, dir)
	if err != nil || !strings.Contains(said, "chunks of 15 services") {
		t.Fatalf("import of a campaign says %q, %v", said, err)
	}
	source, err := campaign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := embedded.Open(db, embedded.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	// A sum over all services and ticks, which copying must not change.
	var sums [2]float64
	var starts [2]time.Time
	for i, from := range []tracedb.Source{source, copied} {
		first, last, err := from.Span(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		starts[i] = first
		var chunk tracedb.Chunk
		err = from.Chunks(t.Context(), tracedb.Range{From: first, To: last}, func(r tracedb.Record) error {
			var block tracedb.Block
			if err := errors.Join(chunk.Open(r.Data), chunk.AppendTo(&block)); err != nil {
				return err
			}
			for _, v := range block.Values[collector.QueueOutstanding][tracedb.StatMean] {
				sums[i] += float64(v)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if sums[0] == 0 || math.Abs(sums[1]-sums[0]) > sums[0]/500 {
		t.Errorf("outstanding sums up to %v copied, want %v", sums[1], sums[0])
	}
	if want := starts[0].Add(record.Start.Sub(time.Unix(0, 0))); !starts[1].Equal(want) {
		t.Errorf("copied to %s, want %s", starts[1], want)
	}
}

func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	db := filepath.Join(dir, "db")
	tests := []struct {
		args []string
		says string
		code int
	}{
		{nil, "no file given", exitUsage},
		{[]string{file("a", "[]")}, "say where to write with --db", exitUsage},
		{[]string{"--db", db, "--tick", "1ms", file("a", "[]")}, "--tick 1ms", exitUsage},
		{[]string{"--db", db, "--tick", "30ms", file("a", "[]")}, "a divisor of 10s", exitUsage},
		{[]string{"--db", db, filepath.Join(dir, "none")}, "no such file", exitFailed},
		{[]string{"--db", db, file("b", "{")}, "ends in the middle", exitFailed},
		{[]string{"--db", db, file("c", `{"a": 1}`)}, "neither OTLP, Jaeger nor Zipkin", exitFailed},
		{[]string{"--db", db, file("d", `[{"id": "1"}]`)}, "no span that can be used (1 no id)", exitNothingMatched},
		{[]string{"--db", db, dir}, "is no campaign", exitFailed},
	}
	for _, tt := range tests {
		_, err := importing(t, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.says) || exitCode(err) != tt.code {
			t.Errorf("import %q: %v, code %d, want %q and %d", tt.args, err, exitCode(err), tt.says, tt.code)
		}
	}
	if _, err := os.Stat(db); err == nil {
		t.Error("a database was made, and nothing put in")
	}
}
