package trace

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
)

// What each project's own exporter wrote of one trace (testdata/README.md) gives
// the same queues.
func TestExporters(t *testing.T) {
	for _, name := range []string{"otlp", "jaeger", "zipkin"} {
		file, err := os.Open("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var s Set
		if err := s.Read(file, nil); err != nil {
			t.Fatal(err)
		}
		s.Link()
		got := map[string][2]float64{} // mean outstanding and downstream over the only tick
		if err := s.Depths(time.Second, func(tk *collector.Tick) error {
			if want := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC); !tk.Start.Equal(want) {
				t.Errorf("%s: tick at %s, want %s", name, tk.Start, want)
			}
			for i := range tk.Rows {
				r := &tk.Rows[i]
				got[r.Container.Service] = [2]float64{r.Cells[collector.QueueOutstanding].Mean, r.Cells[collector.QueueDownstream].Mean}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := map[string][2]float64{"frontend": {0.1, 0.08}, "checkout": {0.076, 0.06}, "postgres": {0.05, 0}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if s.Warnings != (Warnings{}) {
			t.Errorf("%s: %+v", name, s.Warnings)
		}
	}
}

// writeTraces writes traces of some spans each, in one of the formats, as a
// service with usual attributes is traced.
func writeTraces(w io.Writer, format string, traces int) error {
	const spans = 10
	out := bufio.NewWriterSize(w, 1<<20)
	comma := func(i int) string {
		if i == 0 {
			return ""
		}
		return ","
	}
	if format == "jaeger" {
		fmt.Fprint(out, `{"data":[`)
	}
	for n := range traces {
		start := 1_700_000_000_000_000 + n*1000 // microseconds: 1,000 traces a second
		if format == "jaeger" {
			fmt.Fprintf(out, `%s{"traceID":"%032x","spans":[`, comma(n), n+1)
		}
		for i := range spans {
			from, length, parent := start+100*i, 3000-200*i, ""
			service := i / 2
			kind := []string{"server", "client"}[i%2]
			switch format {
			case "otlp":
				if i > 0 {
					parent = fmt.Sprintf("%016x", i)
				}
				fmt.Fprintf(out, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"service-%d"}},{"key":"host.name","value":{"stringValue":"host-%d"}}]},`+
					`"scopeSpans":[{"scope":{"name":"go.opentelemetry.io/contrib"},"spans":[{"traceId":"%032x","spanId":"%016x","parentSpanId":"%s","name":"GET /cart","kind":%d,`+
					`"startTimeUnixNano":"%d000","endTimeUnixNano":"%d000","attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"url.path","value":{"stringValue":"/cart"}},`+
					`{"key":"http.response.status_code","value":{"intValue":"200"}},{"key":"server.address","value":{"stringValue":"cart.shop.svc"}}],"status":{}}]}]}]}`+"\n",
					service, service, n+1, i+1, parent, 2+i%2, from, from+length)
			case "jaeger":
				if i > 0 {
					parent = fmt.Sprintf(`{"refType":"CHILD_OF","traceID":"%032x","spanID":"%016x"}`, n+1, i)
				}
				fmt.Fprintf(out, `%s{"traceID":"%032x","spanID":"%016x","operationName":"GET /cart","references":[%s],"startTime":%d,"duration":%d,`+
					`"tags":[{"key":"span.kind","type":"string","value":"%s"},{"key":"http.method","type":"string","value":"GET"},{"key":"http.url","type":"string","value":"/cart"},`+
					`{"key":"http.status_code","type":"int64","value":200}],"logs":[],"processID":"p%d","warnings":null}`, comma(i), n+1, i+1, parent, from, length, kind, service)
			}
		}
		if format == "jaeger" {
			fmt.Fprint(out, `],"processes":{`)
			for service := range spans / 2 {
				fmt.Fprintf(out, `%s"p%d":{"serviceName":"service-%d","tags":[{"key":"hostname","type":"string","value":"host-%d"}]}`, comma(service), service, service, service)
			}
			fmt.Fprint(out, `},"warnings":null}`)
		}
	}
	if format == "jaeger" {
		fmt.Fprint(out, `],"total":0,"limit":0,"offset":0,"errors":null}`)
	}
	return out.Flush()
}

// A million spans, from a file's text to ticks: how long, and how much memory the
// process has taken from the system in the end.
func BenchmarkMillionSpans(b *testing.B) {
	for _, format := range []string{"otlp", "jaeger"} {
		b.Run(format, func(b *testing.B) {
			path := b.TempDir() + "/traces.json"
			file, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			if err := writeTraces(file, format, 100_000); err != nil {
				b.Fatal(err)
			}
			info, _ := file.Stat()
			file.Close()
			for b.Loop() {
				in, err := os.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				var s Set
				if err := s.Read(in, nil); err != nil {
					b.Fatal(err)
				}
				in.Close()
				s.Link()
				ticks, mean := 0, 0.0
				if err := s.Depths(100*time.Millisecond, func(tk *collector.Tick) error {
					ticks++
					for i := range tk.Rows {
						mean += tk.Rows[i].Cells[collector.QueueOutstanding].Mean
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
				// Five servers' spans of 3, 2.6, 2.2, 1.8 and 1.4 ms, 100,000 times.
				if got, want := mean*0.1, 100_000*11e-3; len(s.Spans) != 1_000_000 || got < want*0.999 || got > want*1.001 || s.Warnings != (Warnings{}) {
					b.Fatalf("%d spans, %v request seconds, want %v; %+v", len(s.Spans), got, want, s.Warnings)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Printf("BENCH import_million_spans_%s %.4g s\n", format, b.Elapsed().Seconds()/float64(b.N))
			fmt.Printf("BENCH import_million_spans_%s_file %.4g MB\n", format, float64(info.Size())/1e6)
			fmt.Printf("BENCH import_million_spans_%s_memory %.4g MB\n", format, float64(m.Sys)/1e6)
		})
	}
}
