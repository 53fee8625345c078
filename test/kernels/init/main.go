//go:build linux && amd64

// Command init is process 1 of the test virtual machine. It mounts what a
// modern distribution mounts, runs the programs of its job one after the other
// and leaves through QEMU's isa-debug-exit device with the first failure.
//
// The same binary is the kernel's modprobe: /sbin/modprobe links to it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"seer/test/kernels/job"
)

// superviseArg makes init run the job instead of being process 1.
const superviseArg = "supervise"

// consolePath is the serial port that the host forwards to its own output.
const consolePath = "/dev/ttyS1"

func main() {
	switch {
	case filepath.Base(os.Args[0]) == "modprobe":
		if err := modprobe(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "modprobe:", err)
			os.Exit(1)
		}
	case len(os.Args) == 2 && os.Args[1] == superviseArg:
		os.Exit(supervise())
	case os.Getpid() == 1:
		powerOff(processOne())
	default:
		fmt.Fprintln(os.Stderr, "init: runs as process 1 of a test virtual machine: use test/kernels/cmd/kernelrun")
		os.Exit(2)
	}
}

// processOne prepares the machine and reaps every orphan until the supervisor
// ends. The job runs in a child because reaping all children and os/exec's
// wait for a particular one cannot share a process.
func processOne() (status int) {
	j, err := job.Read(job.Path)
	if err == nil {
		err = setUp(j.Cgroup)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err) // the kernel's console: the log that the host shows
		return job.MaxStatus
	}
	console, err := openConsole()
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		return job.MaxStatus
	}
	cmd := exec.Command("/init", superviseArg)
	cmd.Stdout, cmd.Stderr = console, console
	// A session of its own, so that a program's terminal signals stay there.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(console, "init: start supervisor:", err)
		return job.MaxStatus
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			fmt.Fprintln(console, "init: wait:", err)
			return job.MaxStatus
		}
		if pid == cmd.Process.Pid {
			drain(console)
			if ws.Exited() {
				return ws.ExitStatus()
			}
			return job.MaxStatus
		}
	}
}

// openConsole opens the output port in raw mode: bytes pass as they are.
func openConsole() (*os.File, error) {
	f, err := os.OpenFile(consolePath, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", consolePath, err)
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", consolePath, err)
	}
	return f, nil
}

// drain waits until the port has sent everything (tcdrain).
func drain(f *os.File) {
	// TCSBRK with a non-zero argument waits and sends no break.
	_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1)
}
