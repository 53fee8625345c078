package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"seer/collector"
)

// Source is what the server asks the collector for, beyond the ticks that it
// is fed. Its methods are called from several goroutines, never from Consume.
type Source interface {
	Probes() []collector.Probe
	Cost() collector.Cost
	Losses() []collector.Loss
	// Graph returns who calls whom. It is not modified.
	Graph() []collector.LiveEdge
	// Sockets appends every tracked socket to dst. It walks the kernel's list
	// and is called on demand only, one call at a time.
	Sockets(ctx context.Context, dst []collector.Socket) ([]collector.Socket, error)
}

// Config says what a Server answers from. Only Source is required.
type Config struct {
	Source  Source
	Version string        // of this Seer, for metrics and the index
	Started time.Time     // when this Seer started; zero means when New was called
	Tick    time.Duration // as configured; 0 means 100 ms
	GroupBy string        // container, service, unit or comm

	Promises Promises // what watches QoS targets; nil where nothing does

	Store func() StoreStats // what the database reports; nil where there is none

	// MetricContainers bounds the containers that have their own metrics; the
	// rest are summed as "~other". 0 means 500: 12 queues of up to 5 metrics
	// make 30,000 series.
	MetricContainers int

	Log *slog.Logger // nil discards
}

// ErrNoTick is returned for what cannot be said before the first tick.
var ErrNoTick = errors.New("no tick yet")

// Server answers from the ticks it consumes. Make one with New.
type Server struct {
	cfg      Config
	frames   frames
	history  history
	totals   totals
	requests requests
	streams  streams
	ticked   chan struct{} // closed by the first tick
	once     sync.Once
	dumping  chan struct{} // holds a token while a socket dump runs: one at a time
}

// New returns a server that has consumed nothing. It starts nothing.
func New(cfg Config) *Server {
	if cfg.Tick <= 0 {
		cfg.Tick = 100 * time.Millisecond
	}
	if cfg.Started.IsZero() {
		cfg.Started = time.Now()
	}
	if cfg.MetricContainers <= 0 {
		cfg.MetricContainers = 500
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:     cfg,
		totals:  totals{max: cfg.MetricContainers},
		ticked:  make(chan struct{}),
		dumping: make(chan struct{}, 1),
	}
}

// Consume takes one tick (collector.Sink). It never waits for a reader.
func (s *Server) Consume(t *collector.Tick) {
	s.history.add(t.Rows)
	s.totals.add(t)
	s.requests.add(t)
	s.frames.put(t)
	s.once.Do(func() { close(s.ticked) })
	s.streams.wake()
}

// Get answers one question in this process, as the control socket would.
func (s *Server) Get(ctx context.Context, object string, sel Selector) (*Document, error) {
	var buf bytes.Buffer
	if err := s.writeDocument(ctx, &buf, object, sel); err != nil {
		return nil, err
	}
	var doc Document
	if err := json.Unmarshal(buf.Bytes(), &doc); err != nil {
		return nil, err
	}
	return &doc, nil
}

// writeDocument writes the Document for one object. Nothing has been written
// when it returns an error, unless the writer itself failed. Rows are encoded
// one at a time: 50,000 sockets are 15 MB of text.
func (s *Server) writeDocument(ctx context.Context, w io.Writer, name string, sel Selector) error {
	object, ok := ObjectByName(name)
	if !ok {
		return fmt.Errorf("object %q: unknown", name)
	}
	f := s.frames.acquire()
	if f == nil && needsTick(object) {
		return ErrNoTick
	}
	if f == nil {
		f = &frame{}
	} else {
		defer s.frames.release(f)
	}
	doc := Document{Schema: Schema, Object: object.Name, TickMS: milliseconds(f.tick()), Losses: f.losses}
	if object.Name == "probe" {
		cost := costRow(s.cfg.Source.Cost())
		doc.Cost, doc.LossRows = &cost, lossRows(s.cfg.Source.Losses())
	}
	if object.Name == "violation" && s.cfg.Promises != nil {
		doc.Promises = promiseRows(s.cfg.Promises.Promises())
	}
	rows, err := s.rows(ctx, f, object, sel)
	if err != nil {
		return err
	}
	return doc.writeTo(w, rows)
}

// needsTick reports whether an object's rows come from the last tick.
func needsTick(o Object) bool {
	switch o.Name {
	case "container", "service", "queue", "request", "socket":
		return true
	}
	return false
}

// writeTo writes the document with rows in place of its Rows: the fields in
// the order that Document declares, rows last of the required ones.
func (d *Document) writeTo(w io.Writer, rows func(add func(any) error) error) error {
	out := rowWriter{w: w}
	fmt.Fprintf(&out.buf, `{"schema":%d,"object":%q,"tick_ms":%s,"losses":%d,"rows":[`,
		d.Schema, d.Object, appendNumber(nil, d.TickMS), d.Losses)
	if err := rows(out.add); err != nil {
		return err
	}
	out.buf.WriteByte(']')
	if d.Cost != nil {
		cost, err := json.Marshal(d.Cost)
		if err != nil {
			return err
		}
		losses, err := json.Marshal(d.LossRows)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out.buf, `,"cost":%s,"loss_reasons":%s`, cost, losses)
	}
	if d.Promises != nil {
		promises, err := json.Marshal(d.Promises)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out.buf, `,"promises":%s`, promises)
	}
	out.buf.WriteString("}\n")
	return out.flush()
}

// rowWriter writes rows as the elements of a JSON array, in pieces of 64 KB.
type rowWriter struct {
	w    io.Writer
	buf  bytes.Buffer
	rows int
}

func (r *rowWriter) add(row any) error {
	if r.rows++; r.rows > 1 {
		r.buf.WriteByte(',')
	}
	enc := json.NewEncoder(&r.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(row); err != nil {
		return err
	}
	r.buf.Truncate(r.buf.Len() - 1) // Encode ends in a newline
	if r.buf.Len() < 64<<10 {
		return nil
	}
	return r.flush()
}

func (r *rowWriter) flush() error {
	_, err := r.w.Write(r.buf.Bytes())
	r.buf.Reset()
	return err
}
