package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seer/collector"
	"seer/collector/container"
)

// follow starts a stream and returns what pulls its snapshots.
func follow(t *testing.T, c *Client, every time.Duration) func() *Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	pull, stop := iter.Pull2(c.Stream(ctx, every))
	t.Cleanup(func() { cancel(); stop() })
	return func() *Snapshot {
		t.Helper()
		snap, err, ok := pull()
		if !ok || err != nil {
			t.Fatalf("stream ended: %v", err)
		}
		return snap
	}
}

func TestStream(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	s.Consume(next(tick))
	pull := follow(t, dial(t, serve(t, s)), 0)

	first := pull()
	want := &Snapshot{
		Seq: 2, Time: tick.End, Tick: tickLength, Passes: 10, Losses: 3,
		LossRows: lossRows(src.losses), Cost: costRow(src.cost), Probes: probeRows(src.probes), Rows: tick.Rows,
	}
	ignore := cmpopts.IgnoreFields(Snapshot{}, "Histories")
	if diff := cmp.Diff(want, first, ignore); diff != "" {
		t.Errorf("first snapshot (-want +got):\n%s", diff)
	}
	if got := first.Histories[4711].Means[collector.QueueAcceptBacklog]; !cmp.Equal(got, Series{22.5, 22.5}) {
		t.Errorf("history of accept_backlog = %v, want two ticks of 22.5", got)
	}
	if got := first.Histories[4711].Means[collector.QueueEpollReady]; len(got) != 0 {
		t.Errorf("history of epoll_ready, never measured = %v, want none", got)
	}

	// A renamed container is described again, a new one described, one that
	// went is gone.
	renamed := *tick.Rows[0].Container
	renamed.Name = "web-new"
	tick.Rows[0].Container = &renamed
	tick.Rows[1] = collector.Row{Container: &container.Container{ID: 7, Name: "cache", Service: "cache"}, Sockets: 9}
	s.Consume(next(tick))
	second := pull()
	if diff := cmp.Diff(tick.Rows, second.Rows); diff != "" {
		t.Errorf("rows of the second snapshot (-want +got):\n%s", diff)
	}
	if len(second.Histories) != 0 {
		t.Errorf("second snapshot has %d histories, want none", len(second.Histories))
	}
	s.Consume(next(tick))
	if third := pull(); !cmp.Equal(tick.Rows, third.Rows) || third.Skipped != 0 {
		t.Errorf("third snapshot: skipped %d, rows differ:\n%s", third.Skipped, cmp.Diff(tick.Rows, third.Rows))
	}
}

// every is the least distance of two snapshots: those in between are not due,
// and so not skipped either.
func TestStreamEvery(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	enc := snapshotEncoder{server: s, every: 300 * time.Millisecond}
	var sent []uint64
	for range 10 {
		if enc.next() != nil {
			sent = append(sent, s.frames.current.seq)
		}
		s.Consume(next(tick))
	}
	if want := []uint64{1, 4, 7, 10}; !cmp.Equal(sent, want) {
		t.Errorf("snapshots of ticks %v, want %v", sent, want)
	}
	if enc.skipped != 0 {
		t.Errorf("skipped = %d, want 0", enc.skipped)
	}
}

// A client that stops reading skips snapshots, learns how many, and holds up
// neither the ticks nor another client.
func TestStreamSlowClient(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src})
	tick := crowd(250)
	s.Consume(tick)
	path := serve(t, s)

	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /v1/stream?every=0s HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the slow client to be served", func() bool { return s.streams.count() == 1 })
	pull := follow(t, dial(t, path), 0)
	pull()

	// 250 containers make some 40 KB a snapshot, so that a few fill the
	// socket's buffer; from then on the slow client has one waiting.
	const ticks = 60
	for range ticks {
		s.Consume(next(tick))
		if snap := pull(); snap.Seq != tick.Seq {
			t.Fatalf("the other client got tick %d, want %d: the slow one held it up", snap.Seq, tick.Seq)
		}
	}

	// It reads on: the stream goes from an old tick to the newest.
	if err := conn.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(conn)
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	dec := newSnapshotDecoder(body, path)
	var last *Snapshot
	got := 0
	for last == nil || last.Seq < tick.Seq {
		if last, err = dec.next(); err != nil {
			t.Fatal(err)
		}
		got++
	}
	if last.Skipped == 0 || int(last.Skipped)+got != ticks+1 {
		t.Errorf("got %d snapshots and was told of %d skipped ones, want %d together", got, last.Skipped, ticks+1)
	}
	if total := s.streams.skipped.Load(); total != last.Skipped {
		t.Errorf("skipped of all clients = %d, want %d", total, last.Skipped)
	}
}

