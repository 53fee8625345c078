package evaluate

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"

	"seer/infer/alarm"
	"seer/infer/campaign"
	"seer/infer/window"
)

// HorizonsMS are the horizons' that are reported; the first figures of a report are
// those of HeadlineMS.
var HorizonsMS = []int64{100, 500, 1000, 5000}

// HeadlineMS is the horizon' of the figures without further name.
const HeadlineMS = 500

// Schema is the version of the report.
const Schema = 1

// Unexplained names, in Result.ByCause, violations and false alarms that no fault
// explains.
const Unexplained = "unexplained"

// Result is how good one model was.
type Result struct {
	Figures
	Threshold   float32            `json:"threshold"`
	InferenceUS float64            `json:"inference_us"` // 99th percentile
	ByHorizon   map[string]Figures `json:"by_horizon"`   // by horizon' in ms
	ByCause     map[string]Figures `json:"by_cause"`
	ByOrder     map[string]Figures `json:"by_order"` // "first" violations of a fault, and "repeat"

	// Confusion counts, for each culprit that should have been named, who was:
	// "" where no alarm came in time.
	Confusion map[string]map[string]int `json:"confusion"`

	LeadsMS []int64 `json:"-"`               // of all detected violations, at the longest horizon', ascending
	Curve   []Point `json:"curve,omitempty"` // what other thresholds would give, from the highest
}

// Report is what `seer eval -j` prints: the first model's result, and everybody's.
type Report struct {
	Schema int    `json:"schema"`
	Model  string `json:"model"`
	Result
	HorizonMS  int64             `json:"horizon_ms"`
	ReactionMS int64             `json:"reaction_ms"`
	Hours      float64           `json:"hours"`
	Data       []string          `json:"data"`
	ByModel    map[string]Result `json:"by_model"`

	// Oracle is how good an observer would be who is told of every fault.
	Oracle *Figures `json:"oracle,omitempty"`
	// Visible is of how many violations queues showed anything in time.
	Visible *Visible `json:"visible,omitempty"`
}

// Options say how alarms are judged.
type Options struct {
	// ReactionMS is the measured time from the end of a tick to the end of the
	// action: an alarm later than that before the onset is a miss.
	ReactionMS int64
}

// Evaluate matches the alarms at a threshold with what happened.
func Evaluate(traces []*Trace, threshold float32, o Options) (*Result, error) {
	if len(traces) == 0 {
		return nil, errors.New("nothing to evaluate: no run")
	}
	r := &Result{
		Threshold: threshold,
		ByHorizon: map[string]Figures{}, ByCause: map[string]Figures{}, ByOrder: map[string]Figures{},
		Confusion: map[string]map[string]int{},
	}
	alarms := make([][]alarm.Alarm, len(traces))
	hours := Hours(traces)
	for i, t := range traces {
		alarms[i] = t.alarms(threshold, nil)
		r.InferenceUS = max(r.InferenceUS, t.InferenceUS)
	}
	matched := func(horizonMS int64) []matching {
		all := make([]matching, len(traces))
		for i, t := range traces {
			all[i] = t.match(alarms[i], horizonMS, o.ReactionMS)
		}
		return all
	}
	for _, h := range HorizonsMS {
		all := matched(h)
		r.ByHorizon[strconv.FormatInt(h, 10)] = figures(all, hours, everything)
		if h == slices.Max(HorizonsMS) {
			for i := range all {
				for _, out := range all[i].outcomes {
					if out.detected {
						r.LeadsMS = append(r.LeadsMS, out.leadMS)
					}
				}
			}
			slices.Sort(r.LeadsMS)
		}
	}
	all := matched(HeadlineMS)
	r.Figures = figures(all, hours, everything)
	for c := range causes(all) {
		r.ByCause[cmp.Or(string(c), Unexplained)] = figures(all, hours, byCause(c))
	}
	r.ByOrder["first"], r.ByOrder["repeat"] = figures(all, hours, byOrder(false)), figures(all, hours, byOrder(true))
	for i, t := range traces {
		for _, out := range all[i].outcomes {
			if out.violation.Culprit < 0 {
				continue
			}
			named := ""
			if out.detected {
				named = t.name(out.named)
			}
			truth := t.name(out.violation.Culprit)
			if r.Confusion[truth] == nil {
				r.Confusion[truth] = map[string]int{}
			}
			r.Confusion[truth][named]++
		}
	}
	return r, nil
}

// name returns the service of a slot. A model may name a slot that nobody has.
func (t *Trace) name(slot int) string {
	if slot < 0 || slot >= len(t.Run.Slots) || t.Run.Slots[slot] == "" {
		return "no service"
	}
	return t.Run.Slots[slot]
}

// Hours returns how long the runs of some traces took.
func Hours(traces []*Trace) float64 {
	ms := int64(0)
	for _, t := range traces {
		ms += t.Run.DurationMS()
	}
	return float64(ms) / 3.6e6
}

// causes returns those that brought about a violation or an episode.
func causes(all []matching) map[campaign.Cause]bool {
	found := map[campaign.Cause]bool{}
	for i := range all {
		for k := range all[i].outcomes {
			found[all[i].outcomes[k].violation.Cause] = true
		}
		for k := range all[i].episodes {
			found[all[i].episodes[k].cause] = true
		}
	}
	return found
}

// NewReport makes a report of results by the names of their models, the first of
// which is the one that was asked for.
func NewReport(names []string, results map[string]Result, runs []*window.Run, o Options) (*Report, error) {
	r := &Report{
		Schema: Schema, Model: names[0], Result: results[names[0]], HorizonMS: HeadlineMS,
		ReactionMS: o.ReactionMS, ByModel: maps.Clone(results),
	}
	var told []*Trace
	for _, run := range runs {
		r.Data = append(r.Data, run.Name)
		told = append(told, Oracle(run))
	}
	r.Hours = Hours(told)
	best, err := Evaluate(told, 1, o)
	if err != nil {
		return nil, err
	}
	r.Oracle = &best.Figures
	r.Visible, err = See(runs, o)
	return r, err
}
