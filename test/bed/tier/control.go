package tier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// Stats is what a tier knows of itself.
type Stats struct {
	Name    string `json:"name"`
	Service string `json:"service"`
	NowNS   int64  `json:"now_ns"` // Unix time

	// Outstanding are requests read and not answered.
	Outstanding Level `json:"outstanding"`
	Ended       Ended `json:"ended"`

	// Unread is how many connections have a request that waits for a worker:
	// it is in the socket still.
	Unread int64 `json:"unread"`

	Async        int64 `json:"async"`         // calls under way that nobody waits for
	AsyncRefused int64 `json:"async_refused"` // ever
	SpunNS       int64 `json:"spun_ns"`       // CPU time that steps asked for, ever

	Peers map[string]PeerStats `json:"peers"`
	Fault *Fault               `json:"fault,omitempty"`
}

// Ended counts how requests or calls ended, ever.
type Ended struct {
	OK       int64 `json:"ok"`
	Errors   int64 `json:"errors"`
	Timeouts int64 `json:"timeouts"`
}

// PeerStats is what a tier knows of the calls to a peer.
type PeerStats struct {
	Downstream Level `json:"downstream"` // sent and not answered
	Ended      Ended `json:"ended"`
	Waiting    int64 `json:"waiting"` // for a free connection
}

func (c *counts) read() Ended { return Ended{c.ok.Load(), c.errors.Load(), c.timeouts.Load()} }

func (t *tier) stats() Stats {
	s := Stats{
		Name:         t.cfg.Name,
		Service:      t.cfg.Service.Name,
		NowNS:        time.Now().UnixNano(),
		Outstanding:  t.served.read(),
		Ended:        t.counts.read(),
		Unread:       t.server.Unread.Load(),
		Async:        t.async.Load(),
		AsyncRefused: t.asyncRefused.Load(),
		SpunNS:       t.worker.spunNS.Load(),
		Peers:        map[string]PeerStats{},
	}
	for name, p := range t.peers {
		s.Peers[name] = PeerStats{p.calls.read(), p.counts.read(), p.asleep.Load()}
	}
	if a := t.fault.Load(); a != nil {
		s.Fault = &a.Fault
	}
	return s
}

// serveControl answers on the control socket until the context is done.
func (t *tier) serveControl(ctx context.Context, path string) error {
	// What is left of a tier that was killed.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(t.stats())
	})
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		err := json.NewDecoder(r.Body).Decode(&f)
		var a *activeFault
		if err == nil {
			a, err = t.newFault(f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t.setFault(a)
	})
	mux.HandleFunc("DELETE /fault", func(http.ResponseWriter, *http.Request) { t.setFault(nil) })
	server := &http.Server{Handler: mux}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}
