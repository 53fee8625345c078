package evaluate

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"seer/infer/campaign"
	"seer/infer/window"
)

// layout of two services, a and b, with one queue, and windows of one tick.
func layout() *window.Layout {
	return &window.Layout{
		Shape:  window.Shape{Queues: 1, Services: 2, Ticks: 1},
		Queues: []string{"outstanding"}, Services: []string{"a", "b"}, TickMS: 100, HorizonMS: 500,
	}
}

// script says what is raised when: "a" or "b" in the ticks that end in [from, to].
type script struct {
	from, to int64 // ms
	culprit  string
}

// makeRun makes a run of 100 s, in which the outstanding requests of the culprit of
// each script are 9, else 0.
func makeRun(t *testing.T, truth window.Truth, scripts ...script) *window.Run {
	t.Helper()
	l := layout()
	r, err := window.NewRun("test", l, truth, 1000, func(tick int, values []float32, valid []bool) {
		end := int64(tick+1) * 100
		for i := range values {
			valid[i] = true
		}
		for _, s := range scripts {
			if s.from <= end && end <= s.to {
				values[slices.Index(l.Services, s.culprit)] = 9
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// echo is certain of whose queue is not empty.
type echo struct{}

func (echo) Predict(x, _, p []float32) {
	p[0], p[1], p[2] = 0, 0, 1
	for i, v := range x {
		if v > 1 {
			p[i], p[2] = 1, 0
		}
	}
}

// flat is the normalisation that changes nothing but the logarithm.
var flat = &window.Scale{Mean: []float32{0, 0}, Deviation: []float32{1, 1}}

func evaluate(t *testing.T, r *window.Run, o Options) *Result {
	t.Helper()
	trace, err := Ask(context.Background(), r, flat, echo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Evaluate([]*Trace{trace}, 0.5, o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// one violation at 50.05 s by a, whose fault begins at 48 s.
func one() window.Truth {
	return window.Truth{
		Violations: []window.Violation{{OnsetMS: 50_050, EndMS: 52_000, Culprit: 0, Cause: campaign.CauseCPU, Fault: 1, FaultMS: 48_000}},
		Faults:     []campaign.Fault{{ID: 1, OnsetMS: 48_000, EndMS: 52_000, Cause: campaign.CauseCPU, Culprit: "a"}},
	}
}

func TestDetection(t *testing.T) {
	for _, tt := range []struct {
		name     string
		scripts  []script
		reaction int64
		detected [4]int // at 100 ms, 500 ms, 1 s, 5 s
		culprit  string // of the headline
		false500 int
		lead     float64 // p50 of the headline, ms
	}{
		{name: "none"},
		{name: "in the last tick", scripts: []script{{50_000, 50_000, "a"}}, detected: [4]int{1, 1, 1, 1}, culprit: "a", lead: 50},
		{name: "too late to act", scripts: []script{{50_000, 50_000, "a"}}, reaction: 51},
		{name: "just in time to act", scripts: []script{{50_000, 50_000, "a"}}, reaction: 50, detected: [4]int{1, 1, 1, 1}, culprit: "a", lead: 50},
		{name: "after the onset", scripts: []script{{50_100, 51_000, "a"}}},
		// An alarm lasts two ticks longer than what raised it.
		{name: "gone before 100 ms", scripts: []script{{49_600, 49_700, "a"}}, detected: [4]int{0, 1, 1, 1}, culprit: "a", lead: 450},
		{name: "gone before 500 ms", scripts: []script{{49_100, 49_200, "a"}}, detected: [4]int{0, 0, 1, 1}, false500: 1},
		{name: "gone before 1 s", scripts: []script{{47_000, 47_100, "a"}}, detected: [4]int{0, 0, 0, 1}, false500: 1},
		{name: "standing since before", scripts: []script{{47_000, 50_000, "a"}}, detected: [4]int{1, 1, 1, 1}, culprit: "a", lead: 450},
		{name: "the wrong one", scripts: []script{{49_900, 50_000, "b"}}, detected: [4]int{1, 1, 1, 1}, culprit: "b", lead: 150},
		// The last one named in time counts. The first is an episode of its own, and
		// right: an onset comes within the horizon.
		{name: "corrected", scripts: []script{{49_700, 49_800, "b"}, {49_900, 50_000, "a"}}, detected: [4]int{1, 1, 1, 1}, culprit: "a", lead: 350},
		{name: "elsewhere", scripts: []script{{20_000, 20_200, "a"}, {80_000, 80_000, "b"}}, false500: 2},
		{name: "during", scripts: []script{{51_000, 51_500, "a"}}},
		{name: "in the shadow", scripts: []script{{52_900, 52_900, "a"}}},
		{name: "after the shadow", scripts: []script{{53_000, 53_000, "a"}}, false500: 1},
		// Forty seconds without an onset are two episodes.
		{name: "standing for nothing", scripts: []script{{100, 40_000, "a"}}, false500: 2},
	} {
		r := evaluate(t, makeRun(t, one(), tt.scripts...), Options{ReactionMS: tt.reaction})
		var detected [4]int
		for i, h := range []string{"100", "500", "1000", "5000"} {
			detected[i] = r.ByHorizon[h].Detected
		}
		if detected != tt.detected {
			t.Errorf("%s: detected %v, want %v", tt.name, detected, tt.detected)
		}
		if r.Confusion["a"][tt.culprit] != 1 {
			t.Errorf("%s: named %v, want %q", tt.name, r.Confusion["a"], tt.culprit)
		}
		if r.FalseAlarms != tt.false500 {
			t.Errorf("%s: %d false alarms of %d episodes, want %d", tt.name, r.FalseAlarms, r.Episodes, tt.false500)
		}
		lead := 0.0
		if r.LeadMS != nil {
			lead = r.LeadMS.P50
		}
		if lead != tt.lead {
			t.Errorf("%s: lead %v ms, want %v", tt.name, lead, tt.lead)
		}
	}
}

// TestFigures adds up several violations: of four one is missed, one named wrongly,
// one has no culprit, and its fault came too late for any alarm.
func TestFigures(t *testing.T) {
	truth := window.Truth{Violations: []window.Violation{
		{OnsetMS: 10_050, EndMS: 11_000, Culprit: 0, Cause: campaign.CauseCPU, Fault: 1, FaultMS: 9_000},
		{OnsetMS: 20_050, EndMS: 21_000, Culprit: 0, Cause: campaign.CauseCPU, Fault: 2, FaultMS: 19_000},
		{OnsetMS: 22_500, EndMS: 23_000, Culprit: 0, Cause: campaign.CauseCPU, Fault: 2, FaultMS: 19_000},
		{OnsetMS: 40_050, EndMS: 41_000, Culprit: -1, Cause: campaign.CauseNetworkFailure, Fault: 3, FaultMS: 40_010},
	}}
	r := evaluate(t, makeRun(t, truth,
		script{10_000, 10_000, "a"}, script{20_000, 20_000, "b"}, script{40_000, 40_000, "b"}, script{70_000, 70_000, "a"}), Options{ReactionMS: 10})
	type counts struct{ Violations, Possible, Detected, Known, Episodes, False int }
	got := counts{r.Violations, r.Possible, r.Detected, r.CulpritKnown, r.Episodes, r.FalseAlarms}
	if want := (counts{4, 3, 3, 3, 4, 1}); got != want {
		t.Errorf("figures %+v, want %+v", got, want)
	}
	for _, tt := range []struct {
		name string
		got  *Share
		want float64
	}{
		{"detection", r.Detection, 3. / 4},
		{"culprit", r.Culprit, 1. / 2},
		{"culprit_joint", r.CulpritJoint, 1. / 3},
		{"false_alarm_share", r.FalseAlarmShare, 1. / 4},
		{"of cpu", r.ByCause["cpu"].Detection, 2. / 3},
		{"of network_failure", r.ByCause["network_failure"].Detection, 1},
		{"first", r.ByOrder["first"].Detection, 1},
		{"repeat", r.ByOrder["repeat"].Detection, 0},
	} {
		if tt.got == nil || math.Abs(float64(*tt.got)-tt.want) > 1e-9 {
			t.Errorf("%s = %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if want := 36.0; math.Abs(r.FalseAlarmsPerHour-want) > 1e-9 { // 1 in 100 s
		t.Errorf("%v false alarms per hour, want %v", r.FalseAlarmsPerHour, want)
	}
	if got := r.ByCause["network_failure"].Culprit; got != nil {
		t.Errorf("culprit of a network failure: %v, want none", *got)
	}
}

// TestReportContract holds the JSON to DESIGN.md section 10.
func TestReportContract(t *testing.T) {
	r := makeRun(t, one(), script{50_000, 50_000, "a"})
	result := evaluate(t, r, Options{})
	report, err := NewReport([]string{"echo"}, map[string]Result{"echo": *result}, []*window.Run{r}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		t.Fatal(err)
	}
	fields := []string{"violations", "detected", "detection", "false_alarms", "false_alarm_share", "false_alarms_per_hour", "culprit", "culprit_joint", "lead_ms"}
	holds := func(name string, object map[string]json.RawMessage) {
		for _, f := range fields {
			if _, ok := object[f]; !ok {
				t.Errorf("%s lacks %q", name, f)
			}
		}
	}
	holds("the report", top)
	for group, keys := range map[string][]string{
		"by_horizon": {"100", "500", "1000", "5000"}, "by_cause": {"cpu"}, "by_model": {"echo"},
	} {
		var objects map[string]map[string]json.RawMessage
		if err := json.Unmarshal(top[group], &objects); err != nil {
			t.Fatalf("%s: %v", group, err)
		}
		for _, key := range keys {
			holds(group+"."+key, objects[key])
		}
	}
	if got := string(top["lead_ms"]); got != `{"p10":50,"p50":50,"p90":50}` {
		t.Errorf("lead_ms = %s", got)
	}
}

func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		n, of     int
		low, high float64
	}{
		// By hand: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).
		{0, 10, 0, 0.2775},
		{5, 10, 0.2366, 0.7634},
		{90, 96, 0.8703, 0.9710},
		{96, 96, 0.9615, 1},
	} {
		got := Wilson(tt.n, tt.of)
		if math.Abs(got[0]-tt.low) > 1e-4 || math.Abs(got[1]-tt.high) > 1e-4 {
			t.Errorf("Wilson(%d, %d) = %.4f, want %.4f to %.4f", tt.n, tt.of, got, tt.low, tt.high)
		}
	}
}

// TestThreshold: the queue of a is 9 before each of three onsets, but also in five
// places where none comes; it is 20 before two of them.
func TestThreshold(t *testing.T) {
	truth := window.Truth{}
	for i := range int64(3) {
		at := 10_000 + 10_000*i
		truth.Violations = append(truth.Violations, window.Violation{OnsetMS: at + 50, EndMS: at + 500, Culprit: 0})
	}
	l := layout()
	r, err := window.NewRun("test", l, truth, 1000, func(tick int, values []float32, valid []bool) {
		end := (tick + 1) * 100
		valid[0], valid[1] = true, true
		switch {
		case end == 10_000 || end == 20_000:
			values[0] = 20
		case end == 30_000 || end >= 50_000 && end%10_000 == 0 && end < 100_000:
			values[0] = 9
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	trace, err := Ask(context.Background(), r, flat, slope{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	curve := Curve([]*Trace{trace}, Options{})
	for _, tt := range []struct {
		falseShare, detection, wantFalse float64
	}{
		{0.1, 2. / 3, 0},
		{0.7, 1, 5. / 8},
	} {
		got, err := Choose(curve, tt.falseShare)
		if err != nil || math.Abs(got.Detection-tt.detection) > 1e-9 || math.Abs(got.FalseShare-tt.wantFalse) > 1e-9 {
			t.Errorf("Choose(%v) = %+v, %v, want %v detected, %v false", tt.falseShare, got, err, tt.detection, tt.wantFalse)
		}
	}
	nothing := slices.DeleteFunc(slices.Clone(curve), func(p Point) bool { return p.Detection > 0 })
	if _, err := Choose(nothing, 0.1); err == nil {
		t.Error("Choose found a threshold that detects something among those that do not")
	}
}

// slope is the surer of a the more requests it holds.
type slope struct{}

func (slope) Predict(x, _, p []float32) {
	p[0], p[1] = x[0]/10, 0
	p[2] = 1 - p[0]
}

// broken answers with something that is no probability.
type broken []float32

func (b broken) Predict(_, _, p []float32) { copy(p, b) }

func TestAskRefuses(t *testing.T) {
	r := makeRun(t, window.Truth{})
	for _, answer := range []broken{{0, 0, 2}, {0, 0, 0}, {-1, 0, 2}, {float32(math.NaN()), 0, 1}} {
		if _, err := Ask(context.Background(), r, flat, answer, nil); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("Ask of %v: %v, want that the model is damaged", answer, err)
		}
	}
}

// TestOracle: of three faults one is felt at once, one after a second, one never.
func TestOracle(t *testing.T) {
	truth := window.Truth{
		Faults: []campaign.Fault{
			{ID: 1, OnsetMS: 10_010, EndMS: 12_000, Cause: campaign.CauseLock, Culprit: "a"},
			{ID: 2, OnsetMS: 30_010, EndMS: 33_000, Cause: campaign.CauseLock, Culprit: "b"},
			{ID: 3, OnsetMS: 50_010, EndMS: 53_000, Cause: campaign.CauseLock, Culprit: "b"},
		},
		Violations: []window.Violation{
			{OnsetMS: 10_090, EndMS: 12_000, Culprit: 0, Fault: 1, FaultMS: 10_010},
			{OnsetMS: 31_000, EndMS: 33_000, Culprit: 1, Fault: 2, FaultMS: 30_010},
		},
	}
	r := makeRun(t, truth)
	result, err := Evaluate([]*Trace{Oracle(r)}, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	type counts struct{ Detected, Episodes, False int }
	got := counts{result.Detected, result.Episodes, result.FalseAlarms}
	if want := (counts{1, 2, 1}); got != want || *result.CulpritJoint != 0.5 {
		t.Errorf("the oracle has %+v and names %v, want %+v and half", got, *result.CulpritJoint, want)
	}
}

// TestSee: a's queue shows one violation of a, too late another, and b's a third.
func TestSee(t *testing.T) {
	truth := window.Truth{}
	for i := range int64(3) {
		at := 20_000 + 20_000*i
		truth.Violations = append(truth.Violations, window.Violation{OnsetMS: at + 50, EndMS: at + 500, Culprit: 0, Fault: int(i + 1), FaultMS: at - 300})
	}
	l := layout()
	r, err := window.NewRun("test", l, truth, 1000, func(tick int, values []float32, valid []bool) {
		end := (tick + 1) * 100
		valid[0], valid[1] = true, true
		values[0], values[1] = 3, float32(tick%5)
		switch end {
		case 19_900:
			values[0] = 4
		case 39_500, 40_100: // before the fault, after the onset
			values[0] = 9
		case 60_000:
			values[1] = 5
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := See([]*window.Run{r}, Options{ReactionMS: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got.Violations != 3 || got.Anywhere != 2 || got.Culprit != 1 || *got.Share != Share(2./3) {
		t.Errorf("See = %+v, want two of three anywhere, one at the culprit", *got)
	}
}
