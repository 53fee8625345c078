//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// receiveQueueScript is how one asks bpftrace for receive queues: at each
// receive, how much is still unread. The interval is attached last, and so says
// when the rest is: "Attaching", which bpftrace prints itself, comes before.
const receiveQueueScript = `
tracepoint:sock:sock_recv_length
{
	$tp = (struct tcp_sock *)args->sk;
	@receive_queue[comm] = hist($tp->rcv_nxt - $tp->copied_seq);
}
interval:ms:100
{
	printf("attached\n");
}
`

const (
	peerAttaches = 20 * time.Second // most that it may take to compile and attach
	peerLeaves   = 10 * time.Second // and to detach, before it is killed
)

// bpftraceWorkload runs the peer.
func bpftraceWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	runtime.LockOSThread()
	mount := sync.OnceValue(mountTracefs)
	var p *peer
	return w.Serve(map[string]lab.Handler{
		"on": lab.Handle(func(any) (_ any, err error) {
			if err := mount(); err != nil {
				return nil, err
			}
			p, err = startPeer()
			return nil, err
		}),
		"off": lab.Handle(func(any) (any, error) { return nil, p.stop() }),
	})
}

// mountTracefs mounts tracefs, where bpftrace finds tracepoints, in a mount
// namespace of this thread and its children.
func mountTracefs() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount tracefs: %w", err)
	}
	return nil
}

// peer is a bpftrace that runs.
type peer struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{} // closed when the process is gone; stderr is whole then
}

// startPeer returns once the script is attached.
func startPeer() (*peer, error) {
	p := &peer{cmd: exec.Command("bpftrace", "-e", receiveQueueScript), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	attached := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "attached" {
				close(attached)
				break
			}
		}
		io.Copy(io.Discard, out)
		p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case <-attached:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("bpftrace ended before it attached: %s: %s", p.cmd.ProcessState, p.complaint())
	case <-time.After(peerAttaches):
		p.cmd.Process.Kill()
		<-p.ended
		return nil, fmt.Errorf("bpftrace did not attach within %v: %s", peerAttaches, p.complaint())
	}
}

// stop returns once nothing is attached any more. Programs go with the process
// that holds them, so it does not matter if it has to be killed. An interrupt
// that comes while bpftrace attaches is lost to it, hence more than one.
func (p *peer) stop() error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	late := time.After(peerLeaves)
	for {
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-p.ended:
			return nil
		case <-again.C:
		case <-late:
			p.cmd.Process.Kill()
			<-p.ended
			return nil
		}
	}
}

// complaint is the last thing that bpftrace said. That it may not raise
// RLIMIT_MEMLOCK is not the reason for anything: since Linux 5.11 the limit does
// not hold for BPF.
func (p *peer) complaint() string {
	last := "it gave no reason"
	for line := range strings.Lines(p.stderr.String()) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.Contains(line, "RLIMIT_MEMLOCK") {
			last = line
		}
	}
	return last
}
