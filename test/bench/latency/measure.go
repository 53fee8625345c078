//go:build linux

package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/test/lab"
)

// measure loads one point and compares.
func measure(t lab.TB, p point, length time.Duration) result {
	server, client := lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{})
	proto := protocols[p.protocol]
	var timed *lab.Process // the server, if it keeps a record
	var addr string
	if proto.start != nil {
		addr = proto.start(t, server)
	} else {
		timed = server.Start("latency-server", serverConfig{Protocol: p.protocol, Service: p.service, Exp: p.exp})
		timed.Call("addr", nil, &addr)
	}
	load := client.Start("latency-client", clientConfig{
		Protocol: p.protocol, Addr: addr, Conns: proto.conns(p.service), Service: p.service, Exp: p.exp,
	})
	defer stop(server, client)

	saw := &watcher{server: server.CgroupID, client: client.CgroupID}
	c, err := collector.New(collector.Config{CPUBudget: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatalf("collector.New: %v", err)
	}
	defer c.Close()
	c.CountExactly("bench", func(is *container.Container) bool {
		id := is.ID.CgroupID()
		return id == saw.server || id == saw.client
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, saw) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("collector.Run: %v", err)
		}
	}()
	saw.waitChosen(t)
	var atClient, atServer []lab.Timing
	load.Call("run", length, &atClient)
	saw.waitPast(t)
	if timed != nil {
		timed.Call("requests", nil, &atServer)
	}
	saw.mu.Lock()
	defer saw.mu.Unlock()
	return compare(saw, atClient, atServer)
}
