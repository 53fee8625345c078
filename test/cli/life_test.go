//go:build linux

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"seer/collector/feature"
	"seer/test/lab"
)

// queueRowFields are what a queue row has at least (DESIGN.md section 10), by
// the type that JSON gives them.
var queueRowFields = map[string]string{
	"container": "string", "service": "string", "cgroup_id": "float64", "queue": "string", "unit": "string",
	"depth": "float64", "mean": "float64", "limit": "float64 or null", "arrivals": "float64", "departures": "float64",
	"valid": "bool",
}

// TestServes: what a running Seer answers, and the schema of it.
func TestServes(t *testing.T) {
	t.Parallel()
	i := start(t, "--tick", "50ms")
	for _, want := range []string{"version=", "tick=50ms", "db=" + i.db, "socket=" + i.socket} {
		if !strings.Contains(i.log.String(), want) {
			t.Errorf("the log does not say %s: %s", want, i.log.String())
		}
	}

	r := i.inspect("-j", "queue")
	r.wantOK(t)
	var doc struct {
		Schema int
		Object string
		TickMS *float64 `json:"tick_ms"`
		Losses *uint64
		Rows   []map[string]any
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != 1 || doc.Object != "queue" || doc.TickMS == nil || *doc.TickMS <= 0 || doc.Losses == nil || len(doc.Rows) == 0 {
		t.Fatalf("inspect -j queue: %.300s", r.stdout)
	}
	for field, kind := range queueRowFields {
		for _, row := range doc.Rows {
			v, ok := row[field]
			if got := fmt.Sprintf("%T", v); !ok || got != kind && !(kind == "float64 or null" && (v == nil || got == "float64")) {
				t.Errorf("queue row: %s is %v (%T), want %s: %v", field, v, v, kind, row)
				break
			}
		}
	}

	for _, object := range []string{"container", "service", "queue", "socket", "probe", "feature"} {
		r := i.inspect(object)
		r.wantOK(t)
		for line := range strings.Lines(r.stdout) {
			if width := len([]rune(strings.TrimRight(line, "\n"))); width > 80 {
				t.Errorf("inspect %s: a line of %d columns: %s", object, width, line)
				break
			}
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "seer_losses_total", "/": "/metrics"} {
		if status, body := get(t, i.web+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %.200q, want 200 and %q", path, status, body, want)
		}
	}
	if status, _ := get(t, i.web+"/nosuch"); status != http.StatusNotFound {
		t.Errorf("GET /nosuch = %d, want 404", status)
	}

	top := seer(t, "top", "--once", "--socket", i.socket, "--interval", "250ms")
	top.wantOK(t)
	if !strings.Contains(top.stdout, "seer") || top.stderr != "" {
		t.Errorf("%v", top)
	}
	i.wantStopped()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestPrivilegesAreDropped reads what the kernel says of every thread.
func TestPrivilegesAreDropped(t *testing.T) {
	t.Parallel()
	i := start(t)
	var allowed uint64
	for _, v := range feature.RunCapabilities() {
		allowed |= 1 << v
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", i.cmd.Process.Pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v: %v", threads, err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		status := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			status[name] = strings.TrimSpace(value)
		}
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
			if got, err := strconv.ParseUint(status[set], 16, 64); err != nil || got != allowed {
				t.Errorf("%s: %s is %s, want %#x", path, set, status[set], allowed)
			}
		}
		if status["NoNewPrivs"] != "1" {
			t.Errorf("%s: NoNewPrivs is %q, want 1", path, status["NoNewPrivs"])
		}
	}
}

// TestSignals: each of them ends a run with status 0, and nothing is left but
// the database.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		i := start(t)
		begin := time.Now()
		if state := i.end(signal); state.ExitCode() != exitOK {
			t.Errorf("after %v: %v: %s", signal, state, i.log.String())
		}
		t.Logf("%v: ended after %v", signal, time.Since(begin))
		if _, err := os.Stat(i.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %v the socket is still there: %v", signal, err)
		}
		if !strings.Contains(i.log.String(), "msg=stopped") {
			t.Errorf("after %v it does not say that it stopped: %s", signal, i.log.String())
		}
		i.inspect("--for", "200ms", "probe").wantOK(t)
	}
}

// TestSecondSignalKills: a shutdown that is held up can be cut short.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i := start(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// An export into a pipe that nobody reads is held up for good: the first
	// signal cancels it, which it cannot notice, and the second one kills.
	lab.Wait(t, "something to be recorded", func() (bool, string) {
		r := seer(t, "export", "--db", i.db, "--out", "-")
		return r.code == exitOK && len(r.stdout) > 128<<10, fmt.Sprint(r.code, len(r.stdout))
	})
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd := command(t, "export", "--db", i.db, "--out", "-")
	cmd.Stdout = reader
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	lab.Wait(t, "the pipe to be full", func() (bool, string) { return blockedInWrite(cmd.Process.Pid) })
	lab.Wait(t, "a signal to kill", func() (bool, string) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
			return true, ""
		default:
			return false, "it still runs"
		}
	})
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("export ended with %v, want to be killed by the second SIGTERM", cmd.ProcessState)
	}
	i.wantStopped()
}

// blockedInWrite says whether a thread of pid waits for a pipe's reader.
func blockedInWrite(pid int) (bool, string) {
	channels, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	var seen []string
	for _, path := range channels {
		text, _ := os.ReadFile(path)
		number, _, _ := strings.Cut(string(text), " ")
		if number == strconv.Itoa(syscall.SYS_WRITE) {
			return true, ""
		}
		seen = append(seen, number)
	}
	return false, strings.Join(seen, " ")
}

