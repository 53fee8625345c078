package trace

import "bytes"

// otlpResource reads the spans of one resource (opentelemetry/proto/trace/v1/
// trace.proto). Its name may come after them.
func (d *decoder) otlpResource() error {
	first, service := len(d.set.Spans), ""
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "resource":
			return d.object(func(key []byte) error {
				if string(key) != "attributes" {
					return d.SkipValue()
				}
				return d.array(func() error { return d.otlpAttribute("service.name", &service) })
			})
		case "scopeSpans", "scope_spans", "instrumentationLibrarySpans":
			return d.array(d.otlpScope)
		}
		return d.SkipValue()
	})
	if len(d.set.Spans) > first {
		d.set.name(first, service)
	}
	return err
}

// otlpAttribute reads a KeyValue, and keeps its text if it is the one wanted.
func (d *decoder) otlpAttribute(want string, dst *string) error {
	var name, text string
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "key":
			return d.text(&name)
		case "value":
			return d.object(func(key []byte) error {
				if string(key) != "stringValue" && string(key) != "string_value" {
					return d.SkipValue()
				}
				return d.text(&text)
			})
		}
		return d.SkipValue()
	})
	if name == want {
		*dst = text
	}
	return err
}

func (d *decoder) otlpScope() error {
	return d.object(func(key []byte) error {
		if string(key) != "spans" {
			return d.SkipValue()
		}
		return d.array(d.otlpSpan)
	})
}

func (d *decoder) otlpSpan() error {
	var sp Span
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "traceId", "trace_id":
			return d.id(sp.Trace[:])
		case "spanId", "span_id":
			return d.id(sp.ID[:])
		case "parentSpanId", "parent_span_id":
			return d.id(sp.Parent[:])
		case "kind":
			kind, err := d.scalar()
			sp.Kind = otlpKind(kind)
			return err
		case "startTimeUnixNano", "start_time_unix_nano":
			return d.integer(&sp.Start)
		case "endTimeUnixNano", "end_time_unix_nano":
			return d.integer(&sp.End)
		}
		return d.SkipValue()
	})
	if err != nil {
		return err
	}
	_, err = d.add(sp)
	return err
}

// otlpKind reads a number or its name.
func otlpKind(text []byte) Kind {
	switch string(bytes.TrimPrefix(text, []byte("SPAN_KIND_"))) {
	case "1", "INTERNAL":
		return Internal
	case "2", "SERVER":
		return Server
	case "3", "CLIENT":
		return Client
	case "4", "PRODUCER":
		return Producer
	case "5", "CONSUMER":
		return Consumer
	}
	return Unspecified
}
