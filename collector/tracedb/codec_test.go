package tracedb

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
)

const tickNS = 100_000_000

// newBlock returns a block of n ticks on an exact grid, nothing valid.
func newBlock(n int) *Block {
	b := new(Block)
	b.grow(n)
	for i := range n {
		b.Start[i] = 1_700_000_000_000_000_000 + int64(i)*tickNS
		b.End[i] = b.Start[i] + tickNS
	}
	return b
}

func (b *Block) set(q collector.Queue, s Stat, vals ...float32) *Block {
	for i, v := range vals {
		b.Valid[q][i] = true
		b.Values[q][s][i] = v
	}
	return b
}

func roundTrip(t *testing.T, b *Block) (*Block, []byte) {
	t.Helper()
	var e Encoder
	data := e.AppendChunk([]byte("prefix"), b)[len("prefix"):]
	var c Chunk
	if err := c.Open(data); err != nil {
		t.Fatalf("Open(%x): %v", data, err)
	}
	got := new(Block)
	got.Reset()
	if err := c.AppendTo(got); err != nil {
		t.Fatalf("AppendTo: %v", err)
	}
	return got, data
}

// exact compares blocks to the bit, empty and nil slices alike.
func exact(want, got *Block) string { return cmp.Diff(*want, *got) }

func TestChunkRoundTrip(t *testing.T) {
	jitter := newBlock(5)
	jitter.Start[0] += 7
	jitter.End[1] += 12345
	jitter.Start[2] += 12345
	jitter.Start[3] += 3 * tickNS // ticks were missed
	jitter.End[3] += 3 * tickNS
	jitter.Start[4] += 3*tickNS - 999
	jitter.End[4] += 3 * tickNS

	missing := newBlock(6).set(collector.QueueOutstanding, StatDepth, 4, 4, 0, 5, 0, 6)
	missing.Valid[collector.QueueOutstanding][2] = false // not measured
	// Tick 4 stays a measured zero.

	firstMissing := newBlock(3).set(collector.QueueRun, StatMean, 0, 2, 3)
	firstMissing.Valid[collector.QueueRun][0] = false

	past := newBlock(2)
	past.Start[0], past.End[0] = -5, -3
	past.Start[1], past.End[1] = 0, math.MaxInt32

	tests := []struct {
		name string
		b    *Block
	}{
		{"one tick, nothing measured", newBlock(1)},
		{"measured zeros", newBlock(100).set(collector.QueueNICRx, StatDepth, make([]float32, 100)...)},
		{"first and last queue", newBlock(2).set(0, StatDepth, 1, 2).set(collector.Queue(collector.NumQueues-1), StatLimit, 128, 128)},
		{"integers far apart", newBlock(4).set(collector.QueueReceive, StatMax, 0, 1<<24, 1, 1<<23+1)},
		{"negative", newBlock(3).set(collector.QueueReceive, StatDepth, -1, -1<<20, 3)},
		{"ragged times", jitter},
		{"missing samples", missing},
		{"first sample missing", firstMissing},
		{"before the epoch", past},
		{"longest", newBlock(MaxChunkTicks)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := roundTrip(t, tt.b)
			if diff := exact(tt.b, got); diff != "" {
				t.Errorf("decoded block differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChunkFractionsWithinOnePerMille(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := newBlock(1000)
	for i := range b.Len() {
		v := float32(math.Exp(rng.Float64()*40 - 20)) // 2e-9 to 5e8
		b.Valid[collector.QueueOutstanding][i] = true
		b.Values[collector.QueueOutstanding][StatMean][i] = v
		b.Values[collector.QueueOutstanding][StatWait][i] = v * 1e3
	}
	got, _ := roundTrip(t, b)
	for _, s := range []Stat{StatMean, StatWait} {
		for i, want := range b.Values[collector.QueueOutstanding][s] {
			v := got.Values[collector.QueueOutstanding][s][i]
			if e := math.Abs(float64(v-want)) / float64(want); e > 1.0/1024 {
				t.Fatalf("%v: %g became %g, error %g, want at most 1/1024", s, want, v, e)
			}
		}
	}
}

// A second trip must change nothing: chunks are decoded and encoded again when
// pieces are merged.
func TestChunkRepeatedCodingIsStable(t *testing.T) {
	b := newBlock(100)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range b.Len() {
		b.set(collector.QueueDownstream, StatMean)
		b.Valid[collector.QueueDownstream][i] = i%7 != 0
		if i%7 != 0 {
			b.Values[collector.QueueDownstream][StatMean][i] = rng.Float32() * 100
		}
	}
	once, _ := roundTrip(t, b)
	twice, _ := roundTrip(t, once)
	if diff := exact(once, twice); diff != "" {
		t.Errorf("second coding differs (-first +second):\n%s", diff)
	}
}

func TestChunkReadsOneStatWithoutTheOthers(t *testing.T) {
	b := newBlock(3).set(collector.QueueSend, StatMean, 1.5, 2.5, 3.5).set(collector.QueueSend, StatDepth, 7, 8, 9)
	_, data := roundTrip(t, b)
	var c Chunk
	if err := c.Open(data); err != nil {
		t.Fatal(err)
	}
	valid, got := make([]bool, 3), make([]float32, 3)
	c.Valid(collector.QueueSend, valid)
	if err := c.Values(collector.QueueSend, StatDepth, valid, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{7, 8, 9}, got); diff != "" {
		t.Error(diff)
	}
	// A queue that was never measured is not an empty one.
	c.Valid(collector.QueueRun, valid)
	if diff := cmp.Diff([]bool{false, false, false}, valid); diff != "" {
		t.Errorf("run_queue was not measured, got validity %v", valid)
	}
}

func TestChunkDamaged(t *testing.T) {
	b := newBlock(20).set(collector.QueueOutstanding, StatDepth, 1, 2, 3, 2, 1).set(collector.QueueRun, StatMean, .5, .25)
	_, data := roundTrip(t, b)
	var c Chunk
	for n := range len(data) {
		err := c.Open(data[:n])
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("Open of the first %d of %d bytes = %v, want ErrCorrupt", n, len(data), err)
		}
	}
	if err := c.Open(append(data[:len(data):len(data)], 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open with a byte too many = %v, want ErrCorrupt", err)
	}
	data[0] = 2
	if err := c.Open(data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open of version 2 = %v, want ErrCorrupt", err)
	}
}

func FuzzChunk(f *testing.F) {
	var e Encoder
	f.Add(e.AppendChunk(nil, newBlock(1)))
	f.Add(e.AppendChunk(nil, newBlock(50).set(collector.QueueOutstanding, StatMean, .1, .2, .3, 0, 0, 0, 4)))
	gaps := newBlock(9).set(collector.QueueRun, StatDepth, 1, 0, 1, 0, 1, 0, 1)
	gaps.Start[4] += 99
	f.Add(e.AppendChunk(nil, gaps))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Chunk
		if err := c.Open(data); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("Open = %v, want ErrCorrupt", err)
			}
			return
		}
		var b Block
		if err := c.AppendTo(&b); err != nil {
			if !errors.Is(err, ErrCorrupt) || b.Len() != 0 {
				t.Fatalf("AppendTo = %v with %d ticks left, want ErrCorrupt and none", err, b.Len())
			}
			return
		}
		// What decodes must encode, and mean the same.
		var e Encoder
		var again Chunk
		if err := again.Open(e.AppendChunk(nil, &b)); err != nil {
			t.Fatalf("own encoding: %v", err)
		}
		var b2 Block
		if err := again.AppendTo(&b2); err != nil {
			t.Fatalf("own encoding: %v", err)
		}
		if diff := cmp.Diff(b.Start, b2.Start) + cmp.Diff(b.Valid, b2.Valid); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzEncode drives the encoder with arbitrary values and masks.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 200, 1, 2, 3}, uint8(3))
	f.Fuzz(func(t *testing.T, raw []byte, mask uint8) {
		n := len(raw) / 4
		if n == 0 || n > 500 {
			return
		}
		b := newBlock(n)
		for i := range n {
			bits := uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24
			v := math.Float32frombits(bits)
			if v-v != 0 || mask>>(i%8)&1 == 0 {
				continue
			}
			b.Valid[3][i] = true
			b.Values[3][StatMean][i] = v
		}
		got, _ := roundTrip(t, b)
		if diff := cmp.Diff(b.Valid, got.Valid); diff != "" {
			t.Fatal(diff)
		}
		for i, want := range b.Values[3][StatMean] {
			v := got.Values[3][StatMean][i]
			// Below 2^-126 a float32 has fewer digits than we keep.
			if e := math.Abs(float64(v) - float64(want)); e > math.Abs(float64(want))/1024 && e > 1e-38 {
				t.Fatalf("%g became %g", want, v)
			}
		}
	})
}
