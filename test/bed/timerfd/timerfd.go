// Package timerfd waits to within 0.1 ms. Go's own timers end up to a millisecond
// late in a process that is otherwise idle, as its poller waits in whole
// milliseconds; and a thread that sleeps in the kernel would take a processor of
// Go's with it. A timerfd is a file that becomes readable in time.
package timerfd

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Timer is for one Wait at a time.
type Timer struct {
	f *os.File
}

// New returns a timer, to be closed.
func New() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	return &Timer{os.NewFile(uintptr(fd), "timerfd")}, nil
}

// Wait returns after d, never sooner, or with the context's error once that is
// done. After an error the timer is of no more use.
func (t *Timer) Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	raw, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { t.f.SetReadDeadline(time.Unix(1, 0)) })()
	}
	var expirations [8]byte
	if _, err := t.f.Read(expirations[:]); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("read timer: %w", err)
	}
	return nil
}

// Close frees the timer.
func (t *Timer) Close() error { return t.f.Close() }
