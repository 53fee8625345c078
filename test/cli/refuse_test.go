//go:build linux

package cli_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// nobody is a user without any privilege.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // not for nobody to write to
	for p := dir; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(own, int(nobody.Uid), int(nobody.Gid)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"run", []string{"run", "--db", dir + "/db", "--socket", dir + "/s"}, []string{"run: needs root", "CAP_BPF", "sudo"}},
		{"run in own directory", []string{"run", "--db", own + "/db", "--socket", own + "/s"}, []string{"run: needs root", "CAP_BPF", "sudo"}},
		{"inspect", []string{"inspect", "queue", "--socket", dir + "/s"}, []string{"no seer runs", "needs root", "sudo"}},
		{"top", []string{"top", "--once", "--socket", dir + "/s"}, []string{"not running", "sudo"}},
		{"doctor", []string{"doctor"}, []string{"cannot run here", "CAP_BPF", "sudo"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := command(t, tt.args...)
			cmd.SysProcAttr.Credential = nobody
			r := runCommand(t, cmd)
			r.wantError(t, exitKernel, tt.want...)
			if strings.Contains(r.stderr, "measuring") {
				t.Errorf("%v\nwant no promise to measure", r)
			}
			wantNothing(t, own)
		})
	}

	t.Run("while seer runs", func(t *testing.T) {
		i := start(t)
		for _, args := range [][]string{{"inspect", "queue", "--socket", i.socket}, {"top", "--once", "--socket", i.socket}} {
			if err := os.Chmod(i.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := command(t, args...)
			cmd.SysProcAttr.Credential = nobody
			runCommand(t, cmd).wantError(t, exitKernel, "permission denied", i.socket, "root")
		}
		cmd := command(t, "export", "--db", i.db, "--out", "-")
		cmd.SysProcAttr.Credential = nobody
		runCommand(t, cmd).wantError(t, exitFailed, i.db, "permission denied", "sudo")
	})
}

func TestWithoutKernelTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hidden := mount{Target: "/sys/kernel/btf", Flags: unix.MS_RDONLY}
	socket := filepath.Join(dir, "s")
	for _, args := range [][]string{
		{"run", "--db", filepath.Join(dir, "db"), "--socket", socket},
		{"inspect", "queue", "--socket", socket},
		{"top", "--once", "--socket", socket},
	} {
		r := runCommand(t, inPrivateMounts(t, command(t, args...), hidden))
		r.wantError(t, exitKernel, "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF", "seer doctor")
	}
	r := runCommand(t, inPrivateMounts(t, command(t, "doctor"), hidden))
	r.wantError(t, exitKernel, "cannot run here", "BTF")
	if _, err := os.Stat(filepath.Join(dir, "db")); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

// Seer pins nothing, so it does not need the BPF file system.
func TestWithoutBPFFileSystem(t *testing.T) {
	t.Parallel()
	i := newInstance(t, t.TempDir())
	i.start(inPrivateMounts(t, command(t, i.args()...), mount{Target: "/sys/fs/bpf", Flags: unix.MS_RDONLY}))
	i.waitReady()
	if len(i.queues()) == 0 {
		t.Error("no rows")
	}
	i.wantStopped()
}

func TestSecondInstance(t *testing.T) {
	t.Parallel()
	first := start(t)
	other := t.TempDir()
	t.Run("same socket", func(t *testing.T) {
		db := filepath.Join(other, "db1")
		r := seer(t, "run", "--db", db, "--socket", first.socket)
		r.wantError(t, exitFailed, "another seer", first.socket, "--socket")
		wantNothing(t, db)
	})
	t.Run("same database", func(t *testing.T) {
		r := seer(t, "run", "--db", first.db, "--socket", filepath.Join(other, "s"))
		r.wantError(t, exitFailed, first.db, fmt.Sprint("process ", first.cmd.Process.Pid), "--db")
	})
	t.Run("same port", func(t *testing.T) {
		db := filepath.Join(other, "db2")
		r := seer(t, "run", "--db", db, "--socket", filepath.Join(other, "s"), "--listen", first.web[len("http://"):])
		r.wantError(t, exitFailed, "port in use", "ss -ltnp", "--listen")
		wantNothing(t, db)
	})
	if len(first.queues()) == 0 {
		t.Error("the first one has no rows any more")
	}
	first.wantStopped()
	if _, err := os.Stat(filepath.Join(other, "s")); !os.IsNotExist(err) {
		t.Errorf("a socket was left behind: %v", err)
	}
}

func TestUnusablePlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	newer := filepath.Join(dir, "newer")
	writeNewerDatabase(t, newer)
	none := filepath.Join(dir, "none")
	socket := filepath.Join(dir, "s")

	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"database is a file", []string{"run", "--db", file, "--socket", socket}, []string{file, "not a directory", "--db"}},
		{"database below a file", []string{"run", "--db", file + "/db", "--socket", socket}, []string{file, "not a directory", "--db"}},
		{"database of a newer version", []string{"run", "--db", newer, "--socket", socket}, []string{newer, "newer seer", "schema 99", "--db"}},
		{"export of a newer version", []string{"export", "--db", newer, "--out", "-"}, []string{newer, "newer seer", "schema 99"}},
		{"export of nothing", []string{"export", "--db", none, "--out", "-"}, []string{none, "no database", "seer run"}},
		{"export of a file", []string{"export", "--db", file, "--out", "-"}, []string{"export:", file, "not a directory"}},
		{"socket is a file", []string{"run", "--db", none, "--socket", file}, []string{file, "no socket"}},
		{"socket below a file", []string{"run", "--db", none, "--socket", file + "/s"}, []string{file, "not a directory"}},
		{"port in use", []string{"run", "--db", none, "--socket", socket, "--listen", listener.Addr().String()}, []string{"port in use", "--listen"}},
		{"address of another host", []string{"run", "--db", none, "--socket", socket, "--listen", "192.0.2.1:9400"}, []string{"192.0.2.1:9400", "address of this host"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := seer(t, tt.args...)
			r.wantError(t, exitFailed, tt.want...)
			if r.stdout != "" {
				t.Errorf("%v\nwant nothing on standard output", r)
			}
			wantNothing(t, none)
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q now: %v", text, err)
	}
}

// writeNewerDatabase makes a database as a later Seer might.
func writeNewerDatabase(t *testing.T, dir string) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte{'v'}, []byte(`{"schema":99}`), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	readOnly := filepath.Join(dir, "ro")
	if err := os.Mkdir(readOnly, 0o755); err != nil {
		t.Fatal(err)
	}
	i := newInstance(t, dir)
	i.db = filepath.Join(readOnly, "db")
	mounts := mount{Target: readOnly, Flags: unix.MS_RDONLY}
	r := runCommand(t, inPrivateMounts(t, command(t, i.args()...), mounts))
	r.wantError(t, exitFailed, i.db, "read-only file system", "--db")

	r = runCommand(t, inPrivateMounts(t, command(t, i.args("--socket", filepath.Join(readOnly, "s"))...), mounts))
	r.wantError(t, exitFailed, "control socket", "read-only file system", "another path")

	// Without a database it needs no place to write to but the socket's.
	i.start(inPrivateMounts(t, command(t, i.args("--db", "none")...), mounts))
	i.waitReady()
	i.wantStopped()
}

func TestNothingMatched(t *testing.T) {
	t.Parallel()
	i := start(t)
	for _, selector := range [][]string{{"container", "no-such"}, {"service", "no-such"}, {"cgroup", "999999999999"}, {"pod", "no/such"}} {
		for _, object := range []string{"queue", "container", "socket"} {
			r := i.inspect(append([]string{object}, selector...)...)
			r.wantError(t, exitNothingMatched, object, selector[1], "seer inspect container")
			if r.stdout != "" {
				t.Errorf("%v\nwant no table", r)
			}
			r = i.inspect(append([]string{"-j", object}, selector...)...)
			r.wantError(t, exitNothingMatched, selector[1])
			if rows := decodeRows[struct{}](t, r.stdout); len(rows) != 0 {
				t.Errorf("%v\nwant no rows", r)
			}
		}
	}
	r := i.inspect("-j", "alarm")
	r.wantError(t, exitKernel, "alarm", "prediction model")
	lab.Wait(t, "something to be recorded", func() (bool, string) {
		r := seer(t, "export", "--db", i.db, "--out", "-")
		return r.code == exitOK, r.String()
	})
	out := filepath.Join(t.TempDir(), "x.csv")
	seer(t, "export", "--db", i.db, "--out", out, "--container", "no-such").wantError(t, exitNothingMatched, i.db, "it holds", "--container")
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a file was written: %v", err)
	}
	i.wantStopped()
}
