package campaign

import (
	"fmt"
	"slices"

	"seer/collector"
)

// maxContainers bounds the index of a container.
const maxContainers = 1 << 20

// problems returns what is wrong with a manifest, in the order of its fields.
func (m *Manifest) problems() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case m.Schema < 1:
		add("schema %d: want 1", m.Schema)
	case m.Schema > SchemaVersion:
		add("schema %d: this build reads up to %d: use a newer one", m.Schema, SchemaVersion)
	}
	if m.App == "" {
		add("app: it is empty")
	}
	if m.Source != SourceSimulator && m.Source != SourceTestbed {
		add("source %q: want %q or %q", m.Source, SourceSimulator, SourceTestbed)
	}
	if m.Start.IsZero() {
		add("start: it is missing")
	}
	if m.DurationMS <= 0 {
		add("duration_ms %d: want more than none", m.DurationMS)
	}
	if m.TickMS <= 0 {
		add("tick_ms %d: want more than none", m.TickMS)
	}
	if len(m.Services) == 0 {
		add("services: there is none")
	}
	for i, s := range m.Services {
		if s == "" || slices.Contains(m.Services[:i], s) {
			add("services: %q is empty or there twice", s)
		}
	}
	if len(m.Containers) > maxContainers {
		add("containers: more than %d", maxContainers)
	}
	services := make(map[string]bool, len(m.Services))
	for _, s := range m.Services {
		services[s] = true
	}
	names := make(map[string]bool, len(m.Containers))
	for i, c := range m.Containers {
		if c.Name == "" || names[c.Name] {
			add("containers: the name of %d, %q, is empty or there twice", i, c.Name)
		}
		names[c.Name] = true
		if c.Service != "" && !services[c.Service] {
			add("containers: %q is of service %q, which is not listed", c.Name, c.Service)
		}
		if c.FromMS < 0 || c.FromMS > m.DurationMS || c.UntilMS < 0 || c.UntilMS > m.DurationMS || c.UntilMS > 0 && c.UntilMS < c.FromMS {
			add("containers: %q is there from %d to %d ms: out of range", c.Name, c.FromMS, c.UntilMS)
		}
	}
	if len(m.Queues) == 0 {
		add("queues: there is none")
	}
	for i, name := range m.Queues {
		if _, ok := collector.QueueByName(name); !ok || slices.Contains(m.Queues[:i], name) {
			add("queues: %q does not exist or is there twice", name)
		}
	}
	if len(m.QoS) == 0 {
		add("qos: there is none")
	}
	for _, q := range m.QoS {
		if !services[q.Service] {
			add("qos: there is no service %q", q.Service)
		}
		if !(q.Percentile > 0 && q.Percentile < 100) || !(q.TargetMS > 0) {
			add("qos of %q: p%v %v ms: want a percentile between 0 and 100 and a target above 0", q.Service, q.Percentile, q.TargetMS)
		}
	}
	end := int64(0)
	for _, r := range m.Resumes {
		if r.FromMS < end || r.ToMS < r.FromMS || r.ToMS > m.DurationMS {
			add("resumes: %d to %d ms: out of order or range", r.FromMS, r.ToMS)
		}
		end = r.ToMS
	}
	return out
}

// problems returns what is wrong with a fault of the campaign m.
func (f *Fault) problems(m *Manifest) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if f.ID < 1 {
		add("id %d: they count from 1", f.ID)
	}
	if f.OnsetMS < 0 || f.EndMS <= f.OnsetMS || f.EndMS > m.DurationMS {
		add("onset_ms %d, end_ms %d: want 0 <= onset < end <= %d", f.OnsetMS, f.EndMS, m.DurationMS)
	}
	if !(f.Intensity > 0 && f.Intensity <= 1) {
		add("intensity %v: want above 0 and at most 1", f.Intensity)
	}
	if f.Cause.Class() == "" {
		add("cause %q: there is none of that name", f.Cause)
		return out
	}
	switch {
	case !f.Cause.hasCulprit() && f.Culprit != "":
		add("culprit %q: %s has none", f.Culprit, f.Cause)
	case f.Cause.hasCulprit() && !slices.Contains(m.Services, f.Culprit):
		add("culprit %q: there is no such service", f.Culprit)
	}
	isAntagonist := func(c Container) bool { return c.Name == f.Antagonist && c.Service == "" }
	switch {
	case f.Cause.Antagonist() == "" && f.Antagonist != "":
		add("antagonist %q: %s has none", f.Antagonist, f.Cause)
	case f.Cause.Antagonist() != "" && !slices.ContainsFunc(m.Containers, isAntagonist):
		add("antagonist %q: no container of that name that belongs to no service", f.Antagonist)
	}
	if f.Cause != CauseCycle && len(f.Peers) > 0 {
		add("peers %q: only a cycle has them", f.Peers)
	}
	if f.Cause == CauseCycle && len(f.Peers) != 2 {
		add("peers %q: a cycle has two", f.Peers)
	}
	for i, p := range f.Peers {
		if !slices.Contains(m.Services, p) || p == f.Culprit || slices.Contains(f.Peers[:i], p) {
			add("peers: %q is no service, or is in the cycle twice", p)
		}
	}
	return out
}

// problems returns what is wrong with a request of the campaign m. It is on
// the path of every request: where nothing is wrong it allocates nothing.
func (r *Request) problems(m *Manifest) []string {
	var out []string
	if r.IntendedUS < 0 || r.IntendedUS > m.DurationMS*1000 {
		out = append(out, fmt.Sprintf("intended_us %d: want 0 to %d", r.IntendedUS, m.DurationMS*1000))
	}
	if r.SentUS < r.IntendedUS || r.LatencyUS < r.SentUS-r.IntendedUS {
		out = append(out, fmt.Sprintf("intended_us %d, sent_us %d, latency_us %d: sent before it was meant to be, or ended before it was sent",
			r.IntendedUS, r.SentUS, r.LatencyUS))
	}
	switch Status(r.Status) {
	case StatusOK, StatusError, StatusTimeout:
	default:
		out = append(out, fmt.Sprintf("status %q: there is none of that name", r.Status))
	}
	if r.Type == "" || !slices.Contains(m.Services, r.Service) {
		out = append(out, fmt.Sprintf("type %q of service %q: no type, or no such service", r.Type, r.Service))
	}
	return out
}
