package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ErrPortInUse is returned by ListenWeb.
var ErrPortInUse = errors.New("port in use")

// scrapeTimeout bounds reading a request and writing its answer.
const scrapeTimeout = 10 * time.Second

const indexPage = `<!doctype html>
<html lang="en"><title>Seer</title>
<h1>Seer %s</h1>
<ul>
<li><a href="/metrics">/metrics</a>: queues, and what Seer itself costs, for Prometheus
<li><a href="/healthz">/healthz</a>: this process answers
<li><a href="/readyz">/readyz</a>: ticks are being taken
</ul>
`

// MetricsHandler serves the metrics of this server, of the Go runtime and of
// the process, in a registry of their own.
func (s *Server) MetricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newMetrics(s),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: 4,
		Timeout:             scrapeTimeout,
	})
}

// WebHandler serves everything that `run --listen` offers: /metrics,
// /healthz, /readyz and an index of them.
func (s *Server) WebHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.MetricsHandler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, indexPage, s.cfg.Version)
	})
	return mux
}

// ready returns why no current data can be served, or nil.
func (s *Server) ready(now time.Time) error {
	f := s.frames.acquire()
	if f == nil {
		return ErrNoTick
	}
	defer s.frames.release(f)
	if age, limit := now.Sub(f.end), 3*s.cfg.Tick+time.Second; age > limit {
		return fmt.Errorf("last tick ended %s ago, more than %s", age.Round(time.Millisecond), limit)
	}
	return nil
}

// ListenWeb opens the address for WebHandler, HOST:PORT. An empty host means
// this machine only: metrics name the host's containers, so listening
// elsewhere has to be asked for ("0.0.0.0:9400").
func ListenWeb(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: want HOST:PORT, such as 127.0.0.1:9400: %w", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %w: stop what holds it (ss -ltnp), or use another port with --listen: %w", address, ErrPortInUse, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// ServeWeb serves WebHandler on l until ctx ends. It closes l.
func (s *Server) ServeWeb(ctx context.Context, l net.Listener) error {
	return serveUntil(ctx, l, &http.Server{
		Handler:      s.WebHandler(),
		ReadTimeout:  scrapeTimeout,
		WriteTimeout: 2 * scrapeTimeout,
	})
}
