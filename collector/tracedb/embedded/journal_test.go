package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/tracedb"
)

var kindTest = tracedb.Kind{Name: "test", Version: 2}

func decide(t testing.TB, db *DB, kind tracedb.Kind, id string, at time.Time, doc any) {
	t.Helper()
	if err := tracedb.Decide(t.Context(), db, kind, id, at, doc); err != nil {
		t.Fatal(err)
	}
}

// decisions returns "ID=doc" of each.
func decisions(t testing.TB, db *DB, from, to time.Time) []string {
	t.Helper()
	entries, err := tracedb.Decisions(t.Context(), db, kindTest, from, to)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.ID+"="+string(e.Doc))
	}
	return out
}

func TestDecisions(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	decide(t, db, kindTest, "b", epoch.Add(time.Minute), 1)
	decide(t, db, kindTest, "a", epoch, 1)
	decide(t, db, tracedb.Kind{Name: "other", Version: 9}, "a", epoch, 100)
	db.Close()
	// Numbers of events begin anew after a restart: what was written last stands.
	for i := 2; i < 12; i++ {
		db = mustOpen(t, dir, Options{})
		decide(t, db, kindTest, "a", epoch, i)
		if i < 11 {
			db.Close()
		}
	}
	if diff := cmp.Diff([]string{"a=11", "b=1"}, decisions(t, db, time.Time{}, time.Time{})); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b=1"}, decisions(t, db, epoch.Add(time.Second), time.Time{})); diff != "" {
		t.Errorf("after the first second (-want +got):\n%s", diff)
	}
}

func TestDecisionsOfANewerSeer(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{})
	decide(t, db, tracedb.Kind{Name: kindTest.Name, Version: kindTest.Version - 1}, "old", epoch, 1)
	if got := decisions(t, db, time.Time{}, time.Time{}); len(got) != 1 {
		t.Errorf("decisions of an older Seer = %v, want them read", got)
	}
	decide(t, db, tracedb.Kind{Name: kindTest.Name, Version: kindTest.Version + 1}, "new", epoch, 1)
	_, err := tracedb.Decisions(t.Context(), db, kindTest, time.Time{}, time.Time{})
	var newer *tracedb.NewerVersionError
	if !errors.As(err, &newer) || newer.Version != "test 3" || newer.Reads != "test 2" {
		t.Errorf("decisions of a newer Seer = %v, want a NewerVersionError of test 3", err)
	}
	write(t, db, &tracedb.Batch{Events: []tracedb.Event{{Kind: "broken", Time: epoch, Data: []byte("{")}}})
	if _, err := tracedb.Decisions(t.Context(), db, tracedb.Kind{Name: "broken", Version: 1}, time.Time{}, time.Time{}); !errors.Is(err, tracedb.ErrCorrupt) {
		t.Errorf("a broken decision = %v, want ErrCorrupt", err)
	}
}

// Retention goes by what a decision is about.
func TestDecisionsAreDropped(t *testing.T) {
	now := epoch
	db := mustOpen(t, t.TempDir(), Options{MaxAge: time.Hour, Now: func() time.Time { return now }})
	for i := range 4 {
		at := epoch.Add(time.Duration(i) * 30 * time.Minute)
		decide(t, db, kindTest, fmt.Sprint(i), at, i)
		write(t, db, &tracedb.Batch{Put: []tracedb.Record{record(1, at)}})
	}
	now = epoch.Add(90 * time.Minute)
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1=1", "2=2", "3=3"}, decisions(t, db, time.Time{}, time.Time{})); diff != "" {
		t.Errorf("after retention of an hour (-want +got):\n%s", diff)
	}
}

// decideChild writes down decisions and prints each when it is durable.
func decideChild() {
	db, err := Open(os.Getenv("SEER_TEST_DIR"), Options{Logger: quiet, MinFreeBytes: 1 << 20})
	for n := 0; err == nil; n++ {
		if err = tracedb.Decide(context.Background(), db, kindTest, "x", epoch, n); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A decision that was acknowledged survives kill -9.
func TestDecisionsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEER_TEST_CHILD=decide", "SEER_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if _, err := fmt.Sscan(sc.Text(), &last); err != nil {
			t.Fatal(err)
		}
		if last == 20 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if last < 20 {
		t.Fatalf("the child ended by itself after %d decisions", last)
	}
	got := decisions(t, mustOpen(t, dir, Options{}), time.Time{}, time.Time{})
	if len(got) != 1 || got[0] != fmt.Sprintf("x=%d", last) && got[0] != fmt.Sprintf("x=%d", last+1) {
		t.Errorf("decisions after the kill = %v, want %d, or the one after", got, last)
	}
}
