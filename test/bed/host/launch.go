//go:build linux

package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// launcher is the first argument of a copy of this program that is to become
// another one inside a container.
const launcher = "seerbed-launch"

// launchSpec is its second argument.
type launchSpec struct {
	Cgroups   []string // directories to join
	Namespace string   // network namespace, "" for this one
	User      *User
	Run, Keep string // see Container.StartRuntime
	Path      string
	Args      []string
}

// User is whom a program runs as, without supplementary groups.
type User struct {
	UID, GID int
}

// Nobody is the user that servers run as: some of them refuse to be root.
var Nobody = &User{65534, 65534}

// openFiles is the limit of open files that programs get; servers size tables by
// it, so it is not the highest possible.
const openFiles = 8192

// Launch turns this process into another program if that is what it was started
// for, and then does not return. A program that starts containers calls it
// before anything else.
//
// The process enters the container by itself: if who started it dies at any
// moment, it is either in a cgroup of the journal or has not become anything.
func Launch() {
	if len(os.Args) != 3 || os.Args[1] != launcher {
		return
	}
	// The network namespace is the thread's, and so are the other namespaces:
	// this one's are what the program gets.
	runtime.LockOSThread()
	// The parent reads the error from here; success closes it.
	report := os.NewFile(reportFD, "report")
	syscall.CloseOnExec(reportFD)
	err := launch(os.Args[2])
	fmt.Fprint(report, err)
	os.Exit(1)
}

// reportFD is the descriptor after standard error.
const reportFD = 3

func launch(text string) error {
	var s launchSpec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	self := []byte(strconv.Itoa(os.Getpid()))
	for _, dir := range s.Cgroups {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), self, 0); err != nil {
			return fmt.Errorf("join cgroup: %w", err)
		}
	}
	// Shared memory of System V, of which PostgreSQL has a segment, ends with
	// its namespace; in the host's it would outlive a server that is killed.
	if err := unix.Unshare(unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("new IPC namespace: %w", err)
	}
	if s.Namespace != "" {
		fd, err := unix.Open(s.Namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
	}
	if s.Run != "" {
		if err := privateRun(s.Run, s.Keep); err != nil {
			return err
		}
	}
	limit := syscall.Rlimit{Cur: openFiles, Max: openFiles}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	if s.User != nil {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("drop groups: %w", err)
		}
		if err := syscall.Setgid(s.User.GID); err != nil {
			return fmt.Errorf("become group %d: %w", s.User.GID, err)
		}
		if err := syscall.Setuid(s.User.UID); err != nil {
			return fmt.Errorf("become user %d: %w", s.User.UID, err)
		}
	}
	return fmt.Errorf("execute %s: %w", s.Path, syscall.Exec(s.Path, s.Args, os.Environ()))
}

// privateRun puts an empty directory in the place of /run, for this process and
// its descendants only.
func privateRun(run, keep string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	fd, err := unix.Open(keep, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", keep, err)
	}
	if err := unix.Mount(run, "/run", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("own /run: %w", err)
	}
	if !strings.HasPrefix(keep, "/run/") {
		return nil // still in sight
	}
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(fd), keep, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keep %s: %w", keep, err)
	}
	return nil
}

// start starts cmd by way of the launcher and returns once it runs.
func start(cmd *exec.Cmd, s launchSpec) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	s.Path, s.Args = cmd.Path, cmd.Args
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Path, cmd.Args = "/proc/self/exe", []string{filepath.Base(os.Args[0]), launcher, string(text)}
	cmd.ExtraFiles = []*os.File{w}
	// A session of its own: what is typed at the terminal is not meant for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	failure, err := io.ReadAll(r)
	if err == nil && len(failure) > 0 {
		err = errors.New(string(failure))
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("start %s: %w", s.Path, err)
	}
	return nil
}
