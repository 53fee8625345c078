package tracedb

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"seer/collector"
)

// RecorderOptions configure a Recorder. The zero value works.
type RecorderOptions struct {
	// FlushEvery is how often samples become durable, and so what kill -9 may
	// lose. It divides ChunkLength. Default 1 s.
	FlushEvery time.Duration
	// QueueLength is how many flush intervals may wait for the disk before
	// samples are dropped. Default 4.
	QueueLength int
	// CloseTimeout bounds the last flush when Run ends. Default 5 s.
	CloseTimeout time.Duration
	Logger       *slog.Logger // default slog.Default()
}

// RecorderStats counts since the start. A point is one statistic of one valid
// sample.
type RecorderStats struct {
	Points    uint64 // acknowledged by the store
	Dropped   uint64 // lost: the writer was behind, or the store refused
	Rejected  uint64 // samples that were no finite number
	Bytes     uint64 // handed to the store
	Batches   uint64 // acknowledged
	Errors    uint64 // writes that failed
	LastError error  // nil when the last write worked
	// AcknowledgedTo is the end of the last tick that is durable.
	AcknowledgedTo time.Time
	Store          StoreStats
}

// Recorder writes every tick to a Store. Consume copies the tick and returns;
// Run encodes and writes. When the store is slow or full, Recorder drops
// samples and counts them: it never blocks the tick, and goes on when it can.
//
// Each flush interval is written as a small chunk (a piece) per container.
// When ten seconds are over their pieces are replaced by one chunk, in one
// batch. So at any moment what is in the store can be read as it is, and a
// crash needs no repair.
type Recorder struct {
	store Store
	opts  RecorderOptions
	log   *slog.Logger
	queue chan *page
	free  chan *page

	mu   sync.Mutex // guards page, between Consume and the end of Run
	page *page

	statsMu sync.Mutex
	stats   RecorderStats
}

var _ collector.Sink = (*Recorder)(nil)

// NewRecorder returns a Recorder that writes to store, which stays the
// caller's to close.
func NewRecorder(store Store, o RecorderOptions) *Recorder {
	if o.FlushEvery <= 0 || ChunkLength%o.FlushEvery != 0 {
		o.FlushEvery = time.Second
	}
	if o.QueueLength <= 0 {
		o.QueueLength = 4
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r := &Recorder{
		store: store, opts: o, log: o.Logger, page: new(page),
		queue: make(chan *page, o.QueueLength),
		// One page more is with the writer; the one being filled is r.page.
		free: make(chan *page, o.QueueLength+1),
	}
	for range cap(r.free) {
		r.free <- new(page)
	}
	return r
}

// Consume implements collector.Sink. It does not block and, once its buffers
// have grown to the number of containers, does not allocate.
func (r *Recorder) Consume(t *collector.Tick) {
	start, end := t.Start.UnixNano(), t.End.UnixNano()
	period := start / int64(r.opts.FlushEvery)

	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.page
	if len(p.starts) > 0 && (p.period != period || len(p.rows)+len(t.Rows) > maxPageRows) {
		r.handOver()
		p = r.page
	}
	if len(p.starts) == 0 {
		p.period, p.chunk = period, start/int64(ChunkLength)
	}
	if n := p.add(t); n > 0 {
		r.count(func(s *RecorderStats) { s.Rejected += n })
	}
	// The next tick belongs to the next interval: do not wait for it.
	if end/int64(r.opts.FlushEvery) > period {
		r.handOver()
	}
}

// handOver passes the page to the writer, or drops it if the writer is too far
// behind.
func (r *Recorder) handOver() {
	p := r.page
	select {
	case r.queue <- p:
		r.page = <-r.free // QueueLength+1 pages: never waits
	default:
		n := p.points
		r.count(func(s *RecorderStats) { s.Dropped += n })
		p.reset()
	}
}

func (r *Recorder) count(change func(*RecorderStats)) {
	r.statsMu.Lock()
	change(&r.stats)
	r.statsMu.Unlock()
}

// Stats returns the counters so far.
func (r *Recorder) Stats() RecorderStats {
	r.statsMu.Lock()
	s := r.stats
	r.statsMu.Unlock()
	s.Store = r.store.Stats()
	return s
}

// Run writes until ctx ends, then writes what is left, waiting CloseTimeout at
// most, and returns the error of the last write, if any. It is called once.
func (r *Recorder) Run(ctx context.Context) error {
	// The store's context outlives ctx by the time the last flush may take.
	storeCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(r.opts.CloseTimeout):
			cancel()
		case <-storeCtx.Done():
		}
	})
	defer stop()

	w := newWriter(r)
	w.maintain(storeCtx)
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case p := <-r.queue:
			w.write(storeCtx, p)
			p.reset()
			r.free <- p
		case <-ticker.C:
			w.maintain(storeCtx)
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			for len(r.queue) > 0 {
				w.write(storeCtx, <-r.queue)
			}
			if len(r.page.starts) > 0 {
				w.write(storeCtx, r.page)
				r.page.reset()
			}
			w.closeChunks(storeCtx, true)
			return r.Stats().LastError
		}
	}
}
