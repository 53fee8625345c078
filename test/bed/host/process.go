//go:build linux

package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process is a program running in a container.
type Process struct {
	PID   int
	Start uint64 // clock ticks since boot: with PID it names one process for ever

	cmd  *exec.Cmd
	done chan struct{} // closed once it has been reaped
	err  error         // of cmd.Wait, once done is closed
}

// newProcess follows a command that has been started.
func newProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, done: make(chan struct{})}
	start, err := startTime(p.PID)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	p.Start = start
	return p, err
}

// errEnded is what is known of the end of a process that is not our child.
var errEnded = errors.New("it has ended")

// adopt follows a process that is not our child.
func adopt(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	start, err := startTime(pid)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	p := &Process{PID: pid, Start: start, cmd: &exec.Cmd{Process: process}, err: errEnded, done: make(chan struct{})}
	go func() {
		defer unix.Close(fd)
		// Readable once it has ended (pidfd_open(2)).
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(poll, -1); err != unix.EINTR {
				break
			}
		}
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process. The error is that of [exec.Cmd.Wait],
// and for one that was adopted not nil.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal, unless the process has ended.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Alive says whether a process with this id and start time runs; one that has
// ended and waits to be reaped does not.
func Alive(pid int, start uint64) bool {
	state, began, err := readStat(pid)
	return err == nil && began == start && state != 'Z' && state != 'X'
}

func startTime(pid int) (uint64, error) {
	_, start, err := readStat(pid)
	return start, err
}

// readStat reads state and start time, fields 3 and 22 of /proc/PID/stat; the
// second field is a name in parentheses that may contain anything.
func readStat(pid int) (state byte, start uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: %d fields after the name, want 20", pid, len(f))
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	return f[0][0], start, err
}

// kill ends one process, known by its start time too.
func kill(pid int, start uint64) {
	// A descriptor names one process even if its id is given to another.
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if began, err := startTime(pid); err == nil && began == start {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}
