package trace

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what a span is to its service, as OpenTelemetry has it.
type Kind uint8

// Kinds. Unspecified is decided by Link: a server's where the parent is of
// another service or there is none, else internal.
const (
	Unspecified Kind = iota
	Internal
	Server
	Client
	Producer
	Consumer
)

// TraceID and SpanID are what their names say; zero is none.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// Span is one operation of one service.
type Span struct {
	Trace   TraceID
	ID      SpanID
	Parent  SpanID // zero: none
	Service int32  // index of Set.Services
	Kind    Kind
	Start   int64 // nanoseconds since the epoch, by the service's own clock until Link
	End     int64

	// Above is the index of the parent in Set.Spans, or -1. Link sets it.
	Above int32
}

// Warnings count what was left out or set right.
type Warnings struct {
	NoID             int // spans without a usable trace or span ID: left out
	NoTime           int // without a start: left out
	NegativeDuration int // left out
	TooLong          int // longer than MaxDuration: left out
	NoService        int // of service "unknown"
	Duplicate        int // reported again: left out
	MissingParent    int // taken for the first of their trace
	Circular         int // their own ancestor: taken for the first, too
	SkewedClock      int // moved into the call that they answer
}

// String lists those there were, such as "2 no id, 1 missing parent".
func (w *Warnings) String() string {
	var words []string
	for _, each := range []struct {
		n    int
		what string
	}{
		{w.NoID, "no id"}, {w.NoTime, "no time"}, {w.NegativeDuration, "negative duration"}, {w.TooLong, "too long"},
		{w.NoService, "no service"}, {w.Duplicate, "duplicate"}, {w.MissingParent, "missing parent"},
		{w.Circular, "circular"}, {w.SkewedClock, "skewed clock"},
	} {
		if each.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", each.n, each.what))
		}
	}
	return strings.Join(words, ", ")
}

// Bounds on what is read.
const (
	MaxSpans    = 20_000_000
	MaxDuration = time.Hour // longer spans are streams or mistakes: no request
)

// ErrTooManySpans is returned when there are more than MaxSpans.
var ErrTooManySpans = errors.New("more than 20,000,000 spans: import fewer files at once, into one database one after the other")

// unknownService stands for those without a name.
const unknownService = "unknown"

// Set is the spans of some files.
type Set struct {
	Spans    []Span
	Services []string
	Warnings Warnings

	index map[string]int32
}

// service returns the index of a service, which it adds if it is new.
func (s *Set) service(name string) int32 {
	if name == "" {
		name = unknownService
	}
	if i, ok := s.index[name]; ok {
		return i
	}
	if s.index == nil {
		s.index = map[string]int32{}
	}
	i := int32(len(s.Services))
	s.Services = append(s.Services, name)
	s.index[name] = i
	return i
}

// add keeps a span if it can be one, and says whether it did.
func (s *Set) add(sp Span) (kept bool, err error) {
	switch {
	case sp.Trace == TraceID{} || sp.ID == SpanID{}:
		s.Warnings.NoID++
	case sp.Start <= 0:
		s.Warnings.NoTime++
	case sp.End < sp.Start:
		s.Warnings.NegativeDuration++
	case sp.End-sp.Start > int64(MaxDuration):
		s.Warnings.TooLong++
	case len(s.Spans) >= MaxSpans:
		return false, ErrTooManySpans
	default:
		sp.Above = -1
		s.Spans = append(s.Spans, sp)
		return true, nil
	}
	return false, nil
}

// name gives the spans from index first on, which have no service yet, one.
func (s *Set) name(first int, service string) {
	if service == "" {
		s.Warnings.NoService += len(s.Spans) - first
	}
	i := s.service(service)
	for k := first; k < len(s.Spans); k++ {
		s.Spans[k].Service = i
	}
}
