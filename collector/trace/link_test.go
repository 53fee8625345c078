package trace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// add adds a span of a service to a set; IDs are one byte.
func (s *Set) span(trace, id, parent byte, service string, kind Kind, start, end int64) {
	sp := Span{Trace: TraceID{15: trace}, ID: SpanID{7: id}, Parent: SpanID{7: parent}, Service: s.service(service), Kind: kind, Start: start, End: end, Above: -1}
	s.Spans = append(s.Spans, sp)
}

func TestLink(t *testing.T) {
	// linked is what is known of a span afterwards.
	type linked struct {
		service, above string
		kind           Kind
		start, end     int64
	}
	tests := []struct {
		name     string
		spans    func(*Set)
		want     []linked // in order of ID, then service
		warnings Warnings
	}{
		{"a call", func(s *Set) {
			s.span(1, 1, 0, "web", Server, 100, 200)
			s.span(1, 2, 1, "web", Client, 110, 190)
			s.span(1, 3, 2, "db", Server, 120, 180)
		}, []linked{{"web", "", Server, 100, 200}, {"web", "web", Client, 110, 190}, {"db", "web", Server, 120, 180}}, Warnings{}},
		{"both ends have one ID", func(s *Set) {
			s.span(1, 1, 0, "web", Client, 100, 200)
			s.span(1, 1, 0, "db", Server, 120, 180)
			s.span(1, 2, 1, "db", Client, 130, 140)
		}, []linked{{"db", "web", Server, 120, 180}, {"web", "", Client, 100, 200}, {"db", "db", Client, 130, 140}}, Warnings{}},
		{"of no kind", func(s *Set) {
			s.span(1, 1, 0, "web", Unspecified, 100, 200)
			s.span(1, 2, 1, "web", Unspecified, 110, 190)
			s.span(1, 3, 2, "db", Unspecified, 120, 180)
		}, []linked{{"web", "", Server, 100, 200}, {"web", "web", Internal, 110, 190}, {"db", "web", Server, 120, 180}}, Warnings{}},
		{"reported twice, first while it was open", func(s *Set) {
			s.span(1, 1, 0, "web", Server, 100, 150)
			s.span(1, 1, 0, "web", Server, 100, 200)
			s.span(2, 1, 0, "web", Server, 100, 150)
		}, []linked{{"web", "", Server, 100, 200}, {"web", "", Server, 100, 150}}, Warnings{Duplicate: 1}},
		{"no parent", func(s *Set) { s.span(1, 2, 1, "db", Server, 100, 200) },
			[]linked{{"db", "", Server, 100, 200}}, Warnings{MissingParent: 1}},
		{"a clock that is behind takes what its service called along", func(s *Set) {
			s.span(1, 1, 0, "web", Client, 100, 200)
			s.span(1, 2, 1, "mid", Server, 10, 90)
			s.span(1, 3, 2, "mid", Client, 20, 80)
			s.span(1, 4, 3, "db", Server, 130, 150)
		}, []linked{{"web", "", Client, 100, 200}, {"mid", "web", Server, 110, 190}, {"mid", "mid", Client, 120, 180}, {"db", "mid", Server, 130, 150}}, Warnings{SkewedClock: 1}},
		{"it goes on after its caller gave up", func(s *Set) {
			s.span(1, 1, 0, "web", Client, 100, 200)
			s.span(1, 2, 1, "db", Server, 110, 500)
		}, []linked{{"web", "", Client, 100, 200}, {"db", "web", Server, 110, 500}}, Warnings{}},
		{"a message is handled later", func(s *Set) {
			s.span(1, 1, 0, "web", Producer, 100, 110)
			s.span(1, 2, 1, "mail", Consumer, 300, 400)
		}, []linked{{"web", "", Producer, 100, 110}, {"mail", "web", Consumer, 300, 400}}, Warnings{}},
		{"a circle", func(s *Set) {
			s.span(1, 1, 2, "a", Server, 100, 200)
			s.span(1, 2, 1, "b", Server, 110, 190)
		}, []linked{{"a", "", Server, 100, 200}, {"b", "", Server, 110, 190}}, Warnings{Circular: 2}},
		{"its own parent", func(s *Set) { s.span(1, 1, 1, "a", Server, 100, 200) },
			[]linked{{"a", "", Server, 100, 200}}, Warnings{Circular: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Set
			tt.spans(&s)
			s.Link()
			var got []linked
			for i := range s.Spans {
				sp := &s.Spans[i]
				above := ""
				if sp.Above >= 0 {
					above = s.Services[s.Spans[sp.Above].Service]
				}
				got = append(got, linked{s.Services[sp.Service], above, sp.Kind, sp.Start, sp.End})
			}
			byName := cmp.AllowUnexported(linked{})
			if tt.name == "both ends have one ID" { // their order is that of the services' numbers
				got[0], got[1] = got[1], got[0]
			}
			if diff := cmp.Diff(tt.want, got, byName); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.warnings, s.Warnings); diff != "" {
				t.Errorf("warnings -want +got:\n%s", diff)
			}
		})
	}
}
