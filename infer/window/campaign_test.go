package window

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/topology"
)

const shop = `
schema: 1
name: shop
qos: [{service: web, percentile: 99, target: 50ms}]
requests: [{name: buy, weight: 1, call: web.buy}]
load: {rate: 100}
services:
  - name: web
    kind: app
    protocol: http
    replicas: 2
    endpoints: {buy: [{call: cart.add}]}
  - name: cart
    kind: app
    protocol: http
    endpoints: {add: [{work: {cpu: 1ms}}]}
`

// The shop's campaign: a fault of the cart from 30.25 s on, which users feel from
// about 30.8 s to 33 s, and a load spike from 50 s on, felt from about 50.5 s.
const (
	shopMS    = 60_000
	cartFault = 30_250
	spike     = 50_000
)

// depthOf is what a container of the shop shows at a tick: web-1, web-2, cart.
func depthOf(container int, tick int64) float64 {
	switch {
	case container == 2 && tick*100 >= cartFault && tick*100 < 33_000:
		return 40
	case container == 2:
		return 2 + float64(tick%2)
	}
	return float64(container + 1) // web is 1 + 2
}

// makeShop writes it. Nothing was measured of web-2 in tick 100, nor of the NIC.
func makeShop(t testing.TB, seed uint64) string {
	t.Helper()
	app, err := topology.Parse("shop.yaml", []byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	m := campaign.Manifest{
		App: "shop", Seed: seed, Source: campaign.SourceSimulator, Start: campaign.SimulatorStart,
		DurationMS: shopMS, TickMS: 100, Queues: []string{"nic_rx", "outstanding", "run_queue"},
		QoS:     []campaign.QoS{{Service: "web", Percentile: 99, TargetMS: 50}},
		Options: map[string]string{"acceptance": "true"}, Versions: map[string]string{"seer": "test"},
	}
	m.Services, _ = app.Order()
	for _, c := range app.Containers() {
		m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service})
	}
	m.Containers = append(m.Containers, campaign.Container{Name: "antagonist-cpu"})
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("shop-%d", seed))
	w, err := campaign.Create(dir, m, app)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []campaign.Fault{
		{ID: 1, OnsetMS: cartFault, EndMS: 33_000, Cause: campaign.CauseCPU, Culprit: "cart", Antagonist: "antagonist-cpu", Intensity: 1},
		{ID: 2, OnsetMS: spike, EndMS: 52_000, Cause: campaign.CauseLoadSpike, Intensity: 1},
	} {
		if err := w.Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	for tick := int64(0); tick < shopMS/100; tick++ {
		for c := range m.Containers {
			var cells [collector.NumQueues]collector.Cell
			if !(c == 1 && tick == 100) && c < 3 {
				d := depthOf(c, tick)
				cells[collector.QueueOutstanding] = collector.Cell{Valid: true, Mean: d, Max: d + 1, Depth: d, Arrivals: 10, Departures: 10}
				cells[collector.QueueRun] = collector.Cell{Valid: true}
			}
			if err := w.Samples().Add(c, tick*100e6, (tick+1)*100e6, &cells); err != nil {
				t.Fatal(err)
			}
		}
	}
	for ms := int64(0); ms < shopMS; ms += 10 {
		latency := int64(5_000)
		if ms >= 30_700 && ms < 32_950 || ms >= 50_400 && ms < 52_000 {
			latency = 100_000
		}
		if err := w.Request(campaign.Request{IntendedUS: ms * 1000, SentUS: ms * 1000, LatencyUS: latency, Type: "buy", Service: "web", Status: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	violations, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if len(violations) != 2 {
		t.Fatalf("the shop has violations %+v, want two", violations)
	}
	return dir
}

func openShop(t testing.TB, o LayoutOptions) *Run {
	t.Helper()
	dir := makeShop(t, 7)
	d, err := campaign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLayout(d.Manifest.Topology, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenCampaign(context.Background(), dir, l, OpenOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestLayoutOfShop(t *testing.T) {
	l := openShop(t, LayoutOptions{Spare: 1}).Layout
	if want := []string{"cart", "web", ""}; !slices.Equal(l.Services, want) {
		t.Errorf("services = %q, want %q: back-end first, then the spare slot", l.Services, want)
	}
	if want := [][2]int{{1, 0}}; !slices.Equal(l.Edges, want) {
		t.Errorf("edges = %v, want %v: web calls cart", l.Edges, want)
	}
	if want := (Shape{Queues: 16, Services: 3, Ticks: 10}); l.Shape != want {
		t.Errorf("shape = %+v, want %+v", l.Shape, want)
	}
}

// identity leaves logarithms as they are.
func identity(s Shape) *Scale {
	n := s.Queues * s.Services
	out := &Scale{Mean: make([]float32, n), Deviation: make([]float32, n)}
	for i := range out.Deviation {
		out.Deviation[i] = 1
	}
	return out
}

func TestExampleOfShop(t *testing.T) {
	r := openShop(t, LayoutOptions{Spare: 1, Ticks: 4})
	l := r.Layout
	if first, end := r.Ticks(); first != 0 || end != shopMS/100 {
		t.Fatalf("ticks %d to %d, want 0 to %d", first, end, shopMS/100)
	}
	x, mask := make([]float32, l.Shape.Len()), make([]float32, l.Shape.Len())
	var b Buffer
	if err := r.Example(identity(l.Shape), 102, x, mask, &b); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		queue string
		slot  int
		want  [4]float64 // ticks 99 to 102; below 0: not measured
	}{
		{"outstanding", 0, [4]float64{3, 2, 3, 2}},
		{"outstanding", 1, [4]float64{3, -1, 3, 3}}, // of two replicas one was not measured
		{"outstanding", 2, [4]float64{-1, -1, -1, -1}},
		{"outstanding.arrivals", 1, [4]float64{20, -1, 20, 20}},
		{"run_queue", 0, [4]float64{0, 0, 0, 0}},
		{"nic_rx", 0, [4]float64{-1, -1, -1, -1}},
	} {
		q := slices.Index(l.Queues, tt.queue)
		for i, want := range tt.want {
			at := (q*l.Shape.Services+tt.slot)*l.Shape.Ticks + i
			got := math.Expm1(float64(x[at]))
			measured := mask[at] == 1
			if measured != (want >= 0) || measured && math.Abs(got-want) > 0.001*(1+want) || !measured && x[at] != 0 {
				t.Errorf("%s of slot %d, tick %d: %v, mask %v, want %v", tt.queue, tt.slot, 99+i, got, mask[at], want)
			}
		}
	}
	// Before the beginning there is nothing.
	if err := r.Example(identity(l.Shape), 1, x, mask, &b); err != nil {
		t.Fatal(err)
	}
	at := slices.Index(l.Queues, "outstanding") * l.Shape.Services * l.Shape.Ticks
	if got := mask[at : at+4]; !slices.Equal(got, []float32{0, 0, 1, 1}) {
		t.Errorf("mask of tick 1 = %v, want two ticks before the run unmeasured", got)
	}
}

func TestLabelsOfShop(t *testing.T) {
	r := openShop(t, LayoutOptions{HorizonMS: 500})
	none := int32(r.Layout.Shape.Services)
	onset := r.Violations[0].OnsetMS // the cart's
	if onset < 30_700 || onset > 30_900 || r.Violations[0].Culprit != 0 || r.Violations[1].Culprit != -1 {
		t.Fatalf("violations %+v: want the cart's at 30.8 s, and one of the load", r.Violations)
	}
	end := r.Violations[0].EndMS
	spikeOnset := r.Violations[1].OnsetMS
	tick := func(ms int64) int { return int(ms/100) - 1 } // the last that ended by then
	for _, tt := range []struct {
		name  string
		tick  int
		label int32
		fit   bool
	}{
		{"long before", tick(20_000), none, true},
		{"guard", tick(onset - 600), none, false},
		{"before the guard", tick(onset - 2600), none, true},
		{"horizon, but before the fault", tick(cartFault), 0, false},
		{"horizon", tick(cartFault) + 1, 0, true},
		{"last before the onset", tick(onset - 1), 0, true},
		{"within", tick(onset) + 1, none, false},
		{"at the end", tick(end), none, false},
		{"shadow", tick(end + 999), none, false},
		{"after the shadow", tick(end+1000) + 1, none, true},
		{"nobody knows the culprit", tick(spikeOnset - 100), -1, false},
	} {
		if label, fit := r.Label(tt.tick, 2000); fit != tt.fit || fit && label != tt.label {
			t.Errorf("%s: Label(%d) = %d, %t, want %d, %t", tt.name, tt.tick, label, fit, tt.label, tt.fit)
		}
	}
}

func TestScaleOfShop(t *testing.T) {
	r := openShop(t, LayoutOptions{})
	s, err := EstimateScale([]*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	cell := func(queue string, slot int) int {
		return slices.Index(r.Layout.Queues, queue)*r.Layout.Shape.Services + slot
	}
	// The cart holds 2 or 3, and 40 during the violation, which does not count; the
	// half second of the fault before it does.
	for _, tt := range []struct {
		cell            int
		mean, deviation float64
	}{
		{cell("outstanding", 0), (math.Log(3) + math.Log(4)) / 2, (math.Log(4) - math.Log(3)) / 2},
		{cell("outstanding", 1), math.Log(4), minDeviation},
		{cell("run_queue", 0), 0, minDeviation},
		{cell("nic_rx", 0), 0, 1}, // never measured
	} {
		got := [2]float64{float64(s.Mean[tt.cell]), float64(s.Deviation[tt.cell])}
		if math.Abs(got[0]-tt.mean) > 0.03 || math.Abs(got[1]-tt.deviation) > 0.15 {
			t.Errorf("cell %d: mean and deviation %.3f, want %.3f and %.3f", tt.cell, got, tt.mean, tt.deviation)
		}
	}
	for _, v := range []float32{0, 3, 40, 1e6} {
		at := cell("outstanding", 0)
		if got := s.Invert(at, s.Apply(at, v)); math.Abs(float64(got-v)) > 1e-3*(1+float64(v)) {
			t.Errorf("Invert(Apply(%v)) = %v", v, got)
		}
	}
}

// keys reads what a source yields: the labels, and the sum of each example.
func keys(t *testing.T, s Source) (labels []int32, sums []float32) {
	t.Helper()
	b := NewBatch(s.Layout().Shape, 7)
	for {
		err := s.Next(b)
		if errors.Is(err, io.EOF) {
			return labels, sums
		}
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, b.Label...)
		for i := range b.Size {
			sum := float32(0)
			for k, v := range b.x(i) {
				sum += v * float32(k+1)
			}
			sums = append(sums, sum)
		}
	}
}

func TestSample(t *testing.T) {
	r := openShop(t, LayoutOptions{HorizonMS: 500})
	s, err := EstimateScale([]*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	sample, err := NewSample([]*Run{r}, s, SampleOptions{Negatives: 0.2, Disturbed: 1})
	if err != nil {
		t.Fatal(err)
	}
	none := int32(r.Layout.Shape.Services)
	if want := 5; sample.Positives() != want {
		t.Fatalf("%d windows before the onset, want %d", sample.Positives(), want)
	}
	if err := sample.Reset(3); err != nil {
		t.Fatal(err)
	}
	labels, sums := keys(t, sample)
	count := map[int32]int{}
	for _, l := range labels {
		count[l]++
	}
	quiet, disturbed := len(sample.negatives), len(sample.disturbed)
	if count[0] != 5 || disturbed == 0 || count[none] < disturbed+quiet/10 || count[none] > disturbed+quiet*3/10 {
		t.Errorf("labels %v of %d quiet and %d disturbed windows, want 5 of the cart, a fifth of the quiet, all disturbed", count, quiet, disturbed)
	}
	again := func(seed uint64) []float32 {
		if err := sample.Reset(seed); err != nil {
			t.Fatal(err)
		}
		_, sums := keys(t, sample)
		return sums
	}
	if !slices.Equal(again(3), sums) {
		t.Error("the same seed gives other examples")
	}
	if slices.Equal(again(4), sums) {
		t.Error("another seed gives the same examples")
	}

	shuffled, err := NewSample([]*Run{r}, s, SampleOptions{Negatives: 0.2, Disturbed: 1, ShuffleLabels: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := shuffled.Reset(3); err != nil {
		t.Fatal(err)
	}
	labels2, sums2 := keys(t, shuffled)
	slices.Sort(sums)
	slices.Sort(sums2)
	if !slices.Equal(sums, sums2) || slices.Equal(labels, labels2) {
		t.Error("shuffled labels: want the same examples, and other labels")
	}
}

func TestSequence(t *testing.T) {
	r := openShop(t, LayoutOptions{HorizonMS: 500})
	s := identity(r.Layout.Shape)
	seq, err := NewSequence([]*Run{r, r.Between(0, 10_000)}, s)
	if err != nil {
		t.Fatal(err)
	}
	labels, sums := keys(t, seq)
	var want []int32
	for _, until := range []int{600, 100} {
		for tick := range until {
			if label, fit := r.Label(tick, 0); fit {
				want = append(want, label)
			}
		}
	}
	if !slices.Equal(labels, want) {
		t.Errorf("labels in order differ: %d, want %d", len(labels), len(want))
	}
	if n := len(sums); sums[n-1] != sums[99] {
		t.Errorf("the last window of the part is %v, want that of the run, %v", sums[n-1], sums[99])
	}
}

func TestSplitAvoidsFaults(t *testing.T) {
	r := openShop(t, LayoutOptions{})
	before, after := r.Split(0.52) // 31.2 s, during the cart's violation
	_, cut := before.Ticks()
	if from, end := after.Ticks(); from != cut || end != 600 || r.EndMS(cut-1) < 38_000 || r.EndMS(cut-1) > 38_300 {
		t.Errorf("cut at %d ms, then ticks %d to %d, want five seconds after the fault's end at 33 s", r.EndMS(cut-1), from, end)
	}
	if len(before.Violations) != 1 || len(after.Violations) != 1 {
		t.Errorf("violations %d and %d, want one on either side", len(before.Violations), len(after.Violations))
	}
}

func TestAcceptanceIsRefused(t *testing.T) {
	dir := makeShop(t, campaign.FirstAcceptanceSeed)
	if _, err := OpenData(context.Background(), []string{dir}, DataOptions{}); !errors.Is(err, ErrAcceptance) {
		t.Errorf("OpenData = %v, want ErrAcceptance", err)
	}
	r, err := OpenCampaign(context.Background(), dir, nil, OpenOptions{}) // to judge is allowed
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := NewSample([]*Run{r}, identity(r.Layout.Shape), SampleOptions{}); !errors.Is(err, ErrAcceptance) {
		t.Errorf("NewSample = %v, want ErrAcceptance", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := makeShop(t, 8)
	d, err := campaign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	fine, err := NewLayout(d.Manifest.Topology, LayoutOptions{TickMS: 10})
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := newLayout([]string{"a", "b"}, LayoutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	full, err := newLayout([]string{"cart"}, LayoutOptions{Spare: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		dir  string
		l    *Layout
		want string
	}{
		{"finer tick", dir, fine, "recorded by ticks of 100 ms, the model wants 10"},
		{"other application", dir, strangers, "knows none of these services"},
		{"no room", dir, full, "has room for 0"},
		{"no campaign", t.TempDir(), nil, "is no campaign"},
	} {
		if _, err := OpenCampaign(context.Background(), tt.dir, tt.l, OpenOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := OpenCampaign(context.Background(), dir, nil, OpenOptions{TempDir: "/nowhere"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no place for ticks: %v, want that it does not exist", err)
	}
}

func TestSlotsTakeNewServices(t *testing.T) {
	l, err := newLayout([]string{"a", "b"}, LayoutOptions{Spare: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.Slots([]string{"x", "b", "y"})
	if want := []string{"", "b", "x", "y"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Slots = %q, %v, want %q", got, err, want)
	}
}
