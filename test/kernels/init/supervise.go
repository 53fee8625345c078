//go:build linux && amd64

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/kernels/job"
)

// scratchDisk is the disk that the host adds. It is not NVMe, the one driver that
// is built in: QEMU's may miss a request, which the kernel notices after 30 s.
const scratchDisk = "/dev/vda"

// supervise runs the job's programs and returns the status of the first that
// failed: its own exit code, 128 + signal cut to job.MaxStatus otherwise.
func supervise() int {
	j, err := job.Read(job.Path)
	if err != nil {
		fmt.Println("kernelrun:", err)
		return job.MaxStatus
	}
	env := append([]string{
		"PATH=/bin:/sbin", "HOME=/root", "TMPDIR=/tmp", "SEER_TEST_KERNEL=" + j.Kernel,
	}, j.Env...)
	if _, err := os.Stat(scratchDisk); err == nil {
		env = append(env, "SEER_TEST_BLOCK_DEVICE="+scratchDisk)
	}
	status := 0
	for i, p := range j.Programs {
		start := time.Now()
		code, err := runProgram(i, p, env)
		verdict := "ok"
		if err != nil {
			verdict = "FAIL: " + err.Error()
			if status == 0 {
				status = min(max(code, 1), job.MaxStatus)
			}
		}
		fmt.Printf("kernelrun: %s: %s: %s (%.1f s)\n", j.Kernel, filepath.Base(p.Path), verdict, time.Since(start).Seconds())
	}
	return status
}

// runProgram runs one program in a cgroup of its own, as a service manager
// would: a process in the root cgroup is an exception tests should not meet.
func runProgram(i int, p job.Program, env []string) (code int, err error) {
	group, err := newCgroup("kernelrun-" + strconv.Itoa(i))
	if err != nil {
		return 1, err
	}
	defer group.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir = p.Dir
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), err // -1 when a signal ended it
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// newCgroup creates a leaf in the v2 tree, wherever that is mounted.
func newCgroup(name string) (*os.File, error) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(root, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		return os.Open(dir)
	}
	return nil, errors.New("no cgroup v2 mounted")
}
