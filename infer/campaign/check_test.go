package campaign

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckFindsNothing(t *testing.T) {
	for _, o := range []PlanOptions{{}, {Shape: ShapeSpiky}, {Shape: ShapeDiurnal}, {NoFaults: true}} {
		dir := newRun(t, 2*time.Minute, o).complete(t)
		for _, p := range Check(dir) {
			t.Errorf("%+v: %s", o, p)
		}
	}
}

// edit changes a file.
func edit(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replace(from, to string) func([]byte) []byte {
	return func(data []byte) []byte { return bytes.Replace(data, []byte(from), []byte(to), 1) }
}

// TestCheckFinds spoils a directory in every way that comes to mind.
func TestCheckFinds(t *testing.T) {
	r := newRun(t, 2*time.Minute, PlanOptions{})
	good := r.complete(t)
	firstLine, err := json.Marshal(r.plan.Faults[0])
	if err != nil {
		t.Fatal(err)
	}
	manifest := func(change func(*Manifest)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			edit(t, dir, manifestFile, func(data []byte) []byte {
				var m Manifest
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				change(&m)
				data, err := json.Marshal(&m)
				if err != nil {
					t.Fatal(err)
				}
				return data
			})
		}
	}
	fault := func(change func(*Fault)) func(*testing.T, string) {
		f := r.plan.Faults[0]
		change(&f)
		line, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T, dir string) { edit(t, dir, truthFile, replace(string(firstLine), string(line))) }
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string // in some problem
	}{
		{"no manifest", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, manifestFile)) }, "manifest.json: no such file or directory: this is no campaign"},
		{"manifest cut off", func(t *testing.T, dir string) {
			edit(t, dir, manifestFile, func(b []byte) []byte { return b[:len(b)/2] })
		}, "manifest.json:"},
		{"newer schema", manifest(func(m *Manifest) { m.Schema = 99 }), "schema 99: this build reads up to 1"},
		{"incomplete", manifest(func(m *Manifest) { m.Complete = false }), "not complete: resume it"},
		{"acceptance seed", manifest(func(m *Manifest) { m.Seed = 9000 }), "seed 9000 is kept for acceptance"},
		{"other seed", manifest(func(m *Manifest) { m.Seed = 12 }), "truth.jsonl:1: fault 1 is not the one that seed 12 and the options give"},
		{"unknown queue", manifest(func(m *Manifest) { m.Queues = append(m.Queues, "checkout") }), `queues: "checkout" does not exist`},
		{"fewer queues", manifest(func(m *Manifest) { m.Queues = m.Queues[:1] }), "queue run_queue, which the manifest does not list"},
		{"no promise", manifest(func(m *Manifest) { m.QoS = nil }), "qos: there is none"},
		{"promise of nobody", manifest(func(m *Manifest) { m.QoS[0].Service = "ghost" }), `there is no service "ghost"`},
		{"other target", manifest(func(m *Manifest) { m.QoS[0].TargetMS = 1 }), "violations.jsonl:1: "},
		{"container missing", manifest(func(m *Manifest) { m.Containers = m.Containers[:3] }), "samples.seer at offset "},
		{"container too many", manifest(func(m *Manifest) { m.Containers = append(m.Containers, Container{Name: "web-2", Service: "web"}) }), `container "web-2" has no samples`},
		{"service without container", manifest(func(m *Manifest) { m.Services = append(m.Services, "ghost") }), `service "ghost" has no container`},
		{"longer", manifest(func(m *Manifest) { m.DurationMS = 180_000 }), "has samples from 0 to 120000 ms, and was there from 0 to 180000 ms"},
		{"no versions", manifest(func(m *Manifest) { m.Versions = nil }), "versions: there is none"},
		{"no topology", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, topologyFile)) }, "topology.yaml: no such file"},
		{"other topology", func(t *testing.T, dir string) { edit(t, dir, topologyFile, replace("name: shop", "name: mall")) }, `describes "mall", the manifest says "shop"`},

		{"fault gone", func(t *testing.T, dir string) { edit(t, dir, truthFile, replace(string(firstLine)+"\n", "")) }, "fault 1 of the plan"},
		{"half a line", func(t *testing.T, dir string) {
			edit(t, dir, truthFile, func(b []byte) []byte { return b[:len(b)-10] })
		}, "the line has no end"},
		{"no JSON", func(t *testing.T, dir string) { edit(t, dir, truthFile, replace(`"id"`, `id`)) }, "truth.jsonl:1: "},
		{"unknown cause", fault(func(f *Fault) { f.Cause = "gremlin" }), `truth.jsonl:1: cause "gremlin"`},
		{"unknown culprit", fault(func(f *Fault) { f.Cause, f.Antagonist, f.Peers, f.Culprit = CauseLock, "", nil, "ghost" }), `truth.jsonl:1: culprit "ghost"`},
		{"antagonist missing", fault(func(f *Fault) { f.Cause, f.Culprit, f.Antagonist, f.Peers = CauseCPU, "web", "", nil }), `truth.jsonl:1: antagonist ""`},
		{"antagonist is a service", fault(func(f *Fault) { f.Cause, f.Culprit, f.Antagonist, f.Peers = CauseCPU, "web", "cart", nil }), `truth.jsonl:1: antagonist "cart"`},
		{"too intense", fault(func(f *Fault) { f.Intensity = 1.5 }), "truth.jsonl:1: intensity 1.5"},
		{"after the end", fault(func(f *Fault) { f.EndMS = 1e9 }), "truth.jsonl:1: onset_ms"},
		{"moved", fault(func(f *Fault) { f.OnsetMS++ }), "truth.jsonl:1: fault 1 is not the one"},

		{"no requests", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, requestsFile)) }, "requests.parquet:1: no such file"},
		{"requests damaged", func(t *testing.T, dir string) {
			edit(t, dir, requestsFile, func(b []byte) []byte { b[len(b)/3] ^= 0x40; return b })
		}, "requests.parquet:"},
		{"requests cut off", func(t *testing.T, dir string) {
			edit(t, dir, requestsFile, func(b []byte) []byte { return b[:len(b)/2] })
		}, "requests.parquet:"},
		{"fewer requests", func(t *testing.T, dir string) {
			rewriteRequests(t, dir, func(i int, _ *Request) bool { return i%10 > 0 })
		}, "requests, the plan's rate makes"},
		{"request out of order", func(t *testing.T, dir string) {
			rewriteRequests(t, dir, func(i int, r *Request) bool {
				if i == 100 {
					r.IntendedUS = 0
				}
				return true
			})
		}, "requests.parquet:101: "},
		{"request unknown", func(t *testing.T, dir string) {
			rewriteRequests(t, dir, func(i int, r *Request) bool { r.Type = "steal"; return true })
		}, `requests.parquet:1: shop has no request "steal"`},
		{"status unknown", func(t *testing.T, dir string) {
			rewriteRequests(t, dir, func(i int, r *Request) bool { r.Status = "meh"; return true })
		}, `requests.parquet:1: status "meh"`},
		{"all on time", func(t *testing.T, dir string) {
			rewriteRequests(t, dir, func(i int, r *Request) bool { r.LatencyUS = 1000; return true })
		}, "the requests show none"},

		{"violation gone", func(t *testing.T, dir string) {
			edit(t, dir, violationsFile, func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] })
		}, "which is missing"},
		{"violation changed", func(t *testing.T, dir string) { edit(t, dir, violationsFile, replace(`"fault":1`, `"fault":2`)) }, "violations.jsonl:1: "},

		{"no samples", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, samplesFile)) }, "samples.seer: no such file"},
		{"not samples", func(t *testing.T, dir string) { edit(t, dir, samplesFile, replace("SEERSAMP", "PNGPNGPN")) }, `begins with "PNGPNGPN"`},
		{"samples of another version", func(t *testing.T, dir string) {
			edit(t, dir, samplesFile, func(b []byte) []byte { b[8] = 9; return b })
		}, "format 9, this build reads 1"},
		{"a bit of the samples", func(t *testing.T, dir string) {
			edit(t, dir, samplesFile, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, "damaged or cut off"},
		{"samples cut off", func(t *testing.T, dir string) {
			edit(t, dir, samplesFile, func(b []byte) []byte { return b[:len(b)-5] })
		}, "damaged or cut off"},
		{"frame gone", func(t *testing.T, dir string) {
			edit(t, dir, samplesFile, func(b []byte) []byte {
				n := frameHeaderSize + int(b[fileHeaderSize+24]) + int(b[fileHeaderSize+25])<<8
				return append(b[:fileHeaderSize], b[fileHeaderSize+n:]...)
			})
		}, "has samples from 10000 to"},

		{"log left behind", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, requestLogFile), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "requests.log: left behind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "campaign")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, dir)
			problems := Check(dir)
			var text []string
			for _, p := range problems {
				text = append(text, p.String())
			}
			if all := strings.Join(text, "\n"); !strings.Contains(all, tt.want) {
				t.Errorf("Check says %q, want %q in it", all, tt.want)
			}
			if len(problems) > 100 {
				t.Errorf("%d problems, too many to read", len(problems))
			}
		})
	}
}

// rewriteRequests changes requests.parquet, row by row, and keeps those for
// which change returns true.
func rewriteRequests(t *testing.T, dir string, change func(i int, r *Request) bool) {
	t.Helper()
	path := filepath.Join(dir, requestsFile)
	var kept []Request
	i := 0
	for r, err := range readParquet(path) {
		if err != nil {
			t.Fatal(err)
		}
		if change(i, &r) {
			kept = append(kept, r)
		}
		i++
	}
	_, err := writeRequests(path, func(yield func(Request, error) bool) {
		for _, r := range kept {
			if !yield(r, nil) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}
