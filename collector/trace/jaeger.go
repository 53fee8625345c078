package trace

import "bytes"

// jaegerTrace is one trace on its way, as Jaeger's query service and its user
// interface write it (jaeger/model/json): the processes, which name the services,
// come after the spans.
type jaegerTrace struct {
	first     int
	processes []string          // of the spans from first on
	services  map[string]string // by process
}

func (d *decoder) jaegerTrace() error {
	trace := jaegerTrace{first: len(d.set.Spans)}
	err := d.object(func(key []byte) error { return d.jaegerMember(&trace, key) })
	d.finish(&trace)
	return err
}

func (d *decoder) jaegerMember(t *jaegerTrace, key []byte) error {
	switch string(key) {
	case "spans":
		return d.array(func() error { return d.jaegerSpan(t) })
	case "processes":
		t.services = map[string]string{}
		return d.object(func(key []byte) error {
			process, service := string(key), ""
			err := d.serviceName(&service)
			t.services[process] = service
			return err
		})
	}
	return d.SkipValue()
}

// serviceName reads it from a process, or from an endpoint of Zipkin.
func (d *decoder) serviceName(service *string) error {
	return d.object(func(key []byte) error {
		if string(key) != "serviceName" {
			return d.SkipValue()
		}
		return d.text(service)
	})
}

// inline marks a process ID that is none but a service's name.
const inline = "\x00"

// jaegerSpan reads a span, whose times are in microseconds.
func (d *decoder) jaegerSpan(t *jaegerTrace) error {
	var (
		sp              Span
		start, duration int64
		process         string
		follows         SpanID
	)
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "traceID":
			return d.id(sp.Trace[:])
		case "spanID":
			return d.id(sp.ID[:])
		case "parentSpanID": // of old versions
			return d.id(follows[:])
		case "references":
			return d.array(func() error { return d.jaegerReference(&sp, &follows) })
		case "startTime":
			return d.integer(&start)
		case "duration":
			return d.integer(&duration)
		case "processID":
			return d.text(&process)
		case "process":
			var service string
			err := d.serviceName(&service)
			process = inline + service
			return err
		case "tags":
			return d.array(func() error { return d.jaegerTag(&sp.Kind) })
		}
		return d.SkipValue()
	})
	if err != nil {
		return err
	}
	const us = 1000
	sp.Start, sp.End = start*us, (start+duration)*us
	if sp.Parent == (SpanID{}) {
		sp.Parent = follows
	}
	kept, err := d.add(sp)
	if kept {
		t.processes = append(t.processes, process)
	}
	return err
}

// jaegerReference prefers who waits for a span to whom it only follows.
func (d *decoder) jaegerReference(sp *Span, follows *SpanID) error {
	var (
		trace TraceID
		id    SpanID
		kind  string
	)
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "refType":
			return d.text(&kind)
		case "traceID":
			return d.id(trace[:])
		case "spanID":
			return d.id(id[:])
		}
		return d.SkipValue()
	})
	switch {
	case trace != (TraceID{}) && sp.Trace != (TraceID{}) && trace != sp.Trace:
		// Of another trace.
	case kind == "CHILD_OF" && sp.Parent == (SpanID{}):
		sp.Parent = id
	case *follows == (SpanID{}):
		*follows = id
	}
	return err
}

func (d *decoder) jaegerTag(kind *Kind) error {
	var name string
	var value Kind
	err := d.object(func(key []byte) error {
		switch {
		case string(key) == "key":
			return d.text(&name)
		case string(key) == "value" && (name == "" || name == "span.kind"):
			v, err := d.scalar()
			value = kindOf(v)
			return err
		}
		return d.SkipValue()
	})
	if name == "span.kind" {
		*kind = value
	}
	return err
}

// kindOf reads a kind of any case.
func kindOf(text []byte) Kind {
	switch string(bytes.ToLower(text)) {
	case "server":
		return Server
	case "client":
		return Client
	case "producer":
		return Producer
	case "consumer":
		return Consumer
	case "internal":
		return Internal
	}
	return Unspecified
}

// finish gives the spans of a trace their services.
func (d *decoder) finish(t *jaegerTrace) {
	for i, process := range t.processes {
		service := t.services[process]
		if len(process) > 0 && process[:1] == inline {
			service = process[1:]
		}
		if service == "" {
			d.set.Warnings.NoService++
		}
		d.set.Spans[t.first+i].Service = d.set.service(service)
	}
}
