package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"seer/collector/container"
)

// Bounds on what clients of the control socket may take.
const (
	maxRequests    = 16               // answered at the same time, streams apart
	maxHeaderBytes = 16 << 10         // of one request
	answerTimeout  = 30 * time.Second // to work out and send one answer
	firstTickWait  = 5 * time.Second  // for a Seer that has only just started
)

// Info says which Seer answers (GET /v1/).
type Info struct {
	Schema  int       `json:"schema"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	TickMS  float64   `json:"tick_ms"` // as configured
	GroupBy string    `json:"group_by"`
	Objects []string  `json:"objects"`
}

func (s *Server) info() Info {
	info := Info{
		Schema: Schema, Version: s.cfg.Version, Started: s.cfg.Started,
		TickMS: milliseconds(s.cfg.Tick), GroupBy: s.cfg.GroupBy,
	}
	for _, o := range Objects {
		info.Objects = append(info.Objects, o.Name)
	}
	return info
}

// Serve answers on the control socket that Listen opened, until ctx ends. It
// closes l. Streams end with ctx.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/{$}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, s.info())
	})
	slots := make(chan struct{}, maxRequests)
	mux.HandleFunc("GET /v1/{object}", func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, fmt.Sprintf("%d requests are being answered: try again", maxRequests), http.StatusServiceUnavailable)
			return
		}
		s.serveObject(w, r)
	})
	mux.HandleFunc("GET /v1/stream", s.serveStream)
	mux.HandleFunc("POST /v1/label", s.serveLabel)
	return serveUntil(ctx, l, &http.Server{
		Handler:     authorise(mux, os.Geteuid()),
		ConnContext: withPeer,
	})
}

// serveUntil serves on l with the bounds that all of Seer's servers share,
// until ctx ends. Requests still running then are given half a second.
func serveUntil(ctx context.Context, l net.Listener, srv *http.Server) error {
	srv.ReadHeaderTimeout = 5 * time.Second
	srv.IdleTimeout = time.Minute
	srv.MaxHeaderBytes = maxHeaderBytes
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if stop() { // not cancelled: the listener broke
		srv.Close()
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	<-stopped
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

type peerKey struct{}

// withPeer notes who connected, once per connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	uid, err := peerUID(conn)
	if err != nil {
		uid = -1
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// authorise lets in root and the user that Seer runs as.
func authorise(next http.Handler, own int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(int)
		if !ok || uid != 0 && uid != own {
			http.Error(w, fmt.Sprintf("user %d may not ask this seer: run as root, or as user %d", uid, own), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) serveObject(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	name := r.PathValue("object")
	object, ok := ObjectByName(name)
	if !ok {
		http.Error(w, fmt.Sprintf("object %q: unknown", name), http.StatusNotFound)
		return
	}
	sel, err := selectorFrom(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if needsTick(object) && !s.waitForTick(ctx) {
		http.Error(w, ErrNoTick.Error()+": seer has only just started, or its collector stands still", http.StatusServiceUnavailable)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json")
	if err := s.writeDocument(ctx, w, name, sel); err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, container.ErrAmbiguous) {
			code = http.StatusConflict
		}
		// Had rows been written already, this only ends a broken answer.
		http.Error(w, err.Error(), code)
		s.cfg.Log.Debug("answer", "object", name, "error", err)
	}
}

// waitForTick waits a little for the first tick.
func (s *Server) waitForTick(ctx context.Context) bool {
	timer := time.NewTimer(firstTickWait)
	defer timer.Stop()
	select {
	case <-s.ticked:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
}
