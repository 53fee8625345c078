package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/container"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// What every object answers, through the socket.
func TestGetGolden(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	c := dial(t, serve(t, s))
	tests := []struct {
		file, object string
		sel          Selector
	}{
		{"container.json", "container", Selector{}},
		{"service.json", "service", Selector{Service: "web"}},
		{"queue.json", "queue", Selector{Container: "web-7f9c"}},
		{"socket.json", "socket", Selector{}},
		{"probe.json", "probe", Selector{}},
		{"edge.json", "edge", Selector{}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			doc, err := c.Get(t.Context(), tt.object, tt.sel)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.file, append(text, '\n'))
			// The same without a socket in between.
			local, err := s.Get(t.Context(), tt.object, tt.sel)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(doc, local); diff != "" {
				t.Errorf("Client.Get and Server.Get differ (-client +server):\n%s", diff)
			}
		})
	}
}

func TestGetSelects(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	c := dial(t, serve(t, s))
	tests := []struct {
		sel  Selector
		want []string
	}{
		{Selector{}, []string{"web-7f9c", "db"}},
		{Selector{Container: "db"}, []string{"db"}},
		{Selector{Container: "7f9c41"}, []string{"web-7f9c"}}, // runtime id
		{Selector{Container: "7f9"}, nil},                     // too short for one
		{Selector{Cgroup: "/system.slice/postgresql.service"}, []string{"db"}},
		{Selector{Service: "web"}, []string{"web-7f9c"}},
		{Selector{Cgroup: "4711"}, []string{"web-7f9c"}},
		{Selector{Cgroup: "v1:52"}, []string{"db"}},
		{Selector{Cgroup: "52"}, []string{"db"}}, // as the field cgroup_id gives it
		{Selector{Pod: "shop/web-0"}, []string{"web-7f9c"}},
		{Selector{Pod: "web-0"}, []string{"web-7f9c"}},
		{Selector{Pod: "other/web-0"}, nil},
		{Selector{Service: "web", Cgroup: "v1:52"}, nil},
		{Selector{Service: "a&b=c d"}, nil},
	}
	for _, tt := range tests {
		doc, err := c.Get(t.Context(), "container", tt.sel)
		if err != nil {
			t.Errorf("Get(container, %v) = %v", tt.sel, err)
			continue
		}
		var rows []ContainerRow
		if err := json.Unmarshal(doc.Rows, &rows); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.Container)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Get(container, %v) (-want +got):\n%s", tt.sel, diff)
		}
	}
}

// A pod of that name in two namespaces: which one was meant?
func TestGetAmbiguous(t *testing.T) {
	src, tick := shop()
	other := *tick.Rows[0].Container
	other.ID, other.Name, other.Namespace = 4712, "web-other", "staging"
	tick.Rows[1].Container = &other
	s := New(Config{Source: src})
	s.Consume(tick)
	for name, from := range map[string]interface {
		Get(context.Context, string, Selector) (*Document, error)
	}{"server": s, "client": dial(t, serve(t, s))} {
		_, err := from.Get(t.Context(), "queue", Selector{Pod: "web-0"})
		wantError(t, name+".Get", err, container.ErrAmbiguous)
		if err != nil && !strings.Contains(err.Error(), "staging/web-other") {
			t.Errorf("%s.Get = %q, want it to name the candidates", name, err)
		}
	}
}

func TestGetRefuses(t *testing.T) {
	src, tick := shop()
	src.err = errors.New("iterator refused")
	s := New(Config{Source: src})
	s.Consume(tick)
	c := dial(t, serve(t, s))
	tests := []struct {
		object string
		sel    Selector
		want   string
	}{
		{"nonsense", Selector{}, `object "nonsense": unknown`},
		{"queue", Selector{Queue: "nonsense"}, "no such queue"},
		{"socket", Selector{}, "iterator refused"},
		{"feature", Selector{}, "seer inspect feature"},
	}
	for _, tt := range tests {
		_, err := c.Get(t.Context(), tt.object, tt.sel)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Get(%s, %v) = %v, want %q in it", tt.object, tt.sel, err, tt.want)
		}
	}
}

// A value that JSON has no word for must not spoil the answer.
func TestGetSurvivesNaN(t *testing.T) {
	src, tick := shop()
	tick.Rows[0].Cells[collector.QueueAcceptBacklog].Mean = math.NaN()
	tick.Rows[0].Cells[collector.QueueAcceptBacklog].Depth = math.Inf(1)
	s := New(Config{Source: src})
	s.Consume(tick)
	doc, err := s.Get(t.Context(), "queue", Selector{Queue: "accept_backlog"})
	if err != nil {
		t.Fatal(err)
	}
	var rows []QueueRow
	if err := json.Unmarshal(doc.Rows, &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v, want 2", len(rows), err)
	}
	var buf bytes.Buffer
	enc := snapshotEncoder{server: s}
	buf.Write(enc.next())
	if _, err := newSnapshotDecoder(&buf, "test").next(); err != nil {
		t.Errorf("snapshot with NaN: %v", err)
	}
}

