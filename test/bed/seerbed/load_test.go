//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed/load"
	"seer/test/bed/wire"
)

// What load writes is a campaign without samples, complete, with every request.
func TestLoadDirectory(t *testing.T) {
	app, err := topology.Parse("shop.yaml", []byte(`
schema: 1
name: shop
qos: [{service: web, percentile: 99, target: 1s}]
load: {rate: 200, connections: 2}
requests: [{name: browse, weight: 1, call: web.browse}]
services: [{name: web, kind: app, protocol: http, endpoints: {browse: [{work: {cpu: 1us}}]}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	l, err := wire.Listen("127.0.0.1:0", 64)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	s := wire.Server{Protocol: topology.ProtocolHTTP, Handle: func(context.Context, wire.Request) wire.Reply { return wire.Reply{Size: 10} }}
	go func() { served <- s.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	plan, err := campaign.NewPlan(app, 1, time.Second, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	report, err := sendLoad(t.Context(), load.Config{
		Plan:    plan,
		Entries: map[string]load.Entry{"web": {Protocol: topology.ProtocolHTTP, Addrs: []string{l.Addr().String()}}},
	}, out)
	if err != nil {
		t.Fatal(err)
	}
	d, err := campaign.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Manifest.Complete || d.Manifest.Source != campaign.SourceTestbed {
		t.Errorf("manifest %+v, want a complete one of the testbed", d.Manifest)
	}
	n := int64(0)
	for _, err := range d.Requests() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 || n != report.OK {
		t.Errorf("%d requests on disk, want the %d answered", n, report.OK)
	}
	// It says that there are no samples, and finds nothing else.
	if problems := campaign.Check(out); len(problems) != 1 || !strings.Contains(fmt.Sprint(problems), "no samples") {
		t.Errorf("Check: %v, want one problem: no samples", problems)
	}
	if _, err := sendLoad(t.Context(), load.Config{Plan: plan}, out); err == nil {
		t.Error("a second load into one directory succeeded")
	}
}