// TestKilledAndRestarted: after kill -9 the same database and socket work, and
// what was acknowledged is there.
func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	i := start(t)
	var before []export
	lab.Wait(t, "three seconds of samples", func() (bool, string) {
		before = exportCSV(t, i.db)
		return len(before) > 0 && before[len(before)-1].at.Sub(before[0].at) >= 3*time.Second, fmt.Sprint(len(before))
	})
	if state := i.end(syscall.SIGKILL); state.ExitCode() != -1 {
		t.Fatalf("after SIGKILL: %v", state)
	}
	if _, err := os.Stat(i.socket); err != nil {
		t.Fatalf("a killed one leaves its socket: %v", err)
	}
	i.inspect("--for", "200ms", "container").wantOK(t) // nothing answers: it measures itself

	i.start(command(t, i.args()...))
	i.waitReady()
	i.inspect("queue").wantOK(t)
	after := exportCSV(t, i.db)
	if !slices.Contains(after, before[0]) || !slices.Contains(after, before[len(before)-1]) {
		t.Errorf("of %d rows exported before the kill the first or the last is not among %d after it", len(before), len(after))
	}
	kept := map[export]bool{}
	for _, row := range after {
		kept[row] = true
	}
	for _, row := range before {
		if !kept[row] {
			t.Fatalf("row %+v was acknowledged before the kill and is gone", row)
		}
	}
	i.wantStopped()
}

// export is one exported row.
type export struct {
	at               time.Time
	container, queue string
	depth, mean      string
}

// exportCSV returns all rows of a database; none while it has none.
func exportCSV(t *testing.T, db string) []export {
	t.Helper()
	r := seer(t, "export", "--db", db, "--out", "-")
	if r.code == exitNothingMatched {
		return nil
	}
	r.wantOK(t)
	records, err := csv.NewReader(strings.NewReader(r.stdout)).ReadAll()
	if err != nil || len(records) < 2 {
		t.Fatalf("%d records: %v", len(records), err)
	}
	column := func(record []string, name string) string {
		at := slices.Index(records[0], name)
		if at < 0 {
			t.Fatalf("no column %q among %v", name, records[0])
		}
		return record[at]
	}
	var rows []export
	for _, record := range records[1:] {
		ns, err := strconv.ParseInt(column(record, "time_ns"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, export{
			at: time.Unix(0, ns), container: column(record, "container_id"), queue: column(record, "queue"),
			depth: column(record, "depth"), mean: column(record, "mean"),
		})
	}
	return rows
}

// TestExportWhileRunning: both formats hold the same rows.
func TestExportWhileRunning(t *testing.T) {
	t.Parallel()
	i := start(t)
	dir := t.TempDir()
	csvFile, parquetFile := filepath.Join(dir, "q.csv"), filepath.Join(dir, "q.parquet")
	// A window that is complete: something was recorded after it.
	var window []string
	lab.Wait(t, "a second to be recorded", func() (bool, string) {
		rows := exportCSV(t, i.db)
		if len(rows) == 0 {
			return false, "no rows"
		}
		first, last := rows[0].at, rows[len(rows)-1].at
		to := first.Truncate(time.Second).Add(time.Second)
		window = []string{"--to", to.Format(time.RFC3339), "--queue", "run_queue"}
		return last.After(to), fmt.Sprint(first, " to ", last)
	})
	seer(t, append([]string{"export", "--db", i.db, "--out", csvFile}, window...)...).wantOK(t)
	text, err := os.ReadFile(csvFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(text, []byte("\n")) - 1
	r := seer(t, append([]string{"export", "--db", i.db, "--out", parquetFile}, window...)...)
	r.wantOK(t)
	f, err := os.Open(parquetFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if int(table.NumRows()) != lines || lines == 0 {
		t.Errorf("parquet holds %d rows, csv %d", table.NumRows(), lines)
	}
	if copies, _ := filepath.Glob(filepath.Join(i.db, "copy-*")); len(copies) > 0 {
		t.Errorf("left behind: %v", copies)
	}
	// A reader that has seen enough is no error.
	cut := command(t, "export", "--db", i.db, "--out", "-")
	var complaint strings.Builder
	cut.Stderr = &complaint
	pipe, err := cut.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cut.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
		t.Errorf("export, one line of it: %q, %v", line, err)
	}
	pipe.Close()
	if err := cut.Wait(); err != nil || complaint.Len() > 0 {
		t.Errorf("export that is read in part: %v: %s", err, complaint.String())
	}
	i.wantStopped()
}

func TestWithoutRunningSeer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	r := seer(t, "inspect", "--socket", socket, "--for", "300ms", "-j", "queue")
	r.wantOK(t)
	if rows := decodeRows[map[string]any](t, r.stdout); len(rows) == 0 {
		t.Errorf("%v\nwant rows", r)
	}
	if !strings.Contains(r.stderr, "no seer runs") || !strings.Contains(r.stderr, "measuring for 300ms") {
		t.Errorf("%v\nwant to be told that it measures", r)
	}
	seer(t, "inspect", "--socket", socket, "--for", "300ms", "queue", "container", "no-such").
		wantError(t, exitNothingMatched, "no-such")
	seer(t, "top", "--once", "--socket", socket, "--interval", "250ms").wantOK(t)

	r = seer(t, "doctor", "-j")
	r.wantOK(t)
	var report struct {
		Schema int  `json:"schema"`
		CanRun bool `json:"can_run"`
		Rows   []any
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.Schema != 1 || !report.CanRun || len(report.Rows) == 0 {
		t.Errorf("%.500s: %v", r.stdout, err)
	}
}
