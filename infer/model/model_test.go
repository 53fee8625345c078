package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/infer/window"
)

func example() *Model {
	return &Model{
		Kind: "graph",
		Layout: window.Layout{
			Shape:    window.Shape{Queues: 2, Services: 3, Ticks: 4},
			Queues:   []string{"outstanding", "run_queue"},
			Services: []string{"db", "web", ""},
			Edges:    [][2]int{{1, 0}},
			TickMS:   100, HorizonMS: 500,
		},
		Norm:        Norm{Mean: []float32{1, 2, 0, 3, 4, 0}, Scale: []float32{1, .5, 1, .25, .75, 1}},
		Weights:     []Tensor{{"mix", 2, 3, []float32{1, 2, 3, 4, 5, 6}}, {"score", 1, 1, []float32{-7}}},
		Temperature: 1.5, NoneBias: -2, Threshold: .25,
		Card: Card{Trained: time.Unix(1e9, 0).UTC(), Seed: 7, Examples: 1000, Positive: 30, Culprits: 2,
			History:         []Epoch{{Loss: 2, Validation: 3, Seconds: 4}},
			FalseAlarmShare: .01, Metrics: map[string]float64{"loss": .5}},
	}
}

func TestFileKeepsAll(t *testing.T) {
	want := example()
	path := filepath.Join(t.TempDir(), "hotel.seer")
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Read(Write(m)) differs (-want +got):\n%s", d)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("Write leaves %v", files)
	}
}

// sealed returns a file with its checksum made right again.
func sealed(b []byte) []byte {
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(slices.Clone(body), sum[:]...)
}

func TestBadFiles(t *testing.T) {
	good, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(b []byte)) []byte {
		b := slices.Clone(good)
		f(b)
		return b
	}
	numbers := len(good) - sha256.Size - 4 // the last weight
	tests := []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"empty", nil, ErrNoModel, "seer train"},
		{"something else", []byte("PK\x03\x04 a zip file, and long enough for a header"), ErrNoModel, "seer train"},
		{"older format", change(func(b []byte) { binary.LittleEndian.PutUint16(b[8:], 0) }), ErrVersion, "format 0"},
		{"truncated", good[:len(good)-9], ErrDamaged, "cut off"},
		{"truncated to its front", good[:14], ErrDamaged, "14 bytes"},
		{"a bit flipped", change(func(b []byte) { b[numbers] ^= 1 }), ErrDamaged, "checksum"},
		{"NaN", sealed(change(func(b []byte) {
			binary.LittleEndian.PutUint32(b[numbers:], math.Float32bits(float32(math.NaN())))
		})), ErrNumber, "NaN"},
		{"a long header", sealed(change(func(b []byte) { binary.LittleEndian.PutUint32(b[10:], 1<<31) })), ErrDamaged, "header"},
		{"too many weights announced", sealed(bytes.Replace(good, []byte(`"columns":3`), []byte(`"columns":4`), 1)), ErrDamaged, "announces"},
		{"a call to nowhere", sealed(bytes.Replace(good, []byte(`[[1,0]]`), []byte(`[[1,9]]`), 1)), ErrDamaged, "slot 9"},
	}
	for _, tt := range tests {
		m, err := Decode(tt.file)
		if m != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "seer train") {
			t.Errorf("%s: Decode = %v, %v; want %v that says %q and what to run", tt.name, m, err, tt.want, tt.says)
		}
	}
	broken := example()
	broken.Weights[1].Numbers[0] = float32(math.Inf(1))
	if _, err := broken.Encode(); !errors.Is(err, ErrNumber) {
		t.Errorf("Encode of an infinite weight = %v, want %v", err, ErrNumber)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-sha256.Size])
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body) // else nothing gets past the checksum
		m, err := Decode(append(slices.Clone(body), sum[:]...))
		if err != nil {
			return
		}
		if _, err := m.Encode(); err != nil {
			t.Errorf("Decode accepts what Encode refuses: %v", err)
		}
	})
}

