package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"seer/cmd/seer/top"
	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
	"seer/collector/feature"
	"seer/collector/qos"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

// trace is `seer run`: it opens everything before it measures anything, and
// closes in reverse order. The database comes last: what cannot start leaves
// none behind.
func trace(ctx context.Context, o *runOptions, logs io.Writer) (err error) {
	if o.top && !term.IsTerminal(int(os.Stdout.Fd())) {
		return usageError(errors.New("the display needs a terminal: use `seer run` without --top, or `seer top --once`"))
	}
	boundRuntime()
	screen := &heldLog{to: logs, held: o.top}
	defer screen.release()
	if err := checkPrivileges(); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: level}))

	closers := &closerStack{}
	defer func() { err = errors.Join(err, closers.close()) }()

	socket, err := api.Listen(o.socket)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	closers.add(func() error { socket.Close(); return nil }) // Serve has closed it, if it ran
	var web net.Listener
	if o.listen != "" {
		web, err = api.ListenWeb(o.listen)
		switch {
		case errors.Is(err, api.ErrPortInUse): // it says what to do
			return fmt.Errorf("run: %w", err)
		case err != nil:
			return fmt.Errorf("run: %w: give --listen an address of this host that seer may use", err)
		}
		closers.add(func() error { web.Close(); return nil }) // as above
	}
	groupBy, err := container.ParseGroupBy(o.groupBy)
	if err != nil {
		return usageError(fmt.Errorf("run: --group-by: %w", err))
	}
	streams, err := pickStreams(o.streams)
	if err != nil {
		return usageError(fmt.Errorf("run: %w", err))
	}
	c, err := collector.New(collector.Config{
		Tick: o.tick, CPUBudget: float64(o.budget), GroupBy: groupBy, Logger: log,
		Streams: streams, NameSamples: nameSamples(o.names),
	})
	if err != nil {
		showVerifierLog(screen, err, o.verbose)
		return fmt.Errorf("run: %w", collectorError(err))
	}
	closers.add(c.Close)
	if err := chooseExact(c, o); err != nil {
		return usageError(fmt.Errorf("run: %w", err))
	}
	var store tracedb.Store
	if o.db != noDB {
		db, err := embedded.Open(o.db, embedded.Options{MaxAge: time.Duration(o.keepAge), MaxBytes: uint64(o.keepBytes), Logger: log})
		if err != nil {
			return fmt.Errorf("run: %w", databaseError(err))
		}
		closers.add(db.Close)
		store = db
	}

	cfg := api.Config{Source: c, Version: version(), Tick: c.Tick(), GroupBy: o.groupBy, Log: log}
	sinks := []collector.Sink{}
	var recorder *tracedb.Recorder
	if store != nil {
		recorder = tracedb.NewRecorder(store, tracedb.RecorderOptions{Logger: log})
		sinks = append(sinks, recorder)
		cfg.Store = func() api.StoreStats { return storeStats(recorder) }
	}
	promises, err := newPromises(ctx, o, c, store, log)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	cfg.Promises = promises
	sinks = append(sinks, promises)
	server := api.New(cfg)
	sinks = append(sinks, server)

	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if web != nil {
		log.Info("serving metrics", "address", web.Addr().String())
		group.Go(func() error { return server.ServeWeb(ctx, web) })
	}
	if !o.keepCaps {
		keep := feature.RunCapabilities()
		if streams != nil {
			keep = append(keep, cap.NET_ADMIN) // to attach to the cgroups of containers that come later
		}
		if err := feature.Drop(keep...); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	group.Go(func() error { return server.Serve(ctx, socket) })
	if recorder != nil {
		group.Go(func() error { return recorder.Run(ctx) })
	}
	group.Go(func() error { return promises.Run(ctx) })
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
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// chooseExact says whose requests are counted exactly: whom --exact names or, with
// auto, the services that a promise is about or, without any, those that users call.
func chooseExact(c *collector.Collector, o *runOptions) error {
	pick, err := pickExact(o.exact)
	if err != nil {
		return err
	}
	switch {
	case o.exact != "auto":
		c.CountExactly("operator", pick)
	case len(o.qos) == 0:
		c.CountEntries()
	default:
		c.CountExactly("promise", func(c *container.Container) bool {
			return slices.ContainsFunc(o.qos, func(t qos.Target) bool { return t.Service == c.Service })
		})
	}
	return nil
}

// newPromises returns what watches QoS targets. Where no request is counted nothing
// can be watched.
func newPromises(ctx context.Context, o *runOptions, c *collector.Collector, store tracedb.Store, log *slog.Logger) (*qos.Sink, error) {
	opts := qos.SinkOptions{Targets: o.qos, Logger: log}
	opts.Edges = func(context.Context) ([]collector.Edge, error) {
		live := c.Graph()
		edges := make([]collector.Edge, len(live))
		for i := range live {
			edges[i] = live[i].Edge
		}
		return edges, nil
	}
	if store != nil {
		if err := opts.Load(ctx, store); err != nil {
			return nil, newerDatabase(err, o.db)
		}
	}
	switch {
	case o.exact == "off" && len(o.qos) > 0:
		log.Warn("targets are not watched: --exact off counts no requests", "qos", o.qos.String())
	case o.exact != "off" && len(o.qos) == 0:
		log.Info("no --qos: a target is learned for each service that users call, from five minutes of nominal latency")
	}
	return qos.NewSink(opts), nil
}

func topOptions(o *runOptions) top.Options {
	opts := top.DefaultOptions()
	opts.Socket = o.socket
	return opts
}

// checkPrivileges refuses to start without the capabilities that every BPF
// program needs. The kernel would only say EPERM, as it does for other reasons.
func checkPrivileges() error {
	lacking, err := lackingCapabilities(cap.BPF, cap.PERFMON)
	if err != nil || len(lacking) == 0 {
		return err
	}
	return kernelError(fmt.Errorf("needs root, or at least %s: use sudo, or grant the capabilities that deploy/seer.service lists",
		strings.Join(lacking, " and ")))
}

// lackingCapabilities names those of wanted that this process does not have.
func lackingCapabilities(wanted ...cap.Value) (lacking []string, err error) {
	held := cap.GetProc()
	for _, v := range wanted {
		own, err := held.GetFlag(cap.Effective, v)
		// Before Linux 5.8 CAP_SYS_ADMIN stood for these two; it still does.
		admin, adminErr := held.GetFlag(cap.Effective, cap.SYS_ADMIN)
		if err := errors.Join(err, adminErr); err != nil {
			return nil, fmt.Errorf("read capabilities: %w", err)
		}
		if !own && !(admin && (v == cap.BPF || v == cap.PERFMON)) {
			lacking = append(lacking, strings.ToUpper(v.String()))
		}
	}
	return lacking, nil
}

// collectorError tells a kernel that lacks something from what else may fail.
func collectorError(err error) error {
	if errors.Is(err, collector.ErrUnsupported) {
		return kernelError(fmt.Errorf("%w: `seer doctor` says what is missing", err))
	}
	return err
}

// databaseError says what to do where the database's directory cannot be made,
// or has no room.
func databaseError(err error) error {
	if errors.Is(err, tracedb.ErrDiskFull) { // it ends with what else to do
		return fmt.Errorf("%w, choose another directory with --db, or --db none to record nothing", err)
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "mkdir" {
		return fmt.Errorf("%w: choose another directory with --db, or --db none to record nothing", err)
	}
	return err
}

// showVerifierLog writes all that the kernel's verifier said, if it did.
func showVerifierLog(to io.Writer, err error, verbose bool) {
	var rejected *ebpf.VerifierError
	if verbose && errors.As(err, &rejected) {
		fmt.Fprintf(to, "%+v\n", rejected)
	}
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
