package campaign

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"seer/infer/topology"
)

// PlanOptions configure a plan. The zero value takes every default.
type PlanOptions struct {
	Shape  Shape         // default constant
	Rate   float64       // requests per second, default the application's nominal load
	Swing  float64       // of the diurnal shape, share of Rate, default 0.4
	Period time.Duration // of the diurnal shape, default half of the campaign

	Mix          Mix           // default DefaultMix
	NoFaults     bool          // nominal load only
	Warmup       time.Duration // no fault before it, default 20 s
	Gap          time.Duration // mean time without fault, beyond Recovery, default 20 s
	Recovery     time.Duration // least time from the end of a fault to the next, default 15 s
	Shortest     time.Duration // fault, default 5 s
	Longest      time.Duration // fault, default 25 s
	MinIntensity float64       // least intensity of a fault, default 0.2; the mildest do no harm that users feel
	Spike        float64       // rate during a load spike of intensity 1, in multiples of the load, default 4

	Acceptance bool // allows seeds from FirstAcceptanceSeed
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o PlanOptions) withDefaults(app *topology.App, duration time.Duration) PlanOptions {
	setDefault(&o.Shape, ShapeConstant)
	setDefault(&o.Rate, app.Load.Rate)
	setDefault(&o.Swing, 0.4)
	setDefault(&o.Period, (duration / 2).Truncate(time.Millisecond))
	if len(o.Mix) == 0 {
		o.Mix = DefaultMix()
	}
	setDefault(&o.Warmup, 20*time.Second)
	setDefault(&o.Gap, 20*time.Second)
	setDefault(&o.Recovery, 15*time.Second)
	setDefault(&o.Shortest, 5*time.Second)
	setDefault(&o.Longest, max(25*time.Second, o.Shortest))
	setDefault(&o.MinIntensity, 0.2)
	setDefault(&o.Spike, 4)
	return o
}

func (o *PlanOptions) validate() error {
	if _, err := ParseShape(string(o.Shape)); err != nil {
		return err
	}
	switch {
	case !(o.Rate > 0 && o.Rate <= 1e7):
		return fmt.Errorf("rate %v: want requests per second, above 0 and at most ten million", o.Rate)
	case !(o.Swing > 0 && o.Swing < 1):
		return fmt.Errorf("swing %v: want a share of the rate, above 0 and below 1", o.Swing)
	case !(o.MinIntensity > 0 && o.MinIntensity <= 1):
		return fmt.Errorf("intensity %v: want above 0 and at most 1", o.MinIntensity)
	case !(o.Spike > 1 && o.Spike <= 100):
		return fmt.Errorf("spike %v: want a multiple of the load, above 1 and at most 100", o.Spike)
	case o.Longest < o.Shortest:
		return fmt.Errorf("faults of %v to %v: the longest is shorter than the shortest", o.Shortest, o.Longest)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"period", o.Period}, {"warmup", o.Warmup}, {"gap", o.Gap}, {"recovery", o.Recovery},
		{"shortest fault", o.Shortest}, {"longest fault", o.Longest},
	} {
		if d.v < time.Millisecond || d.v%time.Millisecond != 0 {
			return fmt.Errorf("%s %v: want whole milliseconds, one or more", d.name, d.v)
		}
	}
	return o.Mix.validate()
}

// schedule names the way in which plans are drawn: a campaign drawn in another
// way is not held to its plan.
const schedule = "plan 1"

