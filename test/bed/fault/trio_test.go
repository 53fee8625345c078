//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/load"
)

// trio is an application of three services in a row, up and under load.
type trio struct {
	t   *testing.T
	bed *bed.Bed
	*traffic
}

// traffic is what users have seen.
type traffic struct {
	mu      sync.Mutex
	answers []campaign.Request
	more    chan struct{} // closed and replaced with every answer
	series  []depths
}

// in returns the same application for a part of a test.
func (x *trio) in(t *testing.T) *trio { return &trio{t, x.bed, x.traffic} }

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
	return &trio{t, b, &traffic{more: make(chan struct{})}}
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
	failed   float64 // share
	growth   growth
}

// growth is by how much a counter of each service grew per request.
type growth map[string]float64

func (g growth) String() string {
	var words []string
	for _, service := range slices.Sorted(maps.Keys(g)) {
		words = append(words, fmt.Sprintf("%s %.2f", service, g[service]))
	}
	return strings.Join(words, ", ")
}

// observe watches n requests and, unless it is nil, a counter of each service.
func (x *trio) observe(n int, counter func(*trio, *bed.Container) float64) period {
	x.t.Helper()
	p := period{growth: growth{}}
	containers := x.bed.Containers()
	if counter != nil {
		for i := range containers {
			p.growth[containers[i].Service] -= counter(x, &containers[i])
		}
	}
	answers := x.take(n)
	if counter != nil {
		for i := range containers {
			p.growth[containers[i].Service] += counter(x, &containers[i])
			p.growth[containers[i].Service] /= float64(n)
		}
	}
	var ms []float64
	for _, a := range answers {
		ms = append(ms, float64(a.LatencyUS)/1000)
		if a.Status != string(campaign.StatusOK) {
			p.failed += 1 / float64(n)
		}
	}
	slices.Sort(ms)
	p.p50, p.p95 = ms[len(ms)/2], ms[len(ms)*95/100]
	return p
}

// recover waits until requests are answered as they were.
func (x *trio) recover(nominal period) {
	x.t.Helper()
	end := time.Now().Add(deadline)
	for {
		p := x.observe(60, nil)
		if p.failed == 0 && p.p95 < 2*nominal.p95+20 {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("%s after the end of the fault p95 is %.1f ms and %.0f %% of the requests fail, want it as before: %.1f ms", deadline, p.p95, p.failed*100, nominal.p95)
		}
	}
}
