//go:build linux

package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/load"
	"seer/test/bed/tier"
)

// trio is an application of three services in a row, up and under load.
type trio struct {
	t   *testing.T
	bed *bed.Bed

	mu      sync.Mutex
	answers []campaign.Request
	more    chan struct{} // closed and replaced with every answer
}

// deadline bounds every wait.
const deadline = time.Minute

// upTrio starts the trio. It is taken down at the end of the test.
func upTrio(t *testing.T) *trio {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	app, err := topology.Load("testdata/trio.yaml")
	if err != nil {
		t.Fatal(err)
	}
	app.Name = fmt.Sprintf("fault-%d", os.Getpid())
	// Not t.TempDir, which only root may enter.
	dir, err := os.MkdirTemp("", "seer-fault-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := bed.Options{State: filepath.Join(dir, "state"), Data: filepath.Join(dir, "data")}
	b, err := bed.Up(t.Context(), app, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := b.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	return &trio{t: t, bed: b, more: make(chan struct{})}
}

// load sends the nominal load until the test ends.
func (x *trio) load() {
	x.t.Helper()
	plan, err := campaign.NewPlan(x.bed.App, 1, time.Hour, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		x.t.Fatal(err)
	}
	router := host.Namespace{Path: x.bed.RouterNetns()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := load.Run(ctx, load.Config{
			Plan:    plan,
			Entries: map[string]load.Entry{"front": {Protocol: topology.ProtocolHTTP, Addrs: x.bed.Entry("front")}},
			Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return router.Dial(ctx, netip.MustParseAddrPort(addr))
			},
			Timeout: 2 * time.Second,
			Record: func(r campaign.Request) error {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.answers = append(x.answers, r)
				close(x.more)
				x.more = make(chan struct{})
				return nil
			},
		})
		ended <- err
	}()
	x.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			x.t.Errorf("load: %v", err)
		}
	})
}

// take returns the next n requests to end.
func (x *trio) take(n int) []campaign.Request {
	x.t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	x.mu.Lock()
	first := len(x.answers)
	x.mu.Unlock()
	for {
		x.mu.Lock()
		answers, more := x.answers[first:], x.more
		x.mu.Unlock()
		if len(answers) >= n {
			return slices.Clone(answers[:n])
		}
		select {
		case <-more:
		case <-timeout.C:
			x.t.Fatalf("%d of %d requests ended within %s", len(answers), n, deadline)
		}
	}
}

// period is what was seen over some requests.
type period struct {
	p50, p95 float64 // latency in ms
	failed   int
	at       map[string]float64 // mean number of requests at a service, see below
	run      map[string]float64 // CPUs that a service used
}

// observe watches n requests.
func (x *trio) observe(n int) period {
	x.t.Helper()
	before := x.stats()
	answers := x.take(n)
	after := x.stats()

	p := period{at: map[string]float64{}, run: map[string]float64{}}
	var ms []float64
	for _, a := range answers {
		ms = append(ms, float64(a.LatencyUS)/1000)
		if a.Status != string(campaign.StatusOK) {
			p.failed++
		}
	}
	slices.Sort(ms)
	p.p50, p.p95 = ms[len(ms)/2], ms[len(ms)*95/100]

	// A request is at a service from the moment at which its caller sends it,
	// through the link, the socket and the program, but not while the service
	// waits for another's answer. It also is at a service that would call
	// another and has no connection left. Areas under the numbers make the
	// means exact.
	elapsed := float64(after["front"].NowNS - before["front"].NowNS)
	sent := func(from, to string) float64 {
		return float64(after[from].Peers[to].Downstream.AreaNS-before[from].Peers[to].Downstream.AreaNS) / elapsed
	}
	front := float64(after["front"].Outstanding.AreaNS-before["front"].Outstanding.AreaNS) / elapsed
	p.at["front"] = front - sent("front", "middle")
	p.at["middle"] = sent("front", "middle") - sent("middle", "back")
	p.at["back"] = sent("middle", "back")
	return p
}

// stats asks every service, by its control socket.
func (x *trio) stats() map[string]tier.Stats {
	x.t.Helper()
	all := map[string]tier.Stats{}
	for _, c := range x.bed.Containers() {
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", c.Control)
			},
		}}
		answer, err := client.Get("http://tier/stats")
		if err != nil {
			x.t.Fatal(err)
		}
		var s tier.Stats
		err = json.NewDecoder(answer.Body).Decode(&s)
		answer.Body.Close()
		if err != nil {
			x.t.Fatal(err)
		}
		all[c.Service] = s
	}
	return all
}

// recover waits until requests are answered as they were.
func (x *trio) recover(nominal period) {
	x.t.Helper()
	end := time.Now().Add(deadline)
	for {
		p := x.observe(60)
		if p.failed == 0 && p.p95 < 2*nominal.p95+10 {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("%s after the end of the fault p95 is %.1f ms and %d of 60 requests fail, want it as before: %.1f ms", deadline, p.p95, p.failed, nominal.p95)
		}
	}
}
