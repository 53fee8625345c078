package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"kernel.org/pub/linux/libs/security/libcap/cap"

	"seer/cmd/seer/top"
	"seer/collector"
	"seer/collector/api"
	"seer/collector/feature"
	"seer/collector/packet"
)

func init() { top.LocalFeed = localFeed }

// localHooks is what inspect does without a running Seer.
func localHooks() inspectHooks {
	return inspectHooks{MayMeasure: checkPrivileges, Measure: measure, Features: probeFeatures, Packets: samplePackets}
}

// samplePackets needs one capability more than measuring: to attach to devices.
func samplePackets(ctx context.Context, cfg packet.Config) (packetSurvey, error) {
	lacking, err := lackingCapabilities(cap.BPF, cap.PERFMON, cap.NET_ADMIN)
	if err != nil {
		return nil, err
	}
	if len(lacking) > 0 {
		return nil, kernelError(fmt.Errorf("needs root, or at least %s: use sudo", strings.Join(lacking, " and ")))
	}
	survey, err := packet.NewSurvey(ctx, cfg)
	if err != nil {
		return nil, err // not a survey that is nil and yet an interface that is not
	}
	return survey, nil
}

// measure traces this host for d, its requests one by one if they are asked for, and returns a server that has seen it. The
// programs stay attached until close is called: sockets can still be listed.
func measure(ctx context.Context, d time.Duration, object api.Object) (*api.Server, func() error, error) {
	c, server, err := newLocal(object.Name == "request")
	if err != nil {
		return nil, nil, err
	}
	if err := run(ctx, c, server, d); err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return server, c.Close, nil
}

func run(ctx context.Context, c *collector.Collector, server *api.Server, d time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := c.Run(limited, server); err != nil {
		return err
	}
	return ctx.Err()
}

func newLocal(exact bool) (*collector.Collector, *api.Server, error) {
	if err := checkPrivileges(); err != nil {
		return nil, nil, err
	}
	c, err := collector.New(collector.Config{Exact: exact, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, collectorError(err)
	}
	return c, api.New(api.Config{Source: c, Version: version(), Tick: c.Tick(), GroupBy: "container"}), nil
}

// localFeed is a Seer inside `seer top`, which records nothing.
func localFeed(ctx context.Context) (top.Feed, error) {
	c, server, err := newLocal(false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx, server) }()
	return top.NewLocalFeed(server, func() error {
		cancel()
		return errors.Join(<-ran, c.Close())
	})
}

func probeFeatures(ctx context.Context) (rows any, text func(io.Writer) error, err error) {
	report, err := feature.Probe(ctx, feature.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("probe the kernel: %w", err)
	}
	return report.Items, report.WriteText, nil
}
