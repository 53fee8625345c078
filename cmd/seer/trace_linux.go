package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"seer/cmd/seer/top"
	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
	"seer/collector/feature"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

// trace is `seer run`: it opens everything before it measures anything, so
// that a wrong setting costs nothing, and closes in reverse order.
func trace(ctx context.Context, o *runOptions, logs io.Writer) (err error) {
	if o.top && !term.IsTerminal(int(os.Stdout.Fd())) {
		return usageError(errors.New("the display needs a terminal: use `seer run` without --top, or `seer top --once`"))
	}
	screen := &heldLog{to: logs, held: o.top}
	defer screen.release()
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: level}))

	closers := &closerStack{}
	defer func() { err = errors.Join(err, closers.close()) }()

	socket, err := api.Listen(o.socket)
	if err != nil {
		return startError(err)
	}
	closers.add(func() error { socket.Close(); return nil }) // Serve has closed it, if it ran
	var store tracedb.Store
	if o.db != noDB {
		db, err := embedded.Open(o.db, embedded.Options{MaxAge: time.Duration(o.keepAge), MaxBytes: uint64(o.keepBytes), Logger: log})
		if err != nil {
			return startError(err)
		}
		closers.add(db.Close)
		store = db
	}
	groupBy, err := container.ParseGroupBy(o.groupBy)
	if err != nil {
		return usageError(fmt.Errorf("--group-by: %w", err))
	}
	c, err := collector.New(collector.Config{
		Tick: o.tick, CPUBudget: float64(o.budget), GroupBy: groupBy, Exact: o.exact == "on", Logger: log,
	})
	if err != nil {
		return collectorError(err, o.verbose)
	}
	closers.add(c.Close)

	cfg := api.Config{Source: c, Version: version(), Tick: c.Tick(), GroupBy: o.groupBy, Log: log}
	sinks := []collector.Sink{}
	var recorder *tracedb.Recorder
	if store != nil {
		recorder = tracedb.NewRecorder(store, tracedb.RecorderOptions{Logger: log})
		sinks = append(sinks, recorder)
		cfg.Store = func() api.StoreStats { return storeStats(recorder) }
	}
	server := api.New(cfg)
	sinks = append(sinks, server)

	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if o.listen != "" {
		web, err := api.ListenWeb(o.listen)
		if err != nil {
			return startError(err)
		}
		closers.add(func() error { web.Close(); return nil })
		log.Info("serving metrics", "address", web.Addr().String())
		group.Go(func() error { return server.ServeWeb(ctx, web) })
	}
	if !o.keepCaps {
		if err := feature.Drop(feature.RunCapabilities()...); err != nil {
			return err
		}
	}
	group.Go(func() error { return server.Serve(ctx, socket) })
	if recorder != nil {
		group.Go(func() error { return recorder.Run(ctx) })
	}
	group.Go(func() error { return c.Run(ctx, sinks...) })
	log.Info("tracing", "version", version(), "tick", c.Tick(), "db", o.db, "socket", o.socket)
	if o.top {
		group.Go(func() error {
			defer stop() // quitting the display ends the run
			return topError(top.Run(ctx, topOptions(o), os.Stdout))
		})
	}
	err = group.Wait()
	log.Info("stopped")
	return err
}

func topOptions(o *runOptions) top.Options {
	opts := top.DefaultOptions()
	opts.Socket = o.socket
	return opts
}

// startError gives a setting that cannot be used the exit code of a failure.
func startError(err error) error { return fmt.Errorf("run: %w", err) }

// collectorError tells a kernel that lacks something from a setting that is
// wrong, and shows the verifier's whole log on demand.
func collectorError(err error, verbose bool) error {
	var rejected *ebpf.VerifierError
	if verbose && errors.As(err, &rejected) {
		err = fmt.Errorf("%w\n%+v", err, rejected) //nolint:errorlint // err wraps it; this is its log
	}
	if os.Geteuid() != 0 && (errors.Is(err, collector.ErrUnsupported) || errors.Is(err, os.ErrPermission)) {
		return kernelError(fmt.Errorf("run: needs root, or the capabilities of deploy/seer.service: try sudo: %w", err))
	}
	if errors.Is(err, collector.ErrUnsupported) {
		return kernelError(fmt.Errorf("run: %w: `seer doctor` says what is missing", err))
	}
	return fmt.Errorf("run: %w", err)
}

func storeStats(r *tracedb.Recorder) api.StoreStats {
	s := r.Stats()
	return api.StoreStats{
		Points: s.Points, Dropped: s.Dropped + s.Rejected, Written: s.Store.BytesWritten,
		DiskBytes: s.Store.DiskBytes, FreeBytes: s.Store.FreeBytes, Stalled: s.Store.Stalled,
	}
}

// closerStack closes what was opened, last first.
type closerStack struct{ closers []func() error }

func (s *closerStack) add(f func() error) { s.closers = append(s.closers, f) }

func (s *closerStack) close() (err error) {
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// heldLog keeps log lines back while the display owns the terminal, and writes
// the last of them when it is gone.
type heldLog struct {
	to   io.Writer
	mu   sync.Mutex
	held bool
	kept bytes.Buffer
}

const keptLog = 64 << 10

func (h *heldLog) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.held {
		return h.to.Write(p)
	}
	if h.kept.Len()+len(p) > keptLog {
		h.kept.Reset()
	}
	return h.kept.Write(p)
}

func (h *heldLog) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = false
	_, _ = h.kept.WriteTo(h.to)
}
