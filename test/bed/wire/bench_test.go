package wire

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkCall is what a call costs both ends together, kernel included: at 100
// requests/s an application of 36 services makes a thousand of them.
func BenchmarkCall(b *testing.B) {
	for _, p := range protocols {
		for name, workers := range map[string]int{"unbounded": 0, "workers": 8} {
			b.Run(string(p)+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				l, err := Listen("127.0.0.1:0", 64)
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				s := &Server{Protocol: p, Workers: NewSlots(workers), Handle: func(context.Context, Request) Reply {
					return Reply{Size: 100}
				}}
				go s.Serve(ctx, l)
				conn, err := Dial(ctx, p, l.Addr().String(), nil)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				r := Request{Service: "shop", Endpoint: "list", Trace: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
				before, n := cpuTime(b), 0
				for b.Loop() {
					if _, err := conn.Call(ctx, r); err != nil {
						b.Fatal(err)
					}
					n++
				}
				b.ReportMetric(float64(cpuTime(b)-before)/float64(n)/1000, "cpu-us/op")
			})
		}
	}
}

// cpuTime returns the process's, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