func TestFor(t *testing.T) {
	base := example()
	tests := []struct {
		name   string
		change func(l *window.Layout)
		says   string // empty: it fits
	}{
		{"the same", func(*window.Layout) {}, ""},
		{"another call", func(l *window.Layout) { l.Edges = [][2]int{{0, 1}} }, ""},
		{"a service in the spare slot", func(l *window.Layout) { l.Services = []string{"db", "web", "cache"} }, ""},
		{"another service", func(l *window.Layout) { l.Services = []string{"db", "shop", ""} }, `"web"`},
		{"one more", func(l *window.Layout) { l.Services = []string{"db", "web", "", "cache"} }, "4"},
		{"other queues", func(l *window.Layout) { l.Queues = []string{"outstanding", "nic_rx"} }, "nic_rx"},
		{"another tick", func(l *window.Layout) { l.TickMS = 10 }, "10 ms"},
		{"another horizon", func(l *window.Layout) { l.HorizonMS = 100 }, "not 100"},
	}
	for _, tt := range tests {
		l := base.Layout
		tt.change(&l)
		m, err := base.For(&l)
		if tt.says == "" {
			if err != nil || !cmp.Equal(m.Layout, l) {
				t.Errorf("%s: For = %v, %v; want the model with this layout", tt.name, m, err)
			}
			continue
		}
		if !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "seer train") {
			t.Errorf("%s: For = %v, want an error that says %q and what to run", tt.name, err, tt.says)
		}
	}
	l := base.Layout
	l.Services = []string{"db", "web", "cache"}
	m, err := base.For(&l)
	if err != nil {
		t.Fatal(err)
	}
	if m.Norm.Mean[2] != 1.5 || m.Norm.Scale[5] != .5 || base.Norm.Mean[2] != 0 {
		t.Errorf("statistics of the new service = %v, %v, want the means of the others", m.Norm, base.Norm)
	}
}

// few is a source of prepared examples.
type few struct {
	layout window.Layout
	x      [][]float32
	mask   [][]float32
	label  []int32
	at     int
}

func (f *few) Layout() *window.Layout { return &f.layout }
func (f *few) Reset(uint64) error     { f.at = 0; return nil }
func (f *few) Next(b *window.Batch) error {
	if f.at == len(f.x) {
		return io.EOF
	}
	b.Size = 1
	copy(b.X, f.x[f.at])
	copy(b.Mask, f.mask[f.at])
	b.Label[0] = f.label[f.at]
	f.at++
	return nil
}

func TestSurvey(t *testing.T) {
	l := window.Layout{
		Shape:    window.Shape{Queues: 2, Services: 2, Ticks: 2},
		Queues:   []string{"moves", "still"},
		Services: []string{"a", "b"},
	}
	all := []float32{1, 1, 1, 1, 1, 1, 1, 1}
	half := []float32{1, 0, 1, 1, 1, 1, 1, 1}
	s := &few{layout: l,
		x: [][]float32{
			{2, 99, 0, 0, 5, 5, 5, 5},
			{6, 4, 0, 0, 5, 5, 5, 5},
			{900, 900, 900, 900, 900, 900, 900, 900}, // before a violation: not usual
		},
		mask:  [][]float32{half, all, all},
		label: []int32{2, 2, 0},
	}
	n, c, err := Survey(s, 4)
	if err != nil {
		t.Fatal(err)
	}
	if c.Examples != 3 || c.Positive != 1 || !slices.Equal(c.Of, []int{1, 0, 2}) {
		t.Errorf("counts = %+v, want 1 of the first service and 2 quiet ones", c)
	}
	if want := []float32{4, 0, 5, 5}; !slices.Equal(n.Mean, want) {
		t.Errorf("means = %v, want %v", n.Mean, want)
	}
	// a deviates by sqrt(8/3); b never does, and is given an eighth of sqrt((8/3 + 0) / 2).
	want := []float64{1 / math.Sqrt(8./3), 8 / math.Sqrt(4./3), 0, 0}
	for i := range want {
		if math.Abs(float64(n.Scale[i])-want[i]) > 1e-5 {
			t.Errorf("scales = %v, want %v", n.Scale, want)
			break
		}
	}
	s.at = 0
	s.x[1][0] = float32(math.NaN())
	if _, _, err := Survey(s, 4); !errors.Is(err, ErrNumber) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("Survey of NaN = %v, want an error that names the service", err)
	}
	s.at, s.layout.Services = 2, []string{"", "b"}
	if _, _, err := Survey(s, 4); !errors.Is(err, ErrLabel) || !strings.Contains(err.Error(), "slot 0") {
		t.Errorf("Survey with a spare slot as culprit = %v, want an error that names it", err)
	}
}

func TestBend(t *testing.T) {
	for _, tt := range [][2]float32{{0, 0}, {.5, .5}, {1, 1}, {-1, -1}, {3, 2}, {-7, -3}, {1023, 10}, {5, 2.5}} {
		if got := bend(tt[0]); got != tt[1] {
			t.Errorf("bend(%v) = %v, want %v", tt[0], got, tt[1])
		}
	}
	if v := float64(bend(float32(math.Inf(1)))); math.IsInf(v, 0) || math.IsNaN(v) {
		t.Errorf("bend(+Inf) = %v, want a number", v)
	}
}
