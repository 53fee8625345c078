package load

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pacer sleeps to within 0.1 ms, by a timerfd: Go's own timers end up to a
// millisecond late while the program has nothing else to do.
type pacer struct {
	f    *os.File
	ctx  context.Context
	stop func() bool
}

func newPacer(ctx context.Context) (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd")
	return &pacer{f, ctx, context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })}, nil
}

func (p *pacer) sleep(d time.Duration) error {
	if d <= 0 {
		return p.ctx.Err()
	}
	raw, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	err = nil
	if cerr := raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	var expirations [8]byte
	_, err = p.f.Read(expirations[:])
	return err
}

func (p *pacer) close() {
	p.stop()
	p.f.Close()
}
