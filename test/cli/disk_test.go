//go:build linux

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// minFree is the space below which the database refuses (embedded.Options).
const minFree = 32 << 20

// TestDiskFull: with no space left Seer goes on measuring, says so once, counts
// what it drops, and records again when there is space.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	i := newInstance(t, dir)
	i.db = filepath.Join(disk, "db")
	small := mount{Target: disk, Data: "size=40m"}

	full := mount{Target: disk, Data: "size=20m"}
	r := runCommand(t, inPrivateMounts(t, command(t, i.args()...), full))
	r.wantError(t, exitFailed, "open database", i.db, "disk full", "20 MiB left, 32 MiB needed", "free some space", "--db none")

	i.start(inPrivateMounts(t, command(t, i.args()...), small))
	i.waitReady()
	i.waitAbove("seer_tracedb_points_total", 0)
	// The mount is seen through the process that has it.
	filler := filepath.Join(fmt.Sprintf("/proc/%d/root", i.cmd.Process.Pid), disk, "filler")
	fill(t, filler, minFree/2)

	// Samples are held back, and dropped when their ten seconds are over.
	const message = "samples are not stored"
	i.waitAbove("seer_tracedb_dropped_points_total", 0)
	if n := strings.Count(i.log.String(), message); n != 1 {
		t.Errorf("said %d times that nothing is stored, want once: %s", n, i.log.String())
	}
	if len(i.queues()) == 0 {
		t.Error("no rows while the disk is full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	stored := i.metric("seer_tracedb_points_total")
	i.waitAbove("seer_tracedb_points_total", stored)
	i.wantStopped()

	// A run that ends while it cannot store says that it lost something.
	i.start(inPrivateMounts(t, command(t, i.args()...), small))
	i.waitReady()
	filler = filepath.Join(fmt.Sprintf("/proc/%d/root", i.cmd.Process.Pid), disk, "filler")
	fill(t, filler, minFree/2)
	lab.Wait(t, "drops to be counted", func() (bool, string) {
		return strings.Contains(i.log.String(), message), i.log.String()
	})
	if state := i.end(unix.SIGTERM); state.ExitCode() != exitFailed || !strings.Contains(i.log.String(), "seer: run: ") {
		t.Errorf("%v: %s", state, i.log.String())
	}
}

// fill takes all but leave bytes of the file system that name is on.
func fill(t *testing.T, name string, leave int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-leave); err != nil {
		t.Fatal(err)
	}
}
