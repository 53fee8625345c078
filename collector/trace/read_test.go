package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told is a span as a test writes it.
type told struct {
	Trace, ID, Parent string // last byte in hexadecimal
	Service           string
	Kind              Kind
	Start, End        int64
}

func tell(s *Set) (all []told) {
	last := func(id []byte) string {
		if bytes.Equal(id, make([]byte, len(id))) {
			return ""
		}
		const digits = "0123456789abcdef"
		b := id[len(id)-1]
		return string([]byte{digits[b>>4], digits[b&15]})
	}
	for i := range s.Spans {
		sp := &s.Spans[i]
		all = append(all, told{last(sp.Trace[:]), last(sp.ID[:]), last(sp.Parent[:]), s.Services[sp.Service], sp.Kind, sp.Start, sp.End})
	}
	return all
}

const (
	otlpOne = `{"resourceSpans": [{
		"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "h"}}, {"key": "service.name", "value": {"stringValue": "cart"}}]},
		"scopeSpans": [{"scope": {"name": "lib"}, "spans": [
			{"traceId": "000000000000000000000000000000a1", "spanId": "00000000000000b1", "name": "GET /", "kind": 2, "startTimeUnixNano": "1000", "endTimeUnixNano": "5000",
				"attributes": [{"key": "n", "value": {"intValue": "3"}}], "status": {}},
			{"traceId": "000000000000000000000000000000a1", "spanId": "00000000000000b2", "parentSpanId": "00000000000000b1", "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": 2000, "endTimeUnixNano": 4000}
		]}], "schemaUrl": ""}]}`
	// The name comes after the spans; IDs are in base64.
	otlpTwo = `{"resourceSpans": [{
		"scopeSpans": [{"spans": [
			{"traceId": "AAAAAAAAAAAAAAAAAAAAoQ==", "spanId": "AAAAAAAAALM=", "parentSpanId": "AAAAAAAAALI=", "kind": 2, "startTimeUnixNano": "2100", "endTimeUnixNano": "3900"}]}],
		"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "db"}}]}}]}`
	jaegerText = `{"data": [{"traceID": "a1", "spans": [
			{"traceID": "a1", "spanID": "b1", "operationName": "GET", "references": [], "startTime": 1, "duration": 4, "processID": "p1", "warnings": null,
				"tags": [{"key": "span.kind", "type": "string", "value": "server"}, {"key": "code", "type": "int64", "value": 200}]},
			{"traceID": "a1", "spanID": "b2", "references": [{"refType": "FOLLOWS_FROM", "traceID": "a1", "spanID": "b9"}, {"refType": "CHILD_OF", "traceID": "a1", "spanID": "b1"}],
				"startTime": 2, "duration": 2, "processID": "p2", "tags": []},
			{"traceID": "a1", "spanID": "b3", "parentSpanID": "b2", "startTime": 3, "duration": 1, "process": {"serviceName": "inline"}}
		], "processes": {"p1": {"serviceName": "cart", "tags": []}, "p2": {"serviceName": "db"}}}], "total": 0, "errors": null}`
	zipkinText = `[
		{"traceId": "a1", "id": "b1", "kind": "CLIENT", "name": "get", "timestamp": 1, "duration": 4, "localEndpoint": {"serviceName": "cart", "ipv4": "10.0.0.1"}, "tags": {"k": "v"}},
		{"traceId": "a1", "id": "b1", "kind": "SERVER", "shared": true, "timestamp": 2, "duration": 2, "localEndpoint": {"serviceName": "db"}},
		{"traceId": "a1", "id": "b2", "parentId": "b1", "timestamp": 3, "duration": 1}]`
)

var (
	otlpTold = []told{
		{"a1", "b1", "", "cart", Server, 1000, 5000}, {"a1", "b2", "b1", "cart", Client, 2000, 4000},
		{"a1", "b3", "b2", "db", Server, 2100, 3900},
	}
	jaegerTold = []told{
		{"a1", "b1", "", "cart", Server, 1000, 5000}, {"a1", "b2", "b1", "db", Unspecified, 2000, 4000},
		{"a1", "b3", "b2", "inline", Unspecified, 3000, 4000},
	}
	zipkinTold = []told{
		{"a1", "b1", "", "cart", Client, 1000, 5000}, {"a1", "b1", "", "db", Server, 2000, 4000},
		{"a1", "b2", "b1", "unknown", Unspecified, 3000, 4000},
	}
)

