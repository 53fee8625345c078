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
	"seer/test/lab"
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

// start runs Seer in the sandbox, which says everything but what to write and
// run.
func start(t *testing.T, box sandbox) *instance {
	t.Helper()
	in := &instance{exited: make(chan struct{})}
	in.state = ownedDir(t, box.UID)
	runtimeDir := ownedDir(t, box.UID)
	in.socket = filepath.Join(runtimeDir, "seer.sock")
	box.Writable = []string{in.state, runtimeDir}
	box.Argv = []string{seerBinary(t), "run", "--act", "off", "--db", in.state, "--socket", in.socket, "--listen", "127.0.0.1:0"}
	in.cmd = box.command(t)
	in.cmd.Stderr = &in.stderr
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.watch(t, syscall.SIGKILL)
	return in
}

// unitSandbox is what seer.service grants, less one capability perhaps.
func unitSandbox(t *testing.T, less ...cap.Value) sandbox {
	t.Helper()
	all := capabilities(t, service(t)["CapabilityBoundingSet"])
	return sandbox{UID: serviceUID, Capabilities: slices.DeleteFunc(all, func(v cap.Value) bool {
		return slices.Contains(less, v)
	})}
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
func ownedDir(t *testing.T, uid int) string {
	t.Helper()
	dir := t.TempDir()
	// Its parent belongs to root alone, unlike /var/lib and /run.
	open := os.Chmod(filepath.Dir(dir), 0o755)
	if err := errors.Join(open, os.Chown(dir, uid, uid), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// queues asks the instance for its queues until a tick with a valid row has
// passed.
func (in *instance) queues(t *testing.T) []api.QueueRow {
	t.Helper()
	return until(t, in, "queue", "valid queue", func(rows []api.QueueRow) bool {
		return slices.ContainsFunc(rows, func(r api.QueueRow) bool { return r.Valid })
	})
}

// until asks the instance for the rows of an object until they are as wanted.
func until[Row any](t *testing.T, in *instance, object, what string, good func([]Row) bool) []Row {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		var rows []Row
		err := ask(ctx, in.socket, object, &rows)
		if err == nil && good(rows) {
			return rows
		}
		select {
		case <-in.exited:
			t.Fatalf("seer ended: %v", in.cmd.ProcessState)
		case <-ctx.Done():
			t.Fatalf("no %s within %s: %v, %+v", what, patience, err, rows)
		case <-retry.C:
		}
	}
}

func ask(ctx context.Context, socket, object string, rows any) error {
	client, err := api.Dial(ctx, socket)
	if err != nil {
		return err
	}
	defer client.Close()
	doc, err := client.Get(ctx, object, api.Selector{})
	if err != nil {
		return err
	}
	return json.Unmarshal(doc.Rows, rows)
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
	in := start(t, unitSandbox(t))
	rows := in.queues(t)
	t.Logf("%d queue rows, invalid: %v", len(rows), reasons(rows))

	holdsNoMore(t, in.cmd.Process.Pid, capabilities(t, service(t)["CapabilityBoundingSet"]))
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

// TestDropsAfterStart starts Seer as sudo does, as root with everything, and
// checks that it keeps no more than it says it needs.
func TestDropsAfterStart(t *testing.T) {
	needRoot(t)
	var all []cap.Value
	for v := range cap.MaxBits() {
		if in, err := cap.GetBound(v); err == nil && in {
			all = append(all, v)
		}
	}
	in := start(t, sandbox{UID: 0, Capabilities: all})
	in.queues(t)
	holdsNoMore(t, in.cmd.Process.Pid, feature.RunCapabilities())
	if bounding := processStatus(t, in.cmd.Process.Pid)["CapBnd"]; bounding != fmt.Sprintf("%016x", mask(feature.RunCapabilities())) {
		t.Errorf("CapBnd = %s, want %016x", bounding, mask(feature.RunCapabilities()))
	}
}

// TestRefusesWithout checks that without a capability that every queue needs
// the start ends with exit code 3, which the unit does not retry, and says what
// to do.
func TestRefusesWithout(t *testing.T) {
	needRoot(t)
	for _, missing := range []cap.Value{cap.BPF, cap.PERFMON} {
		t.Run(missing.String(), func(t *testing.T) {
			in := start(t, unitSandbox(t, missing))
			if code := in.exitCode(t); code != 3 {
				t.Errorf("exit code without %v = %d, want 3", missing, code)
			}
			if want := "deploy/seer.service"; !strings.Contains(in.stderr.String(), want) {
				t.Errorf("error without %v does not point to %s, which lists what is needed", missing, want)
			}
		})
	}
}

// TestRefusesOldKernel runs where socket storage cannot be used from tracing
// programs: the start ends with the code that the unit does not retry.
func TestRefusesOldKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: as another user every start is refused")
	}
	if kernelAtLeast(t, 5, 11) {
		t.Skip("needs a kernel before Linux 5.11")
	}
	dir := t.TempDir()
	out, err := exec.Command(seerBinary(t), "run", "--db", dir, "--socket", filepath.Join(dir, "s")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("seer run = %v, want exit code 3", err)
	}
	if !bytes.Contains(out, []byte("not supported by this kernel")) {
		t.Errorf("seer run wrote %q, want it to say that the kernel does not support it", out)
	}
}

// TestNamesContainers checks what CAP_DAC_READ_SEARCH is for: with it a
// container of containerd has its name, without it only its cgroup's.
func TestNamesContainers(t *testing.T) {
	needRoot(t)
	if !lab.HasContainerd() {
		t.Skip("needs containerd, ctr and runc (packages containerd and runc)")
	}
	d := lab.NewContainerd(t, t.TempDir())
	web := d.Sockets("web")
	web.Listen("tcp4", "127.0.0.1:0", 8)

	named := func(rows []api.ContainerRow) bool {
		return slices.ContainsFunc(rows, func(r api.ContainerRow) bool {
			return r.Runtime == "containerd" && r.RuntimeID == web.Container.Name
		})
	}
	box := unitSandbox(t)
	box.RunRoot = d.RunRoot
	in := start(t, box)
	until(t, in, "container", "container of containerd "+web.Container.Name, named)

	box = unitSandbox(t, cap.DAC_READ_SEARCH)
	box.RunRoot = d.RunRoot
	in = start(t, box)
	path := filepath.Base(web.Container.Path)
	until(t, in, "container", "cgroup "+path, func(rows []api.ContainerRow) bool {
		if named(rows) {
			t.Fatal("the container has its name without CAP_DAC_READ_SEARCH: the unit need not grant it")
		}
		return slices.ContainsFunc(rows, func(r api.ContainerRow) bool { return strings.HasSuffix(r.Path, path) })
	})
}

// mask is a set of capabilities as /proc/PID/status shows it.
func mask(values []cap.Value) uint64 {
	var m uint64
	for _, v := range values {
		m |= 1 << v
	}
	return m
}

// holdsNoMore checks the capabilities that a process really has.
func holdsNoMore(t *testing.T, pid int, most []cap.Value) {
	t.Helper()
	status := processStatus(t, pid)
	for name, most := range map[string]uint64{"CapEff": mask(most), "CapPrm": mask(most), "CapInh": 0, "CapAmb": 0} {
		have, err := strconv.ParseUint(status[name], 16, 64)
		if err != nil {
			t.Fatalf("%s = %q: %v", name, status[name], err)
		}
		if have&^most != 0 {
			t.Errorf("%s = %#x, want no more than %#x", name, have, most)
		}
	}
	if status["NoNewPrivs"] != "1" {
		t.Errorf("NoNewPrivs = %q, want 1", status["NoNewPrivs"])
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
