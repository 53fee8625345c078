//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// receiveQueueScript is how one asks bpftrace for receive queues: at each
// receive, how much is still unread.
const receiveQueueScript = `
tracepoint:sock:sock_recv_length
{
	$tp = (struct tcp_sock *)args->sk;
	@receive_queue[comm] = hist($tp->rcv_nxt - $tp->copied_seq);
}
`

// bpftraceWorkload runs the peer. bpftrace finds tracepoints in tracefs, which
// is mounted for it alone, in a mount namespace of this thread and its
// children.
func bpftraceWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil && err != unix.EBUSY {
		return fmt.Errorf("mount tracefs: %w", err)
	}
	var peer *exec.Cmd
	return w.Serve(map[string]lab.Handler{
		"on": lab.Handle(func(any) (any, error) {
			peer = exec.Command("bpftrace", "-e", receiveQueueScript)
			peer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			out, err := peer.StdoutPipe()
			if err != nil {
				return nil, err
			}
			peer.Stderr = os.Stderr
			if err := peer.Start(); err != nil {
				return nil, err
			}
			lines := bufio.NewReader(out)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return nil, fmt.Errorf("bpftrace ended before it attached: %w", err)
				}
				if strings.HasPrefix(line, "Attaching") {
					go io.Copy(io.Discard, lines)
					return nil, nil
				}
			}
		}),
		"off": lab.Handle(func(any) (any, error) {
			if err := peer.Process.Signal(os.Interrupt); err != nil {
				return nil, err
			}
			return nil, peer.Wait()
		}),
	})
}
