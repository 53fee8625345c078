package top

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// demo runs the terminal on invented data, to look at it:
//
//	go test -c -o /tmp/top.test ./cmd/seer/top && /tmp/top.test -demo 40
var demo = flag.Int("demo", 0, "show an invented host of so many containers instead of testing")

func TestMain(m *testing.M) {
	flag.Parse()
	if *demo > 0 {
		if err := showDemo(*demo); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func showDemo(containers int) error {
	LocalFeed = func(context.Context) (Feed, error) {
		g := newGenerator(containers, time.Now())
		return &testFeed{generator: g, pace: g.tick, sockets: testSockets(), edges: testEdges()}, nil
	}
	opts := DefaultOptions()
	opts.Socket = "/nonexistent"
	return Run(context.Background(), opts, os.Stdout)
}
