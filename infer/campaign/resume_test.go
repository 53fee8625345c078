package campaign

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The test binary is also the writer that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CAMPAIGN_WRITE"); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

const killedAfter = 2 * time.Minute

// writeUntilKilled writes a campaign, says after each second of it how far it
// has come, and waits for a line before it goes on.
func writeUntilKilled(dir string) {
	t := &fatal{}
	r := newRun(t, killedAfter, PlanOptions{Gap: time.Second, Recovery: 5 * time.Second})
	w, err := Create(dir, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(os.Stdin)
	for ms := int64(0); ms < r.manifest.DurationMS; ms += 1000 {
		r.write(t, w, ms, ms+1000)
		fmt.Println(ms + 1000)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("was not killed")
}

// fatal is a testing.TB for a process without tests.
type fatal struct{ testing.TB }

func (*fatal) Helper() {}
func (*fatal) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// TestKilled kills the writer with SIGKILL at several times, resumes, writes the
// rest, and finds a campaign that checks and lacks only what it says.
func TestKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{1000, 37_000, 64_000, 100_000} {
		dir := filepath.Join(t.TempDir(), "campaign")
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "CAMPAIGN_WRITE="+dir)
		cmd.Stderr = os.Stderr
		in, errIn := cmd.StdinPipe()
		out, errOut := cmd.StdoutPipe()
		if errIn != nil || errOut != nil {
			t.Fatal(errIn, errOut)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if ms, err := strconv.ParseInt(lines.Text(), 10, 64); err != nil || ms >= at {
				break
			}
			fmt.Fprintln(in)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("the writer ended by itself: %v", err)
		}

		r := newRun(t, killedAfter, PlanOptions{Gap: time.Second, Recovery: 5 * time.Second})
		if d, err := Open(dir); err != nil {
			t.Fatal(err)
		} else if _, err := d.Faults(); err != nil {
			t.Fatal(err)
		}
		w, resumed, err := Resume(dir)
		if err != nil {
			t.Fatal(err)
		}
		// Every fault that had begun is known; samples and requests of up to ten
		// seconds and two thousand requests were still in the writer's memory.
		var begun []Fault
		for _, f := range r.plan.Faults {
			if f.OnsetMS < at {
				begun = append(begun, f)
			}
		}
		if diff := cmp.Diff(begun, resumed.Faults); diff != "" {
			t.Errorf("killed at %d ms: faults %s", at, diff)
		}
		if resumed.LastMS > at+1000 || resumed.LastMS < at-10_000 {
			t.Errorf("killed at %d ms: data are said to end at %d ms", at, resumed.LastMS)
		}
		if n := len(begun); n > 0 && resumed.ToMS < begun[n-1].EndMS || resumed.ToMS < resumed.LastMS {
			t.Errorf("killed at %d ms in %+v: goes on at %d ms", at, begun, resumed.ToMS)
		}
		to := (resumed.ToMS + 99) / 100 * 100
		r.write(t, w, to, r.manifest.DurationMS)
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		for _, p := range Check(dir) {
			t.Errorf("killed at %d ms: %s", at, p)
		}
	}
}

// TestTorn cuts each file of an unfinished campaign off at every byte of its
// end. What is whole is kept, and what is dropped is said.
func TestTorn(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{Gap: time.Second, Recovery: 5 * time.Second})
	good := filepath.Join(t.TempDir(), "campaign")
	w, err := Create(good, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, w, 0, 30_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{truthFile, samplesFile, requestLogFile} {
		data, err := os.ReadFile(filepath.Join(good, name))
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < min(200, len(data)-fileHeaderSize); cut += 3 {
			dir := filepath.Join(t.TempDir(), "campaign")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, data[:len(data)-cut], 0o644); err != nil {
				t.Fatal(err)
			}
			w, resumed, err := Resume(dir)
			if err != nil {
				t.Fatalf("%s without its last %d bytes: %v", name, cut, err)
			}
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			torn := len(data) - cut - len(kept)
			if !bytes.HasPrefix(data, kept) || torn < 0 {
				t.Fatalf("%s without its last %d bytes: %d bytes are kept of %d, or not the same", name, cut, len(kept), len(data))
			}
			want := fmt.Sprintf("%s: the last %d bytes", name, torn)
			if said := strings.Join(resumed.Dropped, ""); torn > 0 && !strings.HasPrefix(said, want) || torn == 0 && said != "" {
				t.Errorf("%s without its last %d bytes: said %q, want %q", name, cut, said, want)
			}
			r.write(t, w, (resumed.ToMS+99)/100*100, 60_000)
			if _, err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			for _, p := range Check(dir) {
				// A fault whose line is lost is missing.
				if name != truthFile {
					t.Errorf("%s without its last %d bytes: %s", name, cut, p)
				}
			}
		}
	}
}

// TestFinishInterrupted stops between any two steps of Finish: to finish again
// gives the same files.
func TestFinishInterrupted(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{})
	want := r.complete(t)
	unfinished := filepath.Join(t.TempDir(), "campaign")
	w, err := Create(unfinished, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, w, 0, r.manifest.DurationMS)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, there := range [][]string{{}, {requestsFile}, {requestsFile, violationsFile}} {
		dir := filepath.Join(t.TempDir(), "campaign")
		if err := os.CopyFS(dir, os.DirFS(unfinished)); err != nil {
			t.Fatal(err)
		}
		for _, name := range there {
			data, err := os.ReadFile(filepath.Join(want, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		w, resumed, err := Resume(dir)
		if err != nil {
			t.Fatal(err)
		}
		if resumed.LastMS != r.manifest.DurationMS || resumed.ToMS != r.manifest.DurationMS {
			t.Errorf("with %q: resumes at %d ms", there, resumed.ToMS)
		}
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{requestsFile, violationsFile, truthFile, samplesFile} {
			a, errA := os.ReadFile(filepath.Join(want, name))
			b, errB := os.ReadFile(filepath.Join(dir, name))
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("with %q: %s differs (%v, %v)", there, name, errA, errB)
			}
		}
		for _, p := range Check(dir) {
			t.Errorf("with %q: %s", there, p)
		}
	}
}
