//go:build linux

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/servers"
	"seer/test/bed/tier"
)

// The test binary is also the tiers' program.
func TestMain(m *testing.M) {
	host.Launch()
	if len(os.Args) != 4 || os.Args[1] != "tier" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := tier.LoadConfig(os.Args[3])
	if err == nil {
		err = tier.Main(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// everything calls every endpoint of every real server, once per request.
const everything = `
schema: 1
name: NAME
qos: [{service: balancer, percentile: 99, target: 1s}]
requests: [{name: all, weight: 1, call: balancer.all}]
load: {rate: 40, connections: 4}
services:
  - {name: balancer, kind: nginx, endpoints: {all: [{call: front.all, timeout: 4s}]}}
  - name: front
    kind: app
    protocol: http
    endpoints:
      all:
        - parallel:
            - {call: stores.caches, timeout: 4s}
            - {call: stores.databases, timeout: 4s}
            - {call: stores.queue, timeout: 4s}
        - work: {reply: 1KiB}
  - name: stores
    kind: app
    protocol: thrift
    workers: 16
    endpoints:
      caches:
        - cache: {call: memcached.get, hit: 0.5, miss: [{call: redis.get}], fill: memcached.set}
        - {call: memcached.get}
        - {call: memcached.set}
        - {call: redis.get}
        - {call: redis.set}
        - {call: redis.push}
        - {call: redis.range}
      databases:
        - {call: postgresql.query, timeout: 4s}
        - {call: postgresql.insert, timeout: 4s}
        - {call: postgresql.update, timeout: 4s}
        - {call: mariadb.query, timeout: 4s}
        - {call: mariadb.insert, timeout: 4s}
        - {call: mariadb.update, timeout: 4s}
      queue:
        - {call: rabbitmq.publish, timeout: 4s}
        - {call: rabbitmq.consume, timeout: 4s}
  - {name: memcached, kind: memcached, endpoints: {get: [{work: {cpu: 10us, reply: 2KiB}}], set: [{work: {cpu: 10us}}]}}
  - {name: redis, kind: redis, endpoints: {get: [{work: {cpu: 10us, reply: 1KiB}}], set: [{work: {cpu: 10us}}], push: [{work: {cpu: 10us}}], range: [{work: {cpu: 10us}}]}}
  - {name: postgresql, kind: postgresql, endpoints: {query: [{work: {cpu: 10us, reply: 1KiB}}], insert: [{work: {cpu: 10us}}], update: [{work: {cpu: 10us}}]}}
  - {name: mariadb, kind: mariadb, endpoints: {query: [{work: {cpu: 10us}}], insert: [{work: {cpu: 10us}}], update: [{work: {cpu: 10us}}]}}
  - {name: rabbitmq, kind: rabbitmq, endpoints: {publish: [{work: {cpu: 10us}}], consume: [{work: {cpu: 10us}}]}}
`

// TestRealServers loads tiers that call every real server in every way, in
// containers, and requires that no request is lost or fails.
func TestRealServers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	name := fmt.Sprintf("test-load-%d", os.Getpid())
	app, err := topology.Parse("everything.yaml", []byte(strings.Replace(everything, "NAME", name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Installed(app); err != nil {
		if os.Getenv("SEER_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("not supported: ", err)
	}
	// Servers run as nobody, who may not enter t.TempDir.
	dir, err := os.MkdirTemp("", "seerbed-load-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := bed.Options{State: filepath.Join(dir, "state"), Data: filepath.Join(dir, "data")}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	b, err := bed.Up(ctx, app, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if err := bed.Down(ctx, name, o); err != nil {
			t.Error(err)
		}
	})
	plan, err := campaign.NewPlan(app, 1, 2*time.Second, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Plan: plan, Timeout: 20 * time.Second}
	cfg.Aim(b)
	report, rows := run(t, cfg)
	n := int64(len(schedule(plan)))
	if want := (Counts{Requests: n, OK: n}); report.Counts != want || len(rows) != int(n) {
		t.Errorf("%d rows, %+v, want %+v; failures: %v", len(rows), report.Counts, want, report.Failures)
	}
	front, stores := stats(t, b, "front"), stats(t, b, "stores")
	if want := (tier.Ended{OK: n}); front.Ended != want {
		t.Errorf("front answered %+v, want %+v", front.Ended, want)
	}
	if want := (tier.Ended{OK: 3 * n}); stores.Ended != want {
		t.Errorf("stores answered %+v, want %+v", stores.Ended, want)
	}
	for name, want := range map[string]int64{"postgresql": 3 * n, "mariadb": 3 * n, "rabbitmq": 2 * n} {
		if got := stores.Peers[name].Ended; got != (tier.Ended{OK: want}) {
			t.Errorf("calls of %s: %+v, want %d answered", name, got, want)
		}
	}
	// A miss is a call more of Redis and one of memcached.
	misses := stores.Peers["redis"].Ended.OK - 4*n
	if got := stores.Peers["memcached"].Ended; misses <= 0 || misses >= n || got != (tier.Ended{OK: 3*n + misses}) {
		t.Errorf("%d of %d requests missed the cache, and memcached had %+v calls: want some, and %d", misses, n, got, 3*n+misses)
	}
}

func stats(t *testing.T, b *bed.Bed, service string) (s tier.Stats) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", b.Replicas(service)[0].Control)
		},
	}}
	answer, err := client.Get("http://tier/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}
