package campaign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/infer/topology"
)

// run writes a campaign of the shop: 100 requests a second, all on time but
// during the faults, and samples that count up.
type run struct {
	plan     *Plan
	manifest Manifest
}

func newRun(t testing.TB, d time.Duration, o PlanOptions) *run {
	t.Helper()
	app, err := topology.Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{plan: newPlan(t, app, 11, d, o)}
	r.manifest = Manifest{
		App: app.Name, Seed: 11, Source: SourceSimulator, Start: SimulatorStart,
		DurationMS: d.Milliseconds(), TickMS: 100,
		Queues:   []string{"outstanding", "run_queue"},
		QoS:      []QoS{{Service: "web", Percentile: 99, TargetMS: 20}},
		Options:  r.plan.Options.Strings(),
		Versions: map[string]string{"seer": "test"},
	}
	r.manifest.Services, _ = app.Order()
	for _, c := range app.Containers() {
		r.manifest.Containers = append(r.manifest.Containers, Container{Name: c.Name, Service: c.Service})
	}
	for _, a := range r.plan.Antagonists() {
		r.manifest.Containers = append(r.manifest.Containers, Container{Name: a})
	}
	return r
}

// write writes [fromMS, toMS) of the campaign.
func (r *run) write(t testing.TB, w *Writer, fromMS, toMS int64) {
	t.Helper()
	arrivals := r.plan.Arrivals()
	at, kind, more := arrivals.Next()
	for ms := fromMS; ms < toMS; ms += 100 {
		var during *Fault
		for i := range r.plan.Faults {
			f := &r.plan.Faults[i]
			if f.OnsetMS >= ms && f.OnsetMS < ms+100 {
				if err := w.Fault(*f); err != nil {
					t.Fatal(err)
				}
			}
			if f.OnsetMS <= ms && ms < f.EndMS {
				during = f
			}
		}
		for ; more && at < (ms+100)*1000; at, kind, more = arrivals.Next() {
			if at < ms*1000 {
				continue
			}
			q := Request{IntendedUS: at, SentUS: at, LatencyUS: 5000 + at%1000, Service: "web",
				Type: r.plan.App.Requests[kind].Name, Status: string(StatusOK)}
			if during != nil {
				q.LatencyUS *= 10
			}
			if err := w.Request(q); err != nil {
				t.Fatal(err)
			}
		}
		for c := range r.manifest.Containers {
			cells := sample(c, ms)
			if err := w.Samples().Add(c, ms*1e6, (ms+100)*1e6, &cells); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sample is what a container showed in a tick.
func sample(c int, ms int64) (cells [collector.NumQueues]collector.Cell) {
	cells[collector.QueueOutstanding] = collector.Cell{
		Depth: float64(c), Mean: float64(c) + 0.5, Max: float64(c) + float64(ms/100%7), Limit: 32,
		Arrivals: float64(ms / 100), Departures: 10, Wait: time.Duration(ms) * time.Microsecond, Valid: true,
	}
	cells[collector.QueueRun] = collector.Cell{Depth: 1, Mean: 1, Max: 1, Valid: ms%1000 != 0}
	return cells
}

// complete writes a whole campaign and returns its directory.
func (r *run) complete(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "campaign")
	w, err := Create(dir, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, w, 0, r.manifest.DurationMS)
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func collect(t testing.TB, d *Dir) []Request {
	t.Helper()
	var out []Request
	for r, err := range d.Requests() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestWriteAndRead(t *testing.T) {
	r := newRun(t, 2*time.Minute, PlanOptions{})
	dir := r.complete(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{manifestFile, requestsFile, samplesFile, topologyFile, truthFile, violationsFile}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}

	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.Topology.Name != "shop" || !d.Manifest.Complete {
		t.Errorf("manifest %+v", d.Manifest)
	}
	faults, err := d.Faults()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.plan.Faults, faults); diff != "" {
		t.Errorf("truth differs from the plan: %s", diff)
	}
	requests := collect(t, d)
	arrivals := r.plan.Arrivals()
	for i, q := range requests {
		at, kind, _ := arrivals.Next()
		if q.IntendedUS != at || q.Type != r.plan.App.Requests[kind].Name || q.Service != "web" || q.Status != "ok" {
			t.Fatalf("request %d is %+v, want %d of kind %d", i, q, at, kind)
		}
	}
	if _, _, more := arrivals.Next(); more {
		t.Errorf("only %d requests were kept", len(requests))
	}
	violations, err := d.Violations()
	if err != nil {
		t.Fatal(err)
	}
	if len(violations) != len(faults) || len(faults) == 0 {
		t.Fatalf("%d violations of %d faults", len(violations), len(faults))
	}
	for i, v := range violations {
		f := faults[i]
		if v.Fault != f.ID || v.OnsetMS < f.OnsetMS || v.OnsetMS > f.OnsetMS+200 || v.EndMS < f.EndMS || v.EndMS > f.EndMS+1200 {
			t.Errorf("violation %+v of fault %+v", v, f)
		}
	}
}

func TestEqualBytes(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{})
	a, b := r.complete(t), r.complete(t)
	entries, err := os.ReadDir(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		x, errX := os.ReadFile(filepath.Join(a, e.Name()))
		y, errY := os.ReadFile(filepath.Join(b, e.Name()))
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("%s differs between two runs of one seed (%v, %v)", e.Name(), errX, errY)
		}
	}
}

// TestRequestBytes holds requests.parquet to bytes that were the same with and
// without assembly (-tags purego,noasm). Two row groups: the second begins with
// used buffers. A new version of a library may change them, for all CPUs alike.
func TestRequestBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), requestsFile)
	rng := rand.New(rand.NewPCG(1, 1))
	_, err := writeRequests(path, func(yield func(Request, error) bool) {
		at := int64(0)
		for range rowGroupRows * 11 / 10 {
			at += rng.Int64N(10_000)
			r := Request{IntendedUS: at, SentUS: at + rng.Int64N(10), LatencyUS: 1000 + rng.Int64N(9000), Service: "web",
				Type: []string{"browse", "buy", "search"}[rng.IntN(3)], Status: []string{"ok", "ok", "ok", "error", "timeout"}[rng.IntN(5)]}
			if !yield(r, nil) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "707cc1b015200bc7"
	if got := fmt.Sprintf("%x", sha256.Sum256(data))[:16]; got != want {
		t.Errorf("%d bytes with sum %s, want %s", len(data), got, want)
	}
}

// TestRequestsOutOfOrder writes requests in the order in which they end.
func TestRequestsOutOfOrder(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{NoFaults: true})
	w, err := Create(t.TempDir(), r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	var want []Request
	for i := range int64(20_000) {
		// Between 1 ms and 10 s, so that thousands are under way at once.
		want = append(want, Request{IntendedUS: i * 1000, SentUS: i * 1000, LatencyUS: 1000 + i*7919%9999*1000,
			Type: "buy", Service: "web", Status: "ok"})
	}
	ended := slices.Clone(want)
	slices.SortFunc(ended, func(a, b Request) int { return int(a.IntendedUS + a.LatencyUS - b.IntendedUS - b.LatencyUS) })
	for _, q := range ended {
		if err := w.Request(q); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, collect(t, d)); diff != "" {
		t.Errorf("from the log: %s", diff)
	}
	w, _, err = Resume(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(w.dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, collect(t, d)); diff != "" {
		t.Errorf("from the complete campaign: %s", diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{})
	dir := r.complete(t)
	if _, err := Create(dir, r.manifest, r.plan.App); err == nil || !strings.Contains(err.Error(), "holds a campaign already") {
		t.Errorf("over a campaign: %v", err)
	}
	if _, _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "nothing to resume") {
		t.Errorf("resume a complete one: %v", err)
	}
	if _, _, err := Resume(t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "is no campaign") {
		t.Errorf("resume nothing: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "diary"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(other, r.manifest, r.plan.App); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("in a directory with other files: %v", err)
	}
	bad := r.manifest
	bad.Queues = []string{"checkout"}
	fresh := filepath.Join(t.TempDir(), "fresh")
	if _, err := Create(fresh, bad, r.plan.App); err == nil || !strings.Contains(err.Error(), `"checkout"`) {
		t.Errorf("unknown queue: %v", err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused campaign left its directory: %v", err)
	}
	w, err := Create(fresh, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, _, err := Resume(fresh); err == nil || !strings.Contains(err.Error(), "is being written by another process") {
		t.Errorf("resume beside its writer: %v", err)
	}
}

// BenchmarkFinish completes a campaign of 20,000 requests a second, some of which
// take ten seconds.
func BenchmarkFinish(b *testing.B) {
	r := newRun(b, time.Minute, PlanOptions{NoFaults: true})
	var requests []Request
	for i := range int64(1_000_000) {
		q := Request{IntendedUS: i * 50, SentUS: i * 50, LatencyUS: 5000 + i*7919%20_000, Type: "buy", Service: "web", Status: "ok"}
		if i%3 == 0 && i/200_000%2 == 1 {
			q.LatencyUS = 10_000_000
		}
		requests = append(requests, q)
	}
	slices.SortFunc(requests, func(a, b Request) int { return int(a.IntendedUS + a.LatencyUS - b.IntendedUS - b.LatencyUS) })
	for b.Loop() {
		b.StopTimer()
		w, err := Create(filepath.Join(b.TempDir(), "campaign"), r.manifest, r.plan.App)
		if err != nil {
			b.Fatal(err)
		}
		for _, q := range requests {
			if err := w.Request(q); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, err := w.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(requests)), "ns/request")
}
