package tier

import (
	"strings"
	"sync"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/test/bed/wire"
)

// circle is three services that call each other in a chain.
const circle = `
schema: 1
name: circle
qos: [{service: first, percentile: 99, target: 20ms}]
requests: [{name: get, weight: 1, call: first.get}]
load: {rate: 10}
services:
  - {name: first, kind: app, protocol: http, endpoints: {get: [{call: second.get, timeout: 5s}]}}
  - {name: second, kind: app, protocol: thrift, endpoints: {get: [{call: third.get, timeout: 3s}]}}
  - {name: third, kind: app, protocol: thrift, endpoints: {get: [{work: {cpu: 10us}}]}}
`

const testTarget = 20 * time.Millisecond

// startCircle starts the three.
func startCircle(t *testing.T, pool int) (first, second, third *process) {
	app := parse(t, circle)
	running := map[string]*process{}
	for _, name := range []string{"third", "second", "first"} {
		app.Service(name).Pool = pool
		running[name] = start(t, Config{
			Seed: 1, Target: testTarget, Service: app.Service(name),
			Peers: Peers(app, name, func(callee string) []string { return []string{running[callee].cfg.Listen} }),
		})
	}
	return running["first"], running["second"], running["third"]
}

// atOnce sends n requests at the same time, and returns how many failed and how
// long it took.
func (p *process) atOnce(t *testing.T, n int) (failed []error, took time.Duration) {
	t.Helper()
	conns := make([]wire.Conn, n)
	for i := range conns {
		conns[i] = p.dial(t)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for _, conn := range conns {
		wg.Go(func() {
			if _, err := conn.Call(within(t), p.request("get")); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
	}
	wg.Wait()
	return failed, time.Since(begin)
}

// recovers requires that all is well.
func (p *process) recovers(t *testing.T, n int) {
	t.Helper()
	if f := p.stats(t).Fault; f != nil {
		t.Errorf("the fault %+v is under way still", f)
	}
	if failed, _ := p.atOnce(t, n); len(failed) > 0 {
		t.Errorf("%d of %d requests failed after the fault: %v", len(failed), n, failed[0])
	}
}

func TestLockFault(t *testing.T) {
	first, _, third := startCircle(t, 16)
	// Nobody has called it yet, so that the lock is held for as long as it can
	// be: 3 targets on average, by one request after the other.
	third.setFault(t, Fault{Cause: campaign.CauseLock, Intensity: 1})
	const requests = 16
	failed, took := first.atOnce(t, requests)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, want them to be slow: %v", len(failed), requests, failed[0])
	}
	if least := requests * testTarget; took < least {
		t.Errorf("%d requests through a lock took %s, want more than %s", requests, took, least)
	}
	third.endFault(t)
	first.recovers(t, requests)
}

func TestSlowDependencyFault(t *testing.T) {
	first, _, third := startCircle(t, 16)
	third.setFault(t, Fault{Cause: campaign.CauseSlowDependency, Intensity: 0.5})
	const requests = 200
	conn := first.dial(t)
	before := third.stats(t).Outstanding
	for range requests {
		if _, err := conn.Call(within(t), first.request("get")); err != nil {
			t.Fatal(err)
		}
	}
	after := third.stats(t).Outstanding
	mean := time.Duration((after.AreaNS - before.AreaNS) / requests)
	if want := testTarget * 8 / 10; mean < want {
		t.Errorf("requests took %s in the culprit on average, want about %s", mean, testTarget)
	}
	third.endFault(t)
	first.recovers(t, 16)
}

func TestDeadlockFault(t *testing.T) {
	first, _, third := startCircle(t, 64)
	third.setFault(t, Fault{Cause: campaign.CauseDeadlock, Intensity: 1})
	failed, took := first.atOnce(t, 8)
	if len(failed) == 0 || !strings.Contains(failed[0].Error(), "deadlock") {
		t.Errorf("requests that wait for each other: %v, want errors that tell of the deadlock", failed)
	}
	if took < lockTimeout {
		t.Errorf("it took %s, less than the timeout of a lock", took)
	}
	third.endFault(t)
	first.recovers(t, 32)
}

func TestPoolFault(t *testing.T) {
	const pool = 4
	first, second, third := startCircle(t, pool)
	conn := first.dial(t)
	get := func() error {
		_, err := conn.Call(within(t), first.request("get"))
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	second.setFault(t, Fault{Cause: campaign.CausePool, Intensity: 1})
	answered := third.stats(t).Ended.OK
	var err error
	for n := 0; err == nil && n < 100; n++ {
		err = get()
	}
	if err == nil || !strings.Contains(err.Error(), "no free connection") {
		t.Errorf("calls with a leaking pool: %v, want an error that tells of it", err)
	}
	if n := third.stats(t).Ended.OK - answered; n < pool {
		t.Errorf("%d calls were answered before the pool ran dry, want %d or more", n, pool)
	}
	second.endFault(t)
	first.recovers(t, pool)
}

func TestCycleFault(t *testing.T) {
	first, _, third := startCircle(t, 64)
	first.setFault(t, Fault{Cause: campaign.CauseCycle, Intensity: 1})
	third.setFault(t, Fault{Cause: campaign.CauseCycle, Intensity: 1, Next: &Next{"first", first.peer()}})

	// One alone comes round.
	if failed, _ := first.atOnce(t, 1); len(failed) > 0 {
		t.Errorf("a request on its own: %v", failed[0])
	}
	if got := first.stats(t).Ended; got != (Ended{OK: 2}) {
		t.Errorf("the first service answered %+v, want a user's request and its own one round the circle", got)
	}
	failed, took := first.atOnce(t, 4)
	if len(failed) == 0 {
		t.Error("no request failed of those that waited for each other")
	}
	if took < cycleTimeout {
		t.Errorf("it took %s, less than the timeout of a call", took)
	}
	third.endFault(t)
	first.endFault(t)
	first.recovers(t, 16)
}

func TestFaultThatCannotBe(t *testing.T) {
	app := parse(t, circle)
	tr, err := newTier(Config{Service: app.Service("third"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	for _, f := range []Fault{
		{Cause: "gremlins", Intensity: 1},
		{Cause: campaign.CauseCPU, Intensity: 1},
		{Cause: campaign.CauseLock},
		{Cause: campaign.CauseLock, Intensity: 1.1},
		{Cause: campaign.CauseCycle, Intensity: 1, Next: &Next{"first", Peer{Protocol: "carrier pigeon", Addrs: []string{"x"}}}},
	} {
		if _, err := tr.newFault(f); err == nil {
			t.Errorf("newFault(%+v) = nil, want an error", f)
		}
	}
}
