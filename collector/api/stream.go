package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"seer/collector/container"
)

// maxStreams bounds the clients of /v1/stream. Each holds one encoded
// snapshot, 150 KB with 1,000 containers, and what it knows of them.
const maxStreams = 16

// streamTimeout is how long a client may stand still before it is dropped.
const streamTimeout = time.Minute

// streams are the clients that want to know when a tick has come.
type streams struct {
	mu      sync.Mutex
	clients map[chan struct{}]struct{}
	skipped atomic.Uint64 // snapshots that clients missed, all of them
}

// join returns the channel that wakes a client, or false when there are
// enough of them. The channel holds one token: who is late is woken once.
func (s *streams) join() (chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) >= maxStreams {
		return nil, false
	}
	if s.clients == nil {
		s.clients = make(map[chan struct{}]struct{})
	}
	wake := make(chan struct{}, 1)
	wake <- struct{}{} // the last tick will do for a start
	s.clients[wake] = struct{}{}
	return wake, true
}

func (s *streams) leave(wake chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, wake)
}

// wake tells every client of a new tick; it waits for none of them.
func (s *streams) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for wake := range s.clients {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// serveStream sends snapshots until the client leaves. There is no queue: the
// next snapshot is taken when the last one has been written, so a client that
// reads slowly skips those in between.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	every := time.Second
	if text := r.URL.Query().Get("every"); text != "" {
		var err error
		if every, err = time.ParseDuration(text); err != nil || every < 0 {
			http.Error(w, fmt.Sprintf("every=%q: not a duration such as 500ms", text), http.StatusBadRequest)
			return
		}
	}
	wake, ok := s.streams.join()
	if !ok {
		http.Error(w, fmt.Sprintf("%d clients are being served: close one", maxStreams), http.StatusServiceUnavailable)
		return
	}
	defer s.streams.leave(wake)
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	enc := snapshotEncoder{server: s, every: every}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
		line := enc.next()
		if line == nil {
			continue
		}
		_ = control.SetWriteDeadline(time.Now().Add(streamTimeout))
		if _, err := w.Write(line); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
	}
}

// snapshotEncoder is one client's end of a stream.
type snapshotEncoder struct {
	server  *Server
	every   time.Duration
	buf     []byte
	history History
	known   map[container.ID]*container.Container // as this client last heard of them
	lastSeq uint64
	lastEnd time.Time
	skipped uint64
}

// next returns the encoded newest snapshot, or nil when none is due. The
// result is valid until the next call.
func (e *snapshotEncoder) next() []byte {
	f := e.server.frames.acquire()
	if f == nil {
		return nil
	}
	defer e.server.frames.release(f)
	first := e.known == nil
	if first {
		e.known = make(map[container.ID]*container.Container, len(f.rows))
	} else {
		if f.seq == e.lastSeq || f.end.Sub(e.lastEnd) < e.every-f.tick()/2 {
			return nil
		}
		e.countSkipped(f)
	}
	e.lastSeq, e.lastEnd = f.seq, f.end
	e.encode(f, first)
	return e.buf
}

// countSkipped adds the snapshots that were due since the last one sent.
func (e *snapshotEncoder) countSkipped(f *frame) {
	step := uint64(1)
	if tick := f.tick(); tick > 0 && e.every > tick {
		step = uint64((e.every + tick/2) / tick)
	}
	if due := (f.seq - e.lastSeq) / step; due > 1 {
		e.skipped += due - 1
		e.server.streams.skipped.Add(due - 1)
	}
}

// encode writes the snapshot as one line (wire.go) to e.buf.
func (e *snapshotEncoder) encode(f *frame, first bool) {
	src := e.server.cfg.Source
	head, err := json.Marshal(wireSnapshot{
		Schema: Schema, Seq: f.seq, Time: f.end, TickMS: milliseconds(f.tick()),
		Passes: f.passes, Losses: f.losses, Skipped: e.skipped,
		LossRows: lossRows(src.Losses()), Cost: costRow(src.Cost()), Probes: probeRows(src.Probes()),
		Containers: e.news(f),
	})
	if err != nil {
		// Every field is a plain number, string or list of them.
		panic(fmt.Sprintf("encode a snapshot: %v", err))
	}
	// The rows, much the largest part, are appended without reflection in
	// place of the two empty fields that end the head.
	const tail = `"rows":null,"histories":null}`
	b := append(e.buf[:0], head[:len(head)-len(tail)]...)
	b = append(b, `"rows":[`...)
	for i := range f.rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRow(b, &f.rows[i])
	}
	b = append(b, `],"histories":[`...)
	if first {
		b = e.appendHistories(b, f)
	}
	e.buf = append(b, "]}\n"...)
}

func (e *snapshotEncoder) appendHistories(b []byte, f *frame) []byte {
	sent := 0
	for i := range f.rows {
		id := f.rows[i].Container.ID
		if !e.server.history.copyTo(&e.history, id) {
			continue
		}
		if sent++; sent > 1 {
			b = append(b, ',')
		}
		b = appendHistory(b, id, &e.history)
	}
	return b
}

// news returns the containers that this client has not been told of, and
// forgets those that have gone.
func (e *snapshotEncoder) news(f *frame) []container.Container {
	var news []container.Container
	for i := range f.rows {
		c := f.rows[i].Container
		if e.known[c.ID] != c {
			e.known[c.ID] = c
			news = append(news, *c)
		}
	}
	if len(e.known) > len(f.rows) {
		here := make(map[container.ID]*container.Container, len(f.rows))
		for i := range f.rows {
			here[f.rows[i].Container.ID] = f.rows[i].Container
		}
		e.known = here
	}
	return news
}
