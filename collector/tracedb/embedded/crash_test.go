package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"seer/collector/container"
	"seer/collector/tracedb"
)

// crashBatch is batch number n of the crash test: eight chunks and an event
// that can be recognised, of random size. Every batch deletes a chunk of the
// one before, as merging pieces does.
func crashBatch(n int) *tracedb.Batch {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	b := &tracedb.Batch{}
	for i := range 8 {
		data := make([]byte, 12+rng.IntN(20_000))
		binary.BigEndian.PutUint64(data, uint64(n))
		for j := range data[12:] {
			data[12+j] = byte(rng.Uint32())
		}
		binary.BigEndian.PutUint32(data[8:], crc32.ChecksumIEEE(data[12:]))
		b.Put = append(b.Put, tracedb.Record{Key: crashKey(n, i), Data: data})
	}
	if n > 0 {
		b.Delete = append(b.Delete, crashKey(n-1, 7))
	}
	b.Events = []tracedb.Event{{Kind: "batch", Time: epoch.Add(time.Duration(n)), Data: []byte(strconv.Itoa(n))}}
	return b
}

func crashKey(n, i int) tracedb.Key {
	return tracedb.Key{Container: container.ID(i), Start: epoch.UnixNano() + int64(n)*int64(time.Second)}
}

// writeChild writes batches from the number given to it and prints each when
// it is acknowledged, until it is killed.
func writeChild() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	db, err := Open(os.Getenv("SEER_TEST_DIR"), Options{Logger: quiet, MinFreeBytes: 1 << 20})
	fail(err)
	first, err := strconv.Atoi(os.Getenv("SEER_TEST_FIRST"))
	fail(err)
	for n := first; ; n++ {
		fail(db.Write(context.Background(), crashBatch(n)))
		fmt.Println(n)
	}
}

// TestKill9 kills a writing process twenty times. Each time every acknowledged
// batch must be there, whole, and no part of any other.
func TestKill9(t *testing.T) {
	t.Logf("%d batches acknowledged over 20 kills", killRounds(t, 20))
}

// killRounds returns the number of batches acknowledged over all rounds.
func killRounds(t testing.TB, rounds int) int {
	t.Helper()
	dir := t.TempDir()
	acknowledged := -1
	rng := rand.New(rand.NewPCG(9, 9))
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SEER_TEST_CHILD=write", "SEER_TEST_DIR="+dir, fmt.Sprintf("SEER_TEST_FIRST=%d", acknowledged+1))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Kill after a random number of acknowledgements; what the child
		// printed until it died counts too. Some rounds run through several
		// memtables, so that the kill may meet a flush or a compaction.
		kill := 1 + rng.IntN(60)
		if round%5 == 4 {
			kill = 150
		}
		seen := 0
		for sc := bufio.NewScanner(out); sc.Scan(); {
			n, err := strconv.Atoi(sc.Text())
			if err != nil || n != acknowledged+1 {
				t.Fatalf("round %d: child acknowledged %q after %d", round, sc.Text(), acknowledged)
			}
			acknowledged = n
			if seen++; seen == kill {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if seen < kill {
			t.Fatalf("round %d: child ended by itself after %d batches", round, seen)
		}
		acknowledged = checkBatches(t, dir, acknowledged)
	}
	return acknowledged + 1
}

// checkBatches opens the database after a crash and returns the last batch in
// it: one more than was acknowledged may be there.
func checkBatches(t testing.TB, dir string, acknowledged int) int {
	t.Helper()
	db := mustOpen(t, dir, Options{})
	defer db.Close()
	last := -1
	if err := db.Events(t.Context(), "batch", time.Time{}, time.Time{}, func(e tracedb.Event) error {
		n, err := strconv.Atoi(string(e.Data))
		if n != last+1 || err != nil {
			return fmt.Errorf("batch %s follows batch %d", e.Data, last)
		}
		last = n
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if last < acknowledged || last > acknowledged+1 {
		t.Fatalf("database ends with batch %d, acknowledged were %d", last, acknowledged)
	}
	got := make(map[tracedb.Key]bool)
	if err := db.Chunks(t.Context(), tracedb.Range{}, func(r tracedb.Record) error {
		n := int(binary.BigEndian.Uint64(r.Data))
		if sum := crc32.ChecksumIEEE(r.Data[12:]); sum != binary.BigEndian.Uint32(r.Data[8:]) || r.Key != crashKey(n, int(r.Key.Container)) {
			return fmt.Errorf("chunk %v is damaged", r.Key)
		}
		got[r.Key] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for n := 0; n <= last; n++ {
		for i := range 8 {
			want := i != 7 || n == last // the next batch deleted it
			if got[crashKey(n, i)] != want {
				t.Fatalf("chunk %d of batch %d present: %v, want %v", i, n, !want, want)
			}
			delete(got, crashKey(n, i))
		}
	}
	if len(got) != 0 {
		t.Fatalf("%d chunks belong to no batch", len(got))
	}
	return last
}
