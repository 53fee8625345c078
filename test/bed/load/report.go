package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Report is what the users saw, and what the generator added.
type Report struct {
	App       string  `json:"app"`
	Seed      uint64  `json:"seed"`
	Shape     string  `json:"shape"`
	DurationS float64 `json:"duration_s"` // until the last request ended

	Counts
	Latency Latency  `json:"latency_ms"`
	Kinds   []Kind   `json:"kinds"`
	Windows []Window `json:"windows"`

	// Lateness is how long after its due time the generator got to a request,
	// which is in the request's latency too; Late counts those over 1 ms.
	Lateness     Latency `json:"lateness_ms"`
	Late         int64   `json:"late"`
	MostInFlight int     `json:"most_in_flight"`

	Failures map[string]int64 `json:"failures,omitempty"` // by message
}

// Counts says how requests ended.
type Counts struct {
	Requests int64 `json:"requests"`
	OK       int64 `json:"ok"`
	Errors   int64 `json:"errors"` // Refused included
	Timeouts int64 `json:"timeouts"`
	Refused  int64 `json:"refused"` // not sent: too many were under way
}

// Latency is a distribution in milliseconds, of all requests, failed ones
// included.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Kind is the report of one kind of request.
type Kind struct {
	Name    string `json:"name"`
	Service string `json:"service"`
	Counts
	Latency Latency `json:"latency_ms"`
}

// Window is what ended within WindowLength.
type Window struct {
	StartS  float64 `json:"start_s"`
	Ended   int64   `json:"ended"`
	Errors  int64   `json:"errors"` // timeouts included
	Latency Latency `json:"latency_ms"`
}

// Rate returns the answers per second.
func (r *Report) Rate() float64 { return float64(r.OK) / max(r.DurationS, 1e-9) }

// Notes are for a campaign's manifest: what a reader of the latencies must know
// of the generator. None if it kept its schedule.
func (r *Report) Notes() []string {
	var notes []string
	if r.Late > 0 {
		notes = append(notes, fmt.Sprintf("the load generator sent %d of %d requests more than 1 ms late (p50 %.2f ms, p99 %.2f ms, at most %.2f ms), which is part of their latency",
			r.Late, r.Requests, r.Lateness.P50, r.Lateness.P99, r.Lateness.Max))
	}
	if r.Refused > 0 {
		notes = append(notes, fmt.Sprintf("the load generator did not send %d of %d requests, as %d were under way; they count as errors that took as long as a timeout",
			r.Refused, r.Requests, r.MostInFlight))
	}
	return notes
}

// Text writes the report as a table.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "REQUEST\tCOUNT\tERRORS\tTIMEOUTS\tMEAN ms\tP50\tP90\tP99\tP99.9\tMAX\t")
	row := func(name string, c Counts, l Latency) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n",
			name, c.Requests, c.Errors, c.Timeouts, l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	for _, k := range r.Kinds {
		row(k.Name, k.Counts, k.Latency)
	}
	row("all", r.Counts, r.Latency)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %.1f requests/s answered over %.1f s; latency from the intended send time\n", r.App, r.Rate(), r.DurationS)
	fmt.Fprintf(w, "sent late by p50 %.3f ms, p99 %.3f ms, at most %.3f ms; %d over 1 ms; %d under way at most, %d refused\n",
		r.Lateness.P50, r.Lateness.P99, r.Lateness.Max, r.Late, r.MostInFlight, r.Refused)
	for _, text := range slices.Sorted(maps.Keys(r.Failures)) {
		if _, err := fmt.Fprintf(w, "%6d x %s\n", r.Failures[text], text); err != nil {
			return err
		}
	}
	return nil
}
