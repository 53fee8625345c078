//go:build linux

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"seer/collector/api"
	"seer/collector/feature"
)

// serviceUID is in the range from which systemd takes dynamic users.
const serviceUID = 61184

// patience bounds every wait; an emulated kernel is slow.
const patience = 60 * time.Second

// seerBinary returns the program under test: SEER_TEST_BIN, or built once.
func seerBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SEER_TEST_BIN"); path != "" {
		return path
	}
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("seer-deploy-test-%d", os.Getuid()))
	cmd := exec.Command("go", "build", "-o", path, "seer/cmd/seer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// instance is one running Seer and where it may write.
type instance struct {
	cmd    *exec.Cmd
	state  string
	socket string
	stderr bytes.Buffer
	exited chan struct{} // closed after cmd.Wait
}

// start runs Seer in the sandbox with these capabilities.
func start(t *testing.T, capabilities []cap.Value) *instance {
	t.Helper()
	in := &instance{exited: make(chan struct{})}
	in.state = ownedDir(t)
	runtimeDir := ownedDir(t)
	in.socket = filepath.Join(runtimeDir, "seer.sock")
	in.cmd = sandbox{
		UID: serviceUID, Capabilities: capabilities, Writable: []string{in.state, runtimeDir},
		Argv: []string{seerBinary(t), "run", "--act", "off", "--db", in.state, "--socket", in.socket, "--listen", "127.0.0.1:0"},
	}.command(t)
	in.cmd.Stderr = &in.stderr
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.watch(t, syscall.SIGKILL)
	return in
}

// watch waits for the process and makes sure that it ends with the test.
func (in *instance) watch(t *testing.T, end os.Signal) {
	go func() {
		in.cmd.Wait()
		close(in.exited)
	}()
	t.Cleanup(func() {
		in.cmd.Process.Signal(end)
		<-in.exited
		if t.Failed() {
			t.Logf("seer wrote:\n%s", in.stderr.String())
		}
	})
}

// ownedDir is a folder of the service's user, as StateDirectory makes it.
func ownedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, serviceUID, serviceUID), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// queues asks the instance for its queues until a tick with a valid row has
// passed.
func (in *instance) queues(t *testing.T) []api.QueueRow {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	last := errors.New("not asked yet")
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		rows, err := askQueues(ctx, in.socket)
		if err == nil && slices.ContainsFunc(rows, func(r api.QueueRow) bool { return r.Valid }) {
			return rows
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-in.exited:
			t.Fatalf("seer ended: %v", in.cmd.ProcessState)
		case <-ctx.Done():
			t.Fatalf("no valid queue within %s: %v (%d rows)", patience, last, len(rows))
		case <-retry.C:
		}
	}
}

func askQueues(ctx context.Context, socket string) ([]api.QueueRow, error) {
	client, err := api.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	doc, err := client.Get(ctx, "queue", api.Selector{})
	if err != nil {
		return nil, err
	}
	var rows []api.QueueRow
	return rows, json.Unmarshal(doc.Rows, &rows)
}

// stop sends SIGTERM and returns the exit code.
func (in *instance) stop(t *testing.T) int {
	t.Helper()
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return in.exitCode(t)
}

func (in *instance) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-in.exited:
		return in.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("seer still runs after %s", patience)
		return -1
	}
}

// TestRunsUnderTheUnit is the promise of seer.service: with its capabilities,
// as another user than root, on a read-only file system, Seer traces, holds no
// more than it needs, keeps its state and ends when told.
func TestRunsUnderTheUnit(t *testing.T) {
	needRoot(t)
	in := start(t, capabilities(t, service(t)["CapabilityBoundingSet"]))
	rows := in.queues(t)
	t.Logf("%d queue rows, invalid: %v", len(rows), reasons(rows))

	status := processStatus(t, in.cmd.Process.Pid)
	var keep uint64
	for _, v := range feature.RunCapabilities() {
		keep |= 1 << v
	}
	for name, most := range map[string]uint64{"CapEff": keep, "CapPrm": keep, "CapInh": 0, "CapAmb": 0} {
		have, err := strconv.ParseUint(status[name], 16, 64)
		if err != nil {
			t.Fatalf("%s = %q: %v", name, status[name], err)
		}
		if extra := have &^ most; extra != 0 {
			t.Errorf("%s = %#x, want no more than %#x", name, have, most)
		}
	}
	if status["NoNewPrivs"] != "1" {
		t.Errorf("NoNewPrivs = %q, want 1", status["NoNewPrivs"])
	}
	onlyWritable(t, in.cmd.Process.Pid, in.state, filepath.Dir(in.socket))

	if code := in.stop(t); code != 0 {
		t.Errorf("exit code after SIGTERM = %d, want 0", code)
	}
	if _, err := os.Stat(in.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("control socket after the end: %v, want %v", err, os.ErrNotExist)
	}
	if kept, err := os.ReadDir(in.state); err != nil || len(kept) == 0 {
		t.Errorf("state directory holds %d files, %v: want a database", len(kept), err)
	}
}

// TestRefusesWithoutBPF checks that each capability Seer cannot do without ends
// the start with exit code 3, which the unit does not retry, and says what to do.
func TestRefusesWithoutBPF(t *testing.T) {
	needRoot(t)
	all := capabilities(t, service(t)["CapabilityBoundingSet"])
	for _, missing := range []cap.Value{cap.BPF, cap.PERFMON} {
		t.Run(missing.String(), func(t *testing.T) {
			rest := slices.DeleteFunc(slices.Clone(all), func(v cap.Value) bool { return v == missing })
			in := start(t, rest)
			if code := in.exitCode(t); code != 3 {
				t.Errorf("exit code without %v = %d, want 3", missing, code)
			}
			if want := "capabilities of deploy/seer.service"; !strings.Contains(in.stderr.String(), want) {
				t.Errorf("error without %v does not point to the %s", missing, want)
			}
		})
	}
}

// reasons counts why rows are not valid.
func reasons(rows []api.QueueRow) map[string]int {
	counts := map[string]int{}
	for _, r := range rows {
		if !r.Valid {
			counts[r.Queue+": "+r.Reason]++
		}
	}
	return counts
}

// processStatus reads /proc/PID/status.
func processStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		values[name] = strings.TrimSpace(value)
	}
	return values
}

// onlyWritable checks the mounts that the process really sees.
func onlyWritable(t *testing.T, pid int, dirs ...string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	var writable []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5)
		target, options := fields[4], strings.Split(fields[5], ",")
		if slices.Contains(options, "rw") {
			writable = append(writable, target)
		}
	}
	slices.Sort(dirs)
	slices.Sort(writable)
	if !slices.Equal(writable, dirs) {
		t.Errorf("writable mounts = %q, want %q", writable, dirs)
	}
}