func TestGetBeforeFirstTick(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	_, err := s.Get(t.Context(), "queue", Selector{})
	wantError(t, "Get", err, ErrNoTick)
	if _, err := s.Get(t.Context(), "probe", Selector{}); err != nil {
		t.Errorf("Get(probe) before the first tick = %v, want what the probes say", err)
	}
	// Through the socket a client is kept waiting for a Seer that only starts.
	c := dial(t, serve(t, s))
	answered := make(chan error, 1)
	go func() {
		_, err := c.Get(t.Context(), "queue", Selector{})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("answered %v before any tick", err)
	default:
	}
	s.Consume(tick)
	if err := <-answered; err != nil {
		t.Errorf("Get after the first tick: %v", err)
	}
}

// More questions than may be answered at once are refused, not queued, and
// one socket dump runs at a time.
func TestGetIsBounded(t *testing.T) {
	src := &slowSource{entered: make(chan struct{}), leave: make(chan struct{})}
	shop, tick := shop()
	src.fakeSource = shop
	s := New(Config{Source: src})
	s.Consume(tick)
	c := dial(t, serve(t, s))
	answers := make(chan error, maxRequests)
	for range maxRequests {
		go func() {
			for {
				_, err := c.Get(t.Context(), "socket", Selector{})
				if err == nil || !strings.Contains(err.Error(), "try again") { // the question below may be in the way
					answers <- err
					return
				}
			}
		}()
	}
	<-src.entered
	var err error
	waitFor(t, "all places to be taken", func() bool {
		_, err = c.Get(t.Context(), "container", Selector{})
		return err != nil
	})
	if !strings.Contains(err.Error(), "try again") {
		t.Errorf("one question too many = %v, want to be told to try again", err)
	}
	close(src.leave)
	for range maxRequests - 1 {
		<-src.entered
	}
	for range maxRequests {
		if err := <-answers; err != nil {
			t.Errorf("Get(socket) = %v", err)
		}
	}
	if n := src.most.Load(); n != 1 {
		t.Errorf("%d socket dumps at once, want 1", n)
	}
}

// slowSource lists sockets only when it is let.
type slowSource struct {
	*fakeSource
	entered, leave chan struct{}
	running, most  atomic.Int32
}

func (s *slowSource) Sockets(ctx context.Context, dst []collector.Socket) ([]collector.Socket, error) {
	n := s.running.Add(1)
	defer s.running.Add(-1)
	s.most.Store(max(n, s.most.Load()))
	s.entered <- struct{}{}
	<-s.leave
	return s.fakeSource.Sockets(ctx, dst)
}

func TestInfo(t *testing.T) {
	src, _ := shop()
	c := dial(t, serve(t, New(Config{Source: src, Version: "1.2.3", GroupBy: "service"})))
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Version != "1.2.3" || info.GroupBy != "service" || info.TickMS != 100 || len(info.Objects) != len(Objects) {
		t.Errorf("Info = %+v", info)
	}
}

func TestDialErrors(t *testing.T) {
	_, err := Dial(t.Context(), filepath.Join(t.TempDir(), "seer.sock"))
	wantError(t, "Dial without a socket", err, ErrNotRunning)
	if err != nil && !strings.Contains(err.Error(), "sudo seer run") {
		t.Errorf("Dial = %q, want it to say how to start one", err)
	}
}

// A Seer that stops between two questions is named as such.
func TestClientOutlivesServer(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	l, err := Listen(filepath.Join(t.TempDir(), "seer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	stop := serveOn(t, s.Serve, l)
	c := dial(t, l.Addr().String())
	if _, err := c.Get(t.Context(), "queue", Selector{}); err != nil {
		t.Fatal(err)
	}
	stop()
	_, err = c.Get(t.Context(), "queue", Selector{})
	wantError(t, "Get from a stopped seer", err, ErrNotRunning)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	_, err := newSnapshotDecoder(strings.NewReader(`{"schema": 2, "rows": []}`), "test").next()
	wantError(t, "next", err, ErrSchema)
}

func BenchmarkGetSockets(b *testing.B) {
	src, tick := shop()
	one := src.sockets[1]
	src.sockets = nil
	const n = 50_000
	for range n {
		src.sockets = append(src.sockets, one)
	}
	s := New(Config{Source: src})
	s.Consume(tick)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.writeDocument(b.Context(), io.Discard, "socket", Selector{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}
