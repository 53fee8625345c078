//go:build linux

// Command latency measures how right exact mode's latencies and counts are: server
// and client are processes that log every request on their connections (lab.Timings),
// the collector counts both containers exactly, and their distributions are compared.
//
// It prints a table and one line per figure, "BENCH name value unit":
//
//	go run ./test/bench/latency
//
// Served is what the server took, from having read the first byte of a request to
// handing the last of the answer to the kernel; called what the client waited, from
// handing over the first byte of the request to having read the last of the answer.
// Off are p50 and p99 in percent of the truth, and the mean in microseconds. A bucket
// of the histogram is up to 3.2 % wide, so 1.6 % must be expected of a percentile; the
// mean of varied times is hardly off by that. Both ends read their clocks
// outside of the calls: what one call to send takes, which on loopback includes
// the receiving side's TCP, is in the table; where in it a request begins or ends
// is a matter of definition.
//
// Counts are compared one by one: requests begun and answered. A batch of pipelined
// requests is one, as is all that is read before an answer is begun.
//
// redis and PostgreSQL log nothing: their truth is the client's, so only counts are
// compared at the server. redis sleeps with DEBUG SLEEP, one request at a time;
// pg_sleep takes whole milliseconds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"seer/test/lab"
)

// workloads are the child processes that this program can be.
var workloads = map[string]lab.Workload{
	"latency-server": serverWorkload,
	"latency-client": clientWorkload,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := lab.Program(ctx, workloads, func(t lab.TB) {
		length := flag.Duration("for", 5*time.Second, "how long to load each point, and at least until 200 requests were made")
		only := flag.String("only", "", "points to measure, or what their names begin with, or others: http:2ms:exp,redis,thrift:50us:const (default: all)")
		flag.Parse()
		run(t, *length, choose(t, *only))
	})
	stop()
	os.Exit(status)
}

// point is one protocol and one service time.
type point struct {
	protocol string
	service  time.Duration
	exp      bool // exponentially distributed, else constant
}

// String returns the point as -only takes it.
func (p point) String() string {
	shape := "const"
	if p.exp {
		shape = "exp"
	}
	return fmt.Sprintf("%s:%v:%s", p.protocol, p.service, shape)
}

func points() []point {
	const us, ms = time.Microsecond, time.Millisecond
	var all []point
	for _, name := range protocolNames {
		times := []time.Duration{500 * us, 2 * ms, 20 * ms, 200 * ms}
		if name == streamed {
			times = []time.Duration{2 * ms, 20 * ms} // and what the parts take
		}
		for _, d := range times {
			all = append(all, point{name, d, true}, point{name, d, false})
		}
	}
	return all
}

// choose returns the points that a list names, or all of them for an empty one.
func choose(t lab.TB, list string) []point {
	var out []point
	for want := range strings.SplitSeq(list, ",") {
		found := false
		for _, p := range points() {
			if p.String() == want || want == "" || strings.HasPrefix(p.String(), want+":") {
				out, found = append(out, p), true
			}
		}
		if found {
			continue
		}
		p, ok := parse(want)
		if !ok {
			t.Fatalf("-only %q: give PROTOCOL, PROTOCOL:TIME or PROTOCOL:TIME:exp|const; protocols are %v", want, protocolNames)
		}
		out = append(out, p)
	}
	return out
}

// parse reads a point that need not be in the table.
func parse(s string) (p point, ok bool) {
	f := strings.Split(s, ":")
	if len(f) != 3 || (f[2] != "exp" && f[2] != "const") {
		return p, false
	}
	d, err := time.ParseDuration(f[1])
	_, known := protocols[f[0]]
	return point{f[0], d, f[2] == "exp"}, err == nil && d >= 0 && known
}

func run(t lab.TB, length time.Duration, points []point) {
	fmt.Println("| point | requests | wrong counts | served: p50, p99 ms | off | first byte: off | called: p50, p99 ms | off | a send us |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	var figures []string
	for _, p := range points {
		r := measure(t, p, length)
		fmt.Printf("| %s | %d | %d | %v | %v | %v | %v | %v | %.0f |\n", p, r.requests, r.wrong,
			r.served.truth(), r.served, r.servedFirst, r.called.truth(), r.called, r.send.Seconds()*1e6)
		name := "latency_" + strings.NewReplacer(":", "_", "-", "_", "µ", "u").Replace(p.String())
		figures = append(figures, fmt.Sprintf("BENCH %s_wrong_counts %d requests", name, r.wrong))
		for _, d := range []struct {
			what string
			of   deviation
		}{{"served", r.served}, {"served_first", r.servedFirst}, {"called", r.called}} {
			if d.of.known {
				figures = append(figures,
					fmt.Sprintf("BENCH %s_%s_p50_error %.3g %%", name, d.what, d.of.p50.percent()),
					fmt.Sprintf("BENCH %s_%s_p99_error %.3g %%", name, d.what, d.of.p99.percent()))
			}
		}
	}
	fmt.Println(strings.Join(figures, "\n"))
}
