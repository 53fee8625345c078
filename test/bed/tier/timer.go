package tier

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// timers lets goroutines wait to within 0.1 ms. Go's own timers end up to a
// millisecond late in a process that is otherwise idle, as its poller waits in
// whole milliseconds; and a thread that sleeps in the kernel would take a
// processor of Go's with it. A timerfd is a file that becomes readable.
type timers struct {
	mu   sync.Mutex
	idle []*os.File
}

func (t *timers) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	f, err := t.get()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	if err := set(f, &spec); err != nil {
		f.Close()
		return fmt.Errorf("set timer: %w", err)
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })()
	}
	var expirations [8]byte
	if _, err := f.Read(expirations[:]); err != nil {
		f.Close()
		return context.Cause(ctx)
	}
	t.mu.Lock()
	t.idle = append(t.idle, f)
	t.mu.Unlock()
	return nil
}

func (t *timers) get() (*os.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		f := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return f, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	return os.NewFile(uintptr(fd), "timerfd"), nil
}

func set(f *os.File, spec *unix.ItimerSpec) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, spec, nil) })
	if err != nil {
		return err
	}
	return failed
}