// Strings returns the options as Manifest.Options keeps them. A plan's own
// options have the defaults filled in, so that the campaign means the same to a
// later version with other defaults.
func (o *PlanOptions) Strings() map[string]string {
	m := map[string]string{
		"schedule": schedule,
		"load":     string(o.Shape),
		"rate":     number(o.Rate),
		"faults":   "on",
	}
	if o.Shape == ShapeDiurnal {
		m["swing"], m["period"] = number(o.Swing), o.Period.String()
	}
	if o.Acceptance {
		m["acceptance"] = "true"
	}
	if o.NoFaults {
		m["faults"] = "off"
		return m
	}
	maps.Copy(m, map[string]string{
		"mix":           o.Mix.String(),
		"warmup":        o.Warmup.String(),
		"gap":           o.Gap.String(),
		"recovery":      o.Recovery.String(),
		"shortest":      o.Shortest.String(),
		"longest":       o.Longest.String(),
		"min_intensity": number(o.MinIntensity),
		"spike":         number(o.Spike),
	})
	return m
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// ParsePlanOptions reads what Strings wrote; keys that are not a plan's are
// ignored, those that lack get their defaults from NewPlan.
func ParsePlanOptions(m map[string]string) (PlanOptions, error) {
	var o PlanOptions
	var err error
	keep := func(key string, e error) {
		if e != nil && err == nil {
			err = fmt.Errorf("option %s %q: %w", key, m[key], e)
		}
	}
	duration := func(key string, dst *time.Duration) {
		if m[key] != "" {
			d, e := time.ParseDuration(m[key])
			*dst = d
			keep(key, e)
		}
	}
	float := func(key string, dst *float64) {
		if m[key] != "" {
			v, e := strconv.ParseFloat(m[key], 64)
			*dst = v
			keep(key, e)
		}
	}
	o.Shape = Shape(m["load"])
	o.NoFaults = m["faults"] == "off"
	o.Acceptance = m["acceptance"] == "true"
	float("rate", &o.Rate)
	float("swing", &o.Swing)
	duration("period", &o.Period)
	duration("warmup", &o.Warmup)
	duration("gap", &o.Gap)
	duration("recovery", &o.Recovery)
	duration("shortest", &o.Shortest)
	duration("longest", &o.Longest)
	float("min_intensity", &o.MinIntensity)
	float("spike", &o.Spike)
	if m["mix"] != "" {
		mix, e := ParseMix(m["mix"])
		o.Mix = mix
		keep("mix", e)
	}
	return o, err
}

// Mix weighs the causes against each other. Causes that it lacks do not occur.
type Mix map[Cause]float64

// DefaultMix follows the order of the paper (section 6, figure 12b):
// application about as often as compute, then network, cache and memory, disk;
// and the load spikes that it mentions. Of a hundred faults 30 are of the
// application, 29 compute, 16 network, 12 memory, 6 disk and 7 load spikes.
func DefaultMix() Mix {
	return Mix{
		CauseLock: 6, CauseCycle: 4, CauseDeadlock: 4, CausePool: 6, CauseSlowDependency: 6, CausePacketFilter: 4,
		CauseCPU: 17, CauseCPULimit: 12,
		CauseNetworkShaping: 8, CauseNetworkLoss: 6, CauseNetworkFailure: 2,
		CauseMemoryBandwidth: 7, CauseMemoryCapacity: 5,
		CauseDisk:      6,
		CauseLoadSpike: 7,
	}
}

// String returns the mix in the form that ParseMix reads: "lock=6,cpu=17".
func (m Mix) String() string {
	var parts []string
	for _, c := range Causes {
		if w := m[c.Cause]; w > 0 {
			parts = append(parts, string(c.Cause)+"="+number(w))
		}
	}
	return strings.Join(parts, ",")
}

// ParseMix reads a mix of causes, or of classes whose weight is then shared out
// to their causes as DefaultMix does: "application=2,disk=1".
func ParseMix(s string) (Mix, error) {
	m := make(Mix)
	for part := range strings.SplitSeq(s, ",") {
		name, weight, ok := strings.Cut(strings.TrimSpace(part), "=")
		w, err := strconv.ParseFloat(weight, 64)
		if !ok || err != nil || !(w >= 0 && w <= 1e6) {
			return nil, fmt.Errorf("mix of faults %q: want CAUSE=WEIGHT, weights from 0 to a million, separated by commas", part)
		}
		if Cause(name).Class() != "" {
			m[Cause(name)] += w
			continue
		}
		found := false
		standard, total := DefaultMix(), 0.0
		for _, c := range Causes {
			if c.Class == Class(name) {
				total += standard[c.Cause]
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("mix of faults: there is no cause or class %q", name)
		}
		for _, c := range Causes {
			if c.Class == Class(name) {
				m[c.Cause] += float64(w*standard[c.Cause]) / total
			}
		}
	}
	return m, m.validate()
}

func (m Mix) validate() error {
	sum := 0.0
	for c, w := range m {
		if c.Class() == "" {
			return fmt.Errorf("mix of faults: there is no cause %q", c)
		}
		if !(w >= 0 && w <= 1e6) {
			return fmt.Errorf("mix of faults: weight %v of %q: want 0 to a million", w, c)
		}
		sum += w
	}
	if sum == 0 {
		return fmt.Errorf("mix of faults: every weight is zero: to have no faults say so")
	}
	return nil
}
