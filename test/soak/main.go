//go:build linux

// Command soak runs Seer while everything it watches comes and goes, and looks
// for what must not: memory that grows, descriptors and goroutines that stay, a
// container that was never seen, a fact that was dropped.
//
// The churn, all on this host: short connections (accepted, one request, one
// answer, closed), a new container each second that lives for five with three
// connections waiting in its accept backlog, processes forked and reaped.
//
// Seer is the real program with its database. Everything is judged from
// outside: its metrics every second, its answers over the control socket.
//
//	go build -o bin/seer ./cmd/seer && sudo go run ./test/soak -seer bin/seer
//
// It prints a table and one line per figure, "BENCH name value unit", and exits
// with 1 when a check fails.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"time"

	"seer/test/lab"
)

// options are the command line.
type options struct {
	seer     string
	samples  string
	duration time.Duration
	connects int
	forks    int
	life     int
}

func main() {
	var o options
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A child is told by its environment and has no flags.
	status := lab.Program(ctx, workloads, func(t lab.TB) {
		flag.StringVar(&o.seer, "seer", "bin/seer", "the program to run")
		flag.DurationVar(&o.duration, "duration", 20*time.Minute, "how long")
		flag.IntVar(&o.connects, "connects", 1000, "connections per second")
		flag.IntVar(&o.forks, "forks", 20, "processes started per second")
		flag.IntVar(&o.life, "life", 5, "seconds that each container lives")
		flag.StringVar(&o.samples, "samples", "", "write every sample of every metric to this CSV file: second,series,value")
		flag.Parse()
		if flag.NArg() != 0 || o.duration < 10*time.Second || o.life < 1 {
			t.Fatalf("soak: want no arguments, -duration of at least 10s and -life of at least 1")
		}
		run(t, o)
	})
	stop()
	os.Exit(status)
}

// run is the whole soak.
func run(t lab.TB, o options) {
	s := startSeer(t, o.seer)
	w := watch(t, s.socket)
	server := lab.NewContainer(t, "server", lab.Options{}).Start("soak-server", nil)
	var port string
	server.Call("port", nil, &port)
	client := lab.NewContainer(t, "client", lab.Options{}).Start("soak-client", clientConfig{Port: port, Rate: o.connects})
	forker := lab.NewContainer(t, "forker", lab.Options{}).Start("soak-forker", o.forks)

	var record trace
	var made, gone []*brief
	var alive []*brief
	second := time.NewTicker(time.Second)
	defer second.Stop()
	start := time.Now()
	reports := progress{out: os.Stderr, length: o.duration}
	for time.Since(start) < o.duration {
		select {
		case <-second.C:
		case <-t.Context().Done():
			t.Fatalf("soak: stopped after %s: %v", time.Since(start).Round(time.Second), t.Context().Err())
		}
		alive = append(alive, newBrief(t))
		made = append(made, alive[len(alive)-1])
		if len(alive) > o.life {
			alive[0].end()
			gone, alive = append(gone, alive[0]), alive[1:]
		}
		now := w.add(s.scrape(t, time.Since(start)))
		record.add(now)
		reports.add(now)
	}
	var r result
	client.Call("done", nil, &r.connects)
	forker.Call("done", nil, &r.forks)
	// The last ones live as long as the others did.
	for _, b := range alive {
		w.wait(t, b)
		b.end()
		gone = append(gone, b)
	}
	w.waitGone(t, gone)

	r.made, r.lost = len(made), w.lost(made)
	r.trace = record
	r.exit = s.stop()
	if o.samples != "" {
		if err := record.save(o.samples); err != nil {
			t.Errorf("FAIL samples: %v", err)
		}
	}
	r.report(t, os.Stdout)
}
