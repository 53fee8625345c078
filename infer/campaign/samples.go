package campaign

import (
	"fmt"
	"sync"
	"time"

	"seer/collector"
	"seer/collector/tracedb"
)

// SampleWriter writes samples.seer: frames as frame.go describes them, each the
// ticks of one container in up to ten seconds, encoded as a chunk of the
// TraceDB. Times in the file are nanoseconds since the campaign's start, where
// a TraceDB has them since the epoch.
//
// It keeps ten seconds of every container in memory, and writes them in order of
// the containers: equal samples give equal bytes. Its methods may be called
// from several goroutines.
type SampleWriter struct {
	mu     sync.Mutex
	out    *appender
	slot   [collector.NumQueues]int // of the queue in a row's values, -1: not measured
	queues []collector.Queue

	period int64 // number of the ten seconds being collected
	stages []stage
	block  tracedb.Block
	enc    tracedb.Encoder
	chunk  []byte
	err    error
}

// stage is what a container showed since the last flush.
type stage struct {
	starts, ends []int64
	valid        []uint32  // bit q: the sample of queue q was taken
	values       []float32 // [tick][slot][stat]
	end          int64     // of the last tick ever
}

const chunkNS = int64(tracedb.ChunkLength)

func newSampleWriter(out *appender, m *Manifest) *SampleWriter {
	s := &SampleWriter{out: out, queues: m.queues(), stages: make([]stage, len(m.Containers))}
	for q := range s.slot {
		s.slot[q] = -1
	}
	for i, q := range s.queues {
		s.slot[q] = i
	}
	return s
}

// grow admits the samples of containers that were added to the manifest.
func (s *SampleWriter) grow(containers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stages = append(s.stages, make([]stage, containers-len(s.stages))...)
}

// Add appends the tick [startNS, endNS), counted from the campaign's start, of
// the container with the given index in the manifest. The ticks of a container
// come in order of time, those of different containers within the same ten
// seconds in any order.
func (s *SampleWriter) Add(container int, startNS, endNS int64, cells *[collector.NumQueues]collector.Cell) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	st, err := s.begin(container, startNS, endNS)
	if err != nil {
		return err
	}
	at := len(st.values)
	st.values = append(st.values, make([]float32, len(s.queues)*tracedb.NumStats)...)
	var valid uint32
	for q := range cells {
		c := &cells[q]
		if !c.Valid {
			continue
		}
		if s.slot[q] < 0 {
			return fmt.Errorf("sample of queue %s: the manifest does not list it", collector.Queue(q))
		}
		valid |= 1 << q
		v := st.values[at+s.slot[q]*tracedb.NumStats:]
		v[tracedb.StatMean] = float32(c.Mean)
		v[tracedb.StatMax] = float32(c.Max)
		v[tracedb.StatDepth] = float32(c.Depth)
		v[tracedb.StatArrivals] = float32(c.Arrivals)
		v[tracedb.StatDepartures] = float32(c.Departures)
		v[tracedb.StatWait] = float32(c.Wait)
		v[tracedb.StatLimit] = float32(c.Limit)
		if !finite(v[:tracedb.NumStats]) {
			st.values = st.values[:at]
			return fmt.Errorf("sample of container %d at %d ns: queue %s is not a finite number: %+v", container, startNS, collector.Queue(q), *c)
		}
	}
	st.starts, st.ends = append(st.starts, startNS), append(st.ends, endNS)
	st.valid, st.end = append(st.valid, valid), endNS
	return nil
}

