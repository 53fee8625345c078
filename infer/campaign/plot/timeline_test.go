package plot

import (
	"bytes"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/test/apps"
)

// makeCampaign writes a campaign of Hotel Reservation: whoever is the culprit of
// a fault has a queue that grows during it and drains after, and the users wait
// for it.
func makeCampaign(t *testing.T, duration time.Duration, o campaign.PlanOptions) (string, *campaign.Plan) {
	t.Helper()
	app, err := apps.Load("hotel")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := campaign.NewPlan(app, 21, duration, o)
	if err != nil {
		t.Fatal(err)
	}
	m := campaign.Manifest{
		App: app.Name, Seed: 21, Source: campaign.SourceSimulator, Start: campaign.SimulatorStart,
		DurationMS: duration.Milliseconds(), TickMS: 100, Queues: []string{"outstanding", "run_queue"},
		QoS:     []campaign.QoS{{Service: "load-balancer", Percentile: 99, TargetMS: 30}},
		Options: plan.Options.Strings(), Versions: map[string]string{"seer": "test"},
	}
	m.Services, _ = app.Order()
	for _, c := range app.Containers() {
		m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service})
	}
	for _, name := range plan.Antagonists() {
		m.Containers = append(m.Containers, campaign.Container{Name: name})
	}
	dir := filepath.Join(t.TempDir(), "campaign")
	w, err := campaign.Create(dir, m, app)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range plan.Faults {
		if err := w.Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	backlog := make(map[string]float64)
	arrivals := plan.Arrivals()
	at, kind, more := arrivals.Next()
	for ms := int64(0); ms < m.DurationMS; ms += 100 {
		worst := 0.0
		for _, s := range m.Services {
			backlog[s] *= 0.7
			for _, f := range plan.Faults {
				if f.OnsetMS <= ms && ms < f.EndMS && f.Culprit == s {
					backlog[s] += 30 * f.Intensity
				}
			}
			worst = max(worst, backlog[s])
		}
		for ; more && at < (ms+100)*1000; at, kind, more = arrivals.Next() {
			latency := int64((3 + 2*rng.ExpFloat64() + 4*worst*rng.Float64()) * 1000)
			q := campaign.Request{IntendedUS: at, SentUS: at, LatencyUS: latency, Service: "load-balancer", Type: app.Requests[kind].Name, Status: "ok"}
			if latency > 250_000 {
				q.Status = "timeout"
			}
			if err := w.Request(q); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range m.Containers {
			var cells [collector.NumQueues]collector.Cell
			depth := backlog[c.Service] + rng.ExpFloat64()
			cells[collector.QueueOutstanding] = collector.Cell{Depth: depth, Mean: depth, Max: depth, Valid: true}
			cells[collector.QueueRun] = collector.Cell{Mean: depth / 9, Max: depth, Valid: true}
			if err := w.Samples().Add(i, ms*1e6, (ms+100)*1e6, &cells); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir, plan
}

func TestTimeline(t *testing.T) {
	dir, plan := makeCampaign(t, 10*time.Minute, campaign.PlanOptions{Shape: campaign.ShapeDiurnal})
	for _, p := range campaign.Check(dir) {
		t.Error(p)
	}
	file := filepath.Join(t.TempDir(), "campaign.png")
	if err := Timeline(dir, Options{File: file}); err != nil {
		t.Fatal(err)
	}
	shaded := decode(t, file)

	// The shades are where the faults are: between them the picture is white.
	d, err := campaign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	u, err := load(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(u.users) != 1 || len(u.faults) != len(plan.Faults) || len(u.violations) == 0 || len(u.depths) != 2 {
		t.Fatalf("loaded %d promises, %d faults, %d violations, %d queues", len(u.users), len(u.faults), len(u.violations), len(u.depths))
	}
	top := titleHeight + u.namesHeight()
	// Without length, but still with names.
	for i := range u.faults {
		u.faults[i].OnsetMS = u.faults[i].EndMS
	}
	plain := filepath.Join(t.TempDir(), "plain.png")
	if err := u.save(plain); err != nil {
		t.Fatal(err)
	}
	without := decode(t, plain)
	if shaded.Bounds() != without.Bounds() {
		t.Fatalf("pictures of %v and %v", shaded.Bounds(), without.Bounds())
	}
	// In a row of pixels through the rate, count the stretches that differ.
	b := shaded.Bounds()
	y := b.Min.Y + int((top + latencyHeight + panelHeight/2).Dots(dpi))
	stretches, before := 0, false
	for x := b.Min.X; x < b.Max.X; x++ {
		differs := shaded.At(x, y) != without.At(x, y)
		if differs && !before {
			stretches++
		}
		before = differs
	}
	// The line may cross the row within a shade and cut it in two.
	if stretches < len(plan.Faults) || stretches > 2*len(plan.Faults) {
		t.Errorf("%d shades, want %d", stretches, len(plan.Faults))
	}
}

func decode(t *testing.T, file string) image.Image {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func TestTimelineNames(t *testing.T) {
	dir, plan := makeCampaign(t, 3*time.Minute, campaign.PlanOptions{})
	file := filepath.Join(t.TempDir(), "campaign.svg")
	if err := Timeline(dir, Options{File: file, Service: "geo", Queues: []collector.Queue{collector.QueueRun}}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"hotel, simulator, seed 21", "latency of load-balancer, ms", "target", "requests/s", "run_queue", "geo", "violation"}
	for _, f := range plan.Faults {
		want = append(want, string(f.Cause))
	}
	for _, text := range want {
		if !strings.Contains(string(data), text) {
			t.Errorf("the picture does not say %q", text)
		}
	}
}

func TestTimelineRefuses(t *testing.T) {
	dir, _ := makeCampaign(t, time.Minute, campaign.PlanOptions{NoFaults: true})
	out := t.TempDir()
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{File: filepath.Join(out, "a.bmp")}, "ends in .png or .svg"},
		{Options{File: filepath.Join(out, "a.png"), Service: "ghost"}, `no service "ghost"`},
		{Options{File: filepath.Join(out, "a.png"), From: time.Hour}, "within 1m0s"},
		{Options{File: filepath.Join(out, "no", "a.png")}, "no such file"},
	} {
		if err := Timeline(dir, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q in it", tt.o, err, tt.want)
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