func TestStreamRefuses(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	path := serve(t, s)
	c := dial(t, path)
	for _, err := range c.Stream(t.Context(), -time.Second) {
		if err == nil || !strings.Contains(err.Error(), "not a duration") {
			t.Errorf("Stream(-1s) = %v, want it refused", err)
		}
	}
	for range maxStreams {
		follow(t, c, 0)()
	}
	for snap, err := range c.Stream(t.Context(), 0) {
		if err == nil || !strings.Contains(err.Error(), "clients are being served") {
			t.Errorf("one stream too many = %v, %v, want it refused", snap, err)
		}
	}
}

// Streams give their place back when the client leaves, and end with an error
// when Seer stops.
func TestStreamEnds(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	l, err := Listen(filepath.Join(t.TempDir(), "seer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	stop := serveOn(t, s.Serve, l)
	c := dial(t, l.Addr().String())
	for snap, err := range c.Stream(t.Context(), 0) {
		if err != nil || snap == nil {
			t.Fatalf("stream = %v, %v", snap, err)
		}
		break
	}
	waitFor(t, "the client's place", func() bool { return s.streams.count() == 0 })

	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range c.Stream(cancelled, 0) {
		if err != nil {
			t.Errorf("cancelled stream = %v, want it to end without an error", err)
		}
		cancel()
	}

	var last error
	for _, err := range c.Stream(t.Context(), 0) {
		last = err
		if err == nil {
			go stop()
		}
	}
	wantError(t, "Stream of a seer that stopped", last, ErrNotRunning)
	stop()
}

// What is decoded is what was encoded, to six digits.
func TestWireRoundTrip(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src})
	tick := crowd(40)
	for range 5 {
		for i := range tick.Rows {
			tick.Rows[i].Cells[3].Valid = tick.Seq%2 == 0
			if !tick.Rows[i].Cells[3].Valid {
				tick.Rows[i].Cells[3] = collector.Cell{}
			}
		}
		s.Consume(tick)
		tick = next(tick)
	}
	enc := snapshotEncoder{server: s}
	snap, err := newSnapshotDecoder(strings.NewReader(string(enc.next())), "test").next()
	if err != nil {
		t.Fatal(err)
	}
	near := cmp.Options{cmpopts.EquateApprox(1e-5, 0), cmpopts.EquateNaNs(), cmpopts.EquateEmpty(),
		cmp.Transformer("wait", func(d time.Duration) float64 { return float64(d) })}
	if diff := cmp.Diff(s.frames.current.rows, snap.Rows, near); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for i := range tick.Rows {
		id := tick.Rows[i].Container.ID
		var want History
		s.history.copyTo(&want, id)
		if diff := cmp.Diff(&want, snap.Histories[id], cmp.Options{cmpopts.EquateApprox(1e-3, 0), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}); diff != "" {
			t.Fatalf("history of %v (-want +got):\n%s", id, diff)
		}
	}
}

func BenchmarkEncodeSnapshot(b *testing.B) {
	src, _ := shop()
	s := New(Config{Source: src})
	const n = 1000
	tick := crowd(n)
	for range historyTicks {
		s.Consume(next(tick))
	}
	enc := snapshotEncoder{server: s}
	b.ReportMetric(0, "first-bytes")
	first := len(enc.next())
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		s.Consume(next(tick))
		bytes = len(enc.next())
	}
	b.ReportMetric(float64(first), "first-bytes")
	b.ReportMetric(float64(bytes), "bytes")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/container")
}

func FuzzDecodeSnapshot(f *testing.F) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	enc := snapshotEncoder{server: s}
	f.Add(string(enc.next()))
	f.Add(`{"schema":1,"rows":[{"id":3,"cells":[null]}]}`)
	f.Add(`{"schema":1,"histories":[{"id":3,"ticks":9000000000000000000,"means":[[1]]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		dec := newSnapshotDecoder(strings.NewReader(text), "fuzz")
		for {
			if _, err := dec.next(); err != nil {
				if err == io.EOF { //nolint:errorlint // the bare one is what must not be
					t.Error("next returned a bare io.EOF, want it wrapped")
				}
				return
			}
		}
	})
}
