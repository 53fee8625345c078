package top

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a pty pair (pty(7)) of 100 columns and 20 lines.
func pseudoTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestTerminalIsRestored runs top on a real terminal and ends it in each way
// there is: the terminal must be as it was, and the exit status 0.
func TestTerminalIsRestored(t *testing.T) {
	const (
		enter = "\x1b[?1049h" // alternate screen on and off, xterm
		leave = "\x1b[?1049l"
	)
	tests := []struct {
		name string
		end  func(master *os.File, p *os.Process) error
	}{
		{"SIGTERM", func(_ *os.File, p *os.Process) error { return p.Signal(syscall.SIGTERM) }},
		{"SIGHUP", func(_ *os.File, p *os.Process) error { return p.Signal(syscall.SIGHUP) }},
		{"q", func(m *os.File, _ *os.Process) error { _, err := m.WriteString("q"); return err }},
		{"ctrl-c", func(m *os.File, _ *os.Process) error { _, err := m.WriteString("\x03"); return err }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			master, slave := pseudoTerminal(t)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-demo", "12")
			cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
			defer kill.Stop()

			screen := newTranscript(master)
			if !screen.waitFor("redis-2") {
				t.Fatalf("no table within %v: %q", deadline, screen.text())
			}
			if err := tt.end(master, cmd.Process); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("top ended with %v", err)
			}
			if !screen.waitFor(leave) {
				t.Error("the alternate screen was not left")
			}
			if got := screen.text(); !strings.Contains(got, enter) || strings.LastIndex(got, leave) < strings.LastIndex(got, enter) {
				t.Error("the alternate screen was entered after it was left")
			}
			after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Errorf("terminal settings are %+v, were %+v", *after, *before)
			}
			slave.Close()
			screen.wait()
		})
	}
}

// transcript collects what a program writes to its terminal.
type transcript struct {
	chunks chan []byte
	seen   bytes.Buffer
}

// newTranscript reads master until the last slave is closed.
func newTranscript(master *os.File) *transcript {
	tr := &transcript{chunks: make(chan []byte, 1024)}
	go func() {
		defer close(tr.chunks)
		for {
			b := make([]byte, 32<<10)
			n, err := master.Read(b)
			if err != nil {
				return
			}
			tr.chunks <- b[:n]
		}
	}()
	return tr
}

func (tr *transcript) text() string { return tr.seen.String() }

// waitFor reports whether text was written before the deadline.
func (tr *transcript) waitFor(text string) bool {
	limit := time.After(deadline)
	for !strings.Contains(tr.text(), text) {
		select {
		case b, ok := <-tr.chunks:
			if !ok {
				return false
			}
			tr.seen.Write(b)
		case <-limit:
			return false
		}
	}
	return true
}

// wait returns when nothing more can be written.
func (tr *transcript) wait() {
	for range tr.chunks {
	}
}