func TestRead(t *testing.T) {
	tests := []struct {
		name, text string
		want       []told
		warnings   Warnings
	}{
		{"OTLP, two files in one", otlpOne + "\n" + otlpTwo, otlpTold, Warnings{}},
		{"Jaeger", jaegerText, jaegerTold, Warnings{}},
		{"Jaeger, one trace", strings.TrimSuffix(strings.TrimPrefix(jaegerText, `{"data": [`), `], "total": 0, "errors": null}`), jaegerTold, Warnings{}},
		{"Zipkin", zipkinText, zipkinTold, Warnings{NoService: 1}},
		{"Zipkin, by trace", "[" + zipkinText + "]", zipkinTold, Warnings{NoService: 1}},
		{"Zipkin, none", "[]", nil, Warnings{}},
		{"what cannot be used", `[
			{"traceId": "a1", "id": "b1", "kind": "SERVER", "timestamp": 1, "duration": -4, "localEndpoint": {"serviceName": "x"}},
			{"traceId": "a1", "id": "", "timestamp": 1, "duration": 4}, {"traceId": "nonsense", "id": "b1", "timestamp": 1, "duration": 4},
			{"traceId": "a1", "id": "b1", "duration": 4}, {"traceId": "a1", "id": "b1", "timestamp": "1e9", "duration": 3600000001}]`,
			nil, Warnings{NegativeDuration: 1, NoID: 2, NoTime: 1, TooLong: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Set
			if err := s.Read(strings.NewReader(tt.text), nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tell(&s)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.warnings, s.Warnings); diff != "" {
				t.Errorf("warnings -want +got:\n%s", diff)
			}
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			io.WriteString(z, tt.text)
			z.Close()
			var again Set
			if err := again.Read(&packed, nil); err != nil || len(again.Spans) != len(s.Spans) {
				t.Errorf("compressed: %d spans, %v, want %d", len(again.Spans), err, len(s.Spans))
			}
		})
	}
}

func TestReadBroken(t *testing.T) {
	tests := []struct {
		name, text, says string
		is               error
	}{
		{"nothing", "", "empty", ErrFormat},
		{"something else", `{"rows": []}`, "without resourceSpans, data or spans", ErrFormat},
		{"a number", `17`, "broken at byte 2", ErrFormat},
		{"not JSON", "<html>", "broken at byte 0", nil},
		{"ends in the middle", otlpOne[:len(otlpOne)/2], "ends in the middle", io.ErrUnexpectedEOF},
		{"Jaeger ends in the middle", jaegerText[:len(jaegerText)/2], "ends in the middle", io.ErrUnexpectedEOF},
		{"Zipkin ends in the middle", zipkinText[:len(zipkinText)/2], "ends in the middle", io.ErrUnexpectedEOF},
		{"another shape", `{"resourceSpans": {"a": 1}}`, "want an array", ErrFormat},
		{"gzip of nothing", "\x1f\x8b", "gzip", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Set
			err := s.Read(strings.NewReader(tt.text), nil)
			if err == nil || !strings.Contains(err.Error(), tt.says) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Read = %v, want %q", err, tt.says)
			}
		})
	}
}

// Whatever the bytes are, reading ends, and what was read can be linked and swept.
func FuzzRead(f *testing.F) {
	for _, text := range []string{otlpOne, otlpTwo, jaegerText, zipkinText, "[" + zipkinText + "]", `{"data":null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Set
		if err := s.Read(bytes.NewReader(data), nil); err != nil {
			return
		}
		n := len(s.Spans)
		s.Link()
		if len(s.Spans)+s.Warnings.Duplicate != n {
			t.Errorf("%d spans, %d after Link, %d duplicates", n, len(s.Spans), s.Warnings.Duplicate)
		}
		for i := range s.Spans {
			if above := s.Spans[i].Above; int(above) == i || int(above) >= len(s.Spans) {
				t.Errorf("span %d has parent %d", i, above)
			}
		}
	})
}
