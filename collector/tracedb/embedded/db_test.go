package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"

	"seer/collector/container"
	"seer/collector/tracedb"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMain(m *testing.M) {
	// The test binary is also the process that the tests lock out and kill.
	switch os.Getenv("SEER_TEST_CHILD") {
	case "hold":
		holdChild()
	case "decide":
		decideChild()
	case "write":
		writeChild()
	}
	os.Exit(m.Run())
}

func mustOpen(t testing.TB, dir string, o Options) *DB {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 1 << 20
	}
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func write(t testing.TB, db *DB, b *tracedb.Batch) {
	t.Helper()
	if err := db.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func record(id container.ID, start time.Time) tracedb.Record {
	return tracedb.Record{
		Key:  tracedb.Key{Container: id, Start: start.UnixNano()},
		Data: fmt.Appendf(nil, "%d@%d", id, start.Unix()),
	}
}

func read(t testing.TB, db *DB, r tracedb.Range) []string {
	t.Helper()
	var out []string
	if err := db.Chunks(t.Context(), r, func(r tracedb.Record) error {
		out = append(out, string(r.Data))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

var epoch = time.Unix(1_700_000_400, 0) // a multiple of ten minutes: 1700000400 = 2833334 * 600

func TestChunksSelects(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	// Four containers over 25 minutes, one of them with the largest ID there is.
	ids := []container.ID{3, 1, container.Legacy | 7, ^container.ID(0)}
	var b tracedb.Batch
	for at := epoch; at.Before(epoch.Add(25 * time.Minute)); at = at.Add(10 * time.Second) {
		for _, id := range ids {
			b.Put = append(b.Put, record(id, at))
		}
	}
	write(t, db, &b)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{ReadOnly: true})

	// The reference: filter the batch, order by partition, container, start.
	reference := func(r tracedb.Range) []string {
		var out []string
		for p := epoch; p.Before(epoch.Add(time.Hour)); p = p.Add(partition) {
			for _, id := range []container.ID{1, 3, container.Legacy | 7, ^container.ID(0)} {
				for _, rec := range b.Put {
					at := time.Unix(0, rec.Key.Start)
					wanted := len(r.Containers) == 0
					for _, c := range r.Containers {
						wanted = wanted || c == id
					}
					if rec.Key.Container == id && wanted && !at.Before(p) && at.Before(p.Add(partition)) &&
						!at.Before(r.From.Add(-tracedb.ChunkLength)) && (r.To.IsZero() || at.Before(r.To)) {
						out = append(out, string(rec.Data))
					}
				}
			}
		}
		return out
	}
	minute := func(m float64) time.Time { return epoch.Add(time.Duration(m * float64(time.Minute))) }
	for _, r := range []tracedb.Range{
		{},
		{From: minute(0), To: minute(25)},
		{From: minute(9.9), To: minute(10.1)},
		{From: minute(12), To: minute(12.5), Containers: []container.ID{3}},
		{From: minute(5), To: minute(15), Containers: []container.ID{^container.ID(0), 1}},
		{From: minute(5), Containers: []container.ID{2}},
		{From: minute(24.95)},
		{From: minute(60)},
		{To: minute(-1)},
	} {
		if diff := cmp.Diff(reference(r), read(t, db, r)); diff != "" {
			t.Errorf("Chunks(%v) differs (-want +got):\n%s", r, diff)
		}
	}
	from, to, err := db.Span(t.Context())
	if err != nil || !from.Equal(epoch) || !to.Equal(minute(25)) {
		t.Errorf("Span() = %v, %v, %v, want %v, %v", from, to, err, epoch, minute(25))
	}
	stop := errors.New("enough")
	if err := db.Chunks(t.Context(), tracedb.Range{}, func(tracedb.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Chunks with a failing callback = %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Chunks(ctx, tracedb.Range{}, func(tracedb.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Chunks after cancel = %v, want context.Canceled", err)
	}
}

func TestBatchReplacesPieces(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{})
	a, b := record(1, epoch), record(1, epoch.Add(time.Second))
	write(t, db, &tracedb.Batch{Put: []tracedb.Record{a, b}})
	merged := tracedb.Record{Key: a.Key, Data: []byte("merged")}
	write(t, db, &tracedb.Batch{Put: []tracedb.Record{merged}, Delete: []tracedb.Key{a.Key, b.Key}})
	if diff := cmp.Diff([]string{"merged"}, read(t, db, tracedb.Range{})); diff != "" {
		t.Error(diff)
	}
}

func TestContainersAndEvents(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	c := func(id container.ID, name string, first, last int) tracedb.ContainerRecord {
		return tracedb.ContainerRecord{
			Container: container.Container{ID: id, Name: name, Service: name, Runtime: "docker"},
			First:     epoch.Add(time.Duration(first) * time.Second).UTC(), Last: epoch.Add(time.Duration(last) * time.Second).UTC(),
		}
	}
	early, late, other := c(9, "web", 0, 100), c(9, "db", 200, 300), c(4, "cache", 50, 250)
	write(t, db, &tracedb.Batch{Containers: []tracedb.ContainerRecord{late, early, other}})
	for _, tt := range []struct {
		from, to int
		want     []tracedb.ContainerRecord
	}{
		{0, 1000, []tracedb.ContainerRecord{other, early, late}},
		{110, 150, []tracedb.ContainerRecord{other}},
		{260, 400, []tracedb.ContainerRecord{late}},
		{0, 50, []tracedb.ContainerRecord{early}},
	} {
		got, err := db.Containers(t.Context(), epoch.Add(time.Duration(tt.from)*time.Second), epoch.Add(time.Duration(tt.to)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Containers(%d s, %d s) differs (-want +got):\n%s", tt.from, tt.to, diff)
		}
	}

	// Two events at one moment, one of a kind whose name another one begins with.
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	write(t, db, &tracedb.Batch{Events: []tracedb.Event{
		{Kind: "alarm", Time: at(5), Data: []byte("late")},
		{Kind: "alarm", Time: at(1), Data: []byte("first")},
		{Kind: "alarm", Time: at(1), Data: []byte("second")},
		{Kind: "alarms", Time: at(1), Data: []byte("other kind")},
	}})
	events := func(db *DB, kind string, from, to time.Time) (out []string) {
		t.Helper()
		if err := db.Events(t.Context(), kind, from, to, func(e tracedb.Event) error {
			out = append(out, fmt.Sprintf("%s %d %s", e.Kind, e.Time.Unix()-epoch.Unix(), e.Data))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	db.Close()
	db = mustOpen(t, dir, Options{})
	write(t, db, &tracedb.Batch{Events: []tracedb.Event{{Kind: "alarm", Time: at(1), Data: []byte("after restart")}}})
	got := events(db, "alarm", time.Time{}, time.Time{})
	if len(got) != 4 {
		t.Errorf("events after a restart at the same moment: %q, want 4", got)
	}
	if diff := cmp.Diff([]string{"alarm 5 late"}, events(db, "alarm", at(2), at(6))); diff != "" {
		t.Error(diff)
	}
	if err := db.Write(t.Context(), &tracedb.Batch{Events: []tracedb.Event{{Kind: "a\x00b"}}}); err == nil {
		t.Error("an event kind with a zero byte was accepted")
	}
}

func TestSecondInstance(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	_, err := Open(dir, Options{Logger: quiet})
	if !errors.Is(err, tracedb.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open in this process = %v, want ErrLocked naming %s", err, dir)
	}
	// The first one still works.
	write(t, db, &tracedb.Batch{Put: []tracedb.Record{record(1, epoch)}})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	child, stdin := startChild(t, "hold", dir)
	_, err = Open(dir, Options{Logger: quiet})
	if !errors.Is(err, tracedb.ErrLocked) {
		t.Fatalf("Open while process %d has it = %v, want ErrLocked", child.Process.Pid, err)
	}
	for _, want := range []string{dir, fmt.Sprintf("process %d", child.Process.Pid), "stop it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{})
	if got := read(t, db, tracedb.Range{}); len(got) != 1 {
		t.Errorf("after the other instance ended there are %d chunks, want 1", len(got))
	}
}

// startChild runs this test binary in a role and waits for its first line.
func startChild(t *testing.T, role, dir string) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEER_TEST_CHILD="+role, "SEER_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatalf("child %s: %v", role, err)
	}
	return cmd, stdin
}

// holdChild keeps a database open until its standard input closes.
func holdChild() {
	db, err := Open(os.Getenv("SEER_TEST_DIR"), Options{Logger: quiet, MinFreeBytes: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	db.Close()
	os.Exit(0)
}

func TestNewerVersion(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	if err := db.pebble.Set(keyVersion, []byte(`{"schema":2}`), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, o := range []Options{{Logger: quiet}, {Logger: quiet, ReadOnly: true}} {
		_, err := Open(dir, o)
		var newer *tracedb.NewerVersionError
		if !errors.As(err, &newer) || !strings.Contains(err.Error(), "schema 2") || !strings.Contains(err.Error(), "--db") {
			t.Errorf("Open(%+v) of schema 2 = %v, want NewerVersionError that says what to do", o, err)
		}
	}

	// A storage format that this Pebble does not know.
	dir = t.TempDir()
	db = mustOpen(t, dir, Options{})
	db.Close()
	markers, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
	if err != nil || len(markers) != 1 {
		t.Fatalf("format markers: %v, %v, want one", markers, err)
	}
	base := filepath.Base(markers[0])
	if err := os.Rename(markers[0], filepath.Join(dir, base[:strings.LastIndexByte(base, '.')]+".999")); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{Logger: quiet})
	var newer *tracedb.NewerVersionError
	if !errors.As(err, &newer) {
		t.Errorf("Open of storage format 999 = %v, want NewerVersionError", err)
	}
}

func TestNoDatabase(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"), Options{ReadOnly: true, Logger: quiet})
	if !errors.Is(err, tracedb.ErrNotFound) {
		t.Errorf("Open of a missing directory = %v, want ErrNotFound", err)
	}
	_, err = Open(t.TempDir(), Options{ReadOnly: true, Logger: quiet})
	if !errors.Is(err, tracedb.ErrNotFound) {
		t.Errorf("Open of an empty directory = %v, want ErrNotFound", err)
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func TestClosed(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), &tracedb.Batch{Put: []tracedb.Record{record(1, epoch)}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Close = %v, want os.ErrClosed", err)
	}
	if _, _, err := db.Span(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Span after Close = %v, want os.ErrClosed", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}
