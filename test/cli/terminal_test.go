//go:build linux

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// TestBareSeer: without a command it traces this host and shows it, until q.
func TestBareSeer(t *testing.T) {
	t.Parallel()
	master, slave := pseudoTerminal(t)
	dir := t.TempDir()
	i := newInstance(t, dir)
	cmd := command(t)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "SEER_DB="+i.db, "SEER_SOCKET="+i.socket)
	cmd.Stdin, cmd.Stdout = slave, slave
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	i.start(cmd)

	var screen logBuffer
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 32<<10)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return // the last slave was closed (EIO)
			}
			screen.Write(buf[:n])
		}
	}()
	lab.Wait(t, "the table", func() (bool, string) {
		if i.ended() {
			t.Fatalf("seer ended: %v: %s", i.cmd.ProcessState, i.log.String())
		}
		return strings.Contains(screen.String(), "CONTAINER"), fmt.Sprintf("%.500q", screen.String())
	})
	if i.log.String() != "" {
		t.Errorf("it logged over the display: %s", i.log.String())
	}
	if len(i.queues()) == 0 {
		t.Error("it does not answer while it shows")
	}
	if _, err := os.Stat(filepath.Join(i.db, "LOCK")); err != nil {
		t.Errorf("it does not record: %v", err)
	}
	if _, err := master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, "q to end it", func() (bool, string) { return i.ended(), i.log.String() })
	if i.cmd.ProcessState.ExitCode() != exitOK {
		t.Errorf("%v", i.cmd.ProcessState)
	}
	if log := i.log.String(); !strings.Contains(log, "msg=tracing") || !strings.Contains(log, "msg=stopped") || strings.Contains(log, "seer: ") {
		t.Errorf("the log, once the terminal is free, says: %s", log)
	}
	slave.Close()
	<-drained
}

// pseudoTerminal opens a pty pair (pty(7)) of 80 columns and 24 lines.
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
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}
