//go:build linux

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seer/collector/api"
	"seer/test/lab"
)

// instance is a running `seer run`.
type instance struct {
	t      *testing.T
	dir    string // of the database and the socket, for this instance only
	db     string
	socket string
	web    string // URL of --listen
	cmd    *exec.Cmd
	log    logBuffer
	exited chan struct{} // closed once reaped
}

// start runs Seer with a database, a socket and a port of its own and returns
// when ticks are being taken.
func start(t *testing.T, args ...string) *instance {
	t.Helper()
	i := newInstance(t, t.TempDir())
	i.start(command(t, i.args(args...)...))
	i.waitReady()
	return i
}

func newInstance(t *testing.T, dir string) *instance {
	return &instance{t: t, dir: dir, db: filepath.Join(dir, "db"), socket: filepath.Join(dir, "seer.sock")}
}

// args returns the command line of this instance; later flags win.
func (i *instance) args(more ...string) []string {
	return append([]string{"run", "--db", i.db, "--socket", i.socket, "--listen", "127.0.0.1:0"}, more...)
}

func (i *instance) start(cmd *exec.Cmd) {
	i.t.Helper()
	i.exited, i.web = make(chan struct{}), ""
	i.log.reset()
	cmd.Stderr = &i.log
	// Bounded by the test, not by the deadline of a command.
	fresh := exec.Command(cmd.Path)
	fresh.Args, fresh.Env, fresh.SysProcAttr = cmd.Args, cmd.Env, cmd.SysProcAttr
	fresh.Stdin, fresh.Stdout, fresh.Stderr = cmd.Stdin, cmd.Stdout, cmd.Stderr
	i.cmd = fresh
	if err := fresh.Start(); err != nil {
		i.t.Fatal(err)
	}
	exited := i.exited
	go func() {
		_ = fresh.Wait()
		close(exited)
	}()
	i.t.Cleanup(func() {
		_ = fresh.Process.Kill()
		<-exited
	})
}

func (i *instance) waitReady() {
	i.t.Helper()
	lab.Wait(i.t, "seer to be ready", func() (bool, string) {
		if i.ended() {
			i.t.Fatalf("seer ended: %v: %s", i.cmd.ProcessState, i.log.String())
		}
		if i.web == "" {
			address := i.log.value("serving metrics", "address=")
			if address == "" {
				return false, i.log.String()
			}
			i.web = "http://" + address
		}
		resp, err := http.Get(i.web + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

func (i *instance) ended() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// end sends a signal and returns how the process ended.
func (i *instance) end(signal os.Signal) *os.ProcessState {
	i.t.Helper()
	if err := i.cmd.Process.Signal(signal); err != nil {
		i.t.Fatal(err)
	}
	select {
	case <-i.exited:
	case <-time.After(lab.Deadline):
		i.t.Fatalf("seer still runs %v after %v: %s", lab.Deadline, signal, i.log.String())
	}
	return i.cmd.ProcessState
}

// wantStopped checks that SIGTERM ends it with status 0 and without an error.
func (i *instance) wantStopped() {
	i.t.Helper()
	if state := i.end(syscall.SIGTERM); state.ExitCode() != exitOK || strings.Contains(i.log.String(), "seer: ") {
		i.t.Errorf("after SIGTERM: %v: %s", state, i.log.String())
	}
}

// inspect asks this instance with the binary.
func (i *instance) inspect(args ...string) result {
	i.t.Helper()
	return seer(i.t, append([]string{"inspect", "--socket", i.socket}, args...)...)
}

// queues returns the rows of inspect queue.
func (i *instance) queues(selector ...string) []api.QueueRow {
	i.t.Helper()
	r := i.inspect(append([]string{"-j", "queue"}, selector...)...)
	r.wantOK(i.t)
	return decodeRows[api.QueueRow](i.t, r.stdout)
}

// decodeRows returns the rows of one document.
func decodeRows[T any](t *testing.T, text string) []T {
	t.Helper()
	var doc api.Document
	var rows []T
	dec := json.NewDecoder(strings.NewReader(text))
	if err := errors.Join(dec.Decode(&doc), json.Unmarshal(doc.Rows, &rows)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one JSON object: %s", text)
	}
	return rows
}

// metric reads one series without labels.
func (i *instance) metric(name string) float64 {
	i.t.Helper()
	resp, err := http.Get(i.web + "/metrics")
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				i.t.Fatal(err)
			}
			return v
		}
	}
	i.t.Fatalf("no metric %s: %v", name, lines.Err())
	return 0
}

// waitAbove waits until a metric is above a value. It asks less often than
// lab.Wait does: this may take as long as a chunk, and a scrape costs CPU.
func (i *instance) waitAbove(name string, value float64) {
	i.t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(lab.Deadline); ; <-poll.C {
		v := i.metric(name)
		if v > value {
			return
		}
		if time.Now().After(end) {
			i.t.Fatalf("%s is %g after %v, want more than %g: %s", name, v, lab.Deadline, value, i.log.String())
		}
	}
}

// logBuffer keeps what Seer logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// value returns what follows key in the line with that message.
func (l *logBuffer) value(message, key string) string {
	for line := range strings.Lines(l.String()) {
		if _, rest, ok := strings.Cut(line, key); ok && strings.Contains(line, message) {
			value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return value
		}
	}
	return ""
}
