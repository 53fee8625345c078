package trace

// zipkin reads a span (zipkin-api, zipkin2-api.yaml), or the spans of a trace.
func (d *decoder) zipkin() error {
	if d.PeekKind() == '[' {
		return d.array(d.zipkinSpan)
	}
	return d.zipkinSpan()
}

// zipkinSpan reads a span, whose times are in microseconds.
func (d *decoder) zipkinSpan() error {
	var (
		sp              Span
		start, duration int64
		service         string
	)
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "traceId":
			return d.id(sp.Trace[:])
		case "id":
			return d.id(sp.ID[:])
		case "parentId":
			return d.id(sp.Parent[:])
		case "kind":
			v, err := d.scalar()
			sp.Kind = kindOf(v)
			return err
		case "timestamp":
			return d.integer(&start)
		case "duration":
			return d.integer(&duration)
		case "localEndpoint":
			return d.serviceName(&service)
		}
		return d.SkipValue()
	})
	if err != nil {
		return err
	}
	const us = 1000
	sp.Start, sp.End = start*us, (start+duration)*us
	first := len(d.set.Spans)
	kept, err := d.add(sp)
	if kept {
		d.set.name(first, service)
	}
	return err
}