// AddBlock appends every tick of a block, as a TraceDB returns it. originNS is
// the campaign's start on the clock of the block.
func (s *SampleWriter) AddBlock(container int, b *tracedb.Block, originNS int64) error {
	var cells [collector.NumQueues]collector.Cell
	for i := range b.Start {
		for q := range cells {
			cells[q] = collector.Cell{}
			if !b.Valid[q][i] {
				continue
			}
			v := &b.Values[q]
			cells[q] = collector.Cell{
				Mean:       float64(v[tracedb.StatMean][i]),
				Max:        float64(v[tracedb.StatMax][i]),
				Depth:      float64(v[tracedb.StatDepth][i]),
				Arrivals:   float64(v[tracedb.StatArrivals][i]),
				Departures: float64(v[tracedb.StatDepartures][i]),
				Wait:       time.Duration(v[tracedb.StatWait][i]),
				Limit:      float64(v[tracedb.StatLimit][i]),
				Valid:      true,
			}
		}
		if err := s.Add(container, b.Start[i]-originNS, b.End[i]-originNS, &cells); err != nil {
			return err
		}
	}
	return nil
}

// begin returns the stage of a container, ready for a tick.
func (s *SampleWriter) begin(container int, startNS, endNS int64) (*stage, error) {
	if container < 0 || container >= len(s.stages) {
		return nil, fmt.Errorf("sample of container %d: the manifest lists %d", container, len(s.stages))
	}
	if startNS < 0 || endNS <= startNS {
		return nil, fmt.Errorf("sample of container %d: tick from %d to %d ns", container, startNS, endNS)
	}
	period := startNS / chunkNS
	if period < s.period {
		return nil, fmt.Errorf("sample of container %d at %d ns: the ten seconds that hold it are written already", container, startNS)
	}
	if period > s.period {
		if err := s.flush(); err != nil {
			return nil, err
		}
		s.period = period
	}
	st := &s.stages[container]
	if startNS < st.end {
		return nil, fmt.Errorf("sample of container %d at %d ns: its last one ended at %d ns", container, startNS, st.end)
	}
	if len(st.starts) == tracedb.MaxChunkTicks {
		return nil, fmt.Errorf("sample of container %d: more than %d ticks in ten seconds", container, tracedb.MaxChunkTicks)
	}
	return st, nil
}

// flush writes what was collected, a frame per container.
func (s *SampleWriter) flush() error {
	for i := range s.stages {
		st := &s.stages[i]
		n := len(st.starts)
		if n == 0 {
			continue
		}
		s.transpose(st)
		s.chunk = s.enc.AppendChunk(s.chunk[:0], &s.block)
		err := s.out.frame(&frame{
			index: uint32(i), count: uint32(n), first: st.starts[0], last: st.ends[n-1], payload: s.chunk,
		})
		if err != nil {
			s.err = err
			return err
		}
		st.starts, st.ends, st.valid, st.values = st.starts[:0], st.ends[:0], st.valid[:0], st.values[:0]
	}
	return nil
}

// transpose turns the rows of a stage into the columns of s.block.
func (s *SampleWriter) transpose(st *stage) {
	b, n := &s.block, len(st.starts)
	b.Start, b.End = append(b.Start[:0], st.starts...), append(b.End[:0], st.ends...)
	stride := len(s.queues) * tracedb.NumStats
	for q := range b.Valid {
		b.Valid[q] = resize(b.Valid[q], n)
		for stat := range b.Values[q] {
			b.Values[q][stat] = resize(b.Values[q][stat], n)
		}
		slot := s.slot[q]
		if slot < 0 {
			continue
		}
		for i, valid := range st.valid {
			if valid&(1<<q) == 0 {
				continue
			}
			b.Valid[q][i] = true
			v := st.values[i*stride+slot*tracedb.NumStats:]
			for stat := range b.Values[q] {
				b.Values[q][stat][i] = v[stat]
			}
		}
	}
}

// resize returns s with n elements, all zero.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func finite(v []float32) bool {
	var sum float32
	for _, x := range v {
		sum += x - x // infinity less itself, like anything with NaN, is NaN
	}
	return sum == 0
}

// close writes what was collected so far, the current ten seconds included.
func (s *SampleWriter) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		s.out.f.Close() // a file that is removed would else keep its space
		return err
	}
	return s.out.close()
}
