//go:build linux

package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/tier"
)

// misbehaviour tells all replicas of the culprit to misbehave.
type misbehaviour struct{ target }

func newMisbehaviour(t target) (effect, error) {
	if t.culprits[0].Kind != topology.KindApp {
		return nil, fmt.Errorf("%q is %s: only the testbed's own programs can be told to misbehave", t.fault.Culprit, t.culprits[0].Kind)
	}
	return &misbehaviour{t}, nil
}

func (e *misbehaviour) prepare(context.Context) error { return nil }

func (e *misbehaviour) start(ctx context.Context) error {
	return e.each(func(c *bed.Container) error {
		return tell(ctx, c, &tier.Fault{Cause: e.fault.Cause, Intensity: e.fault.Intensity})
	})
}

func (e *misbehaviour) stop(ctx context.Context) error {
	return e.each(func(c *bed.Container) error { return tell(ctx, c, nil) })
}

// cycle closes a circle of three services that wait for each other: the culprit
// calls the first peer and that one the second, as ever; the second now calls the
// culprit.
type cycle struct {
	target
	closers []bed.Container // replicas of the second peer
}

func newCycle(t target) (effect, error) {
	var peers []string
	for _, path := range campaign.Cycles(t.bed.App) {
		if path[0] != t.fault.Culprit {
			continue
		}
		if found := path[1:]; len(t.fault.Peers) == 0 || slices.Equal(found, t.fault.Peers) {
			peers = found
			break
		}
	}
	if peers == nil {
		return nil, fmt.Errorf("%q does not call %v, one through the other: there is no circle to close", t.fault.Culprit, t.fault.Peers)
	}
	t.fault.Peers = peers
	return &cycle{t, t.bed.Replicas(peers[1])}, nil
}

func (e *cycle) prepare(context.Context) error { return nil }

func (e *cycle) start(ctx context.Context) error {
	// First where it closes: who calls before is only answered.
	err := e.each(func(c *bed.Container) error {
		return tell(ctx, c, &tier.Fault{Cause: campaign.CauseCycle, Intensity: e.fault.Intensity})
	})
	if err != nil {
		return err
	}
	culprit := e.bed.App.Service(e.fault.Culprit)
	next := &tier.Next{
		Service: culprit.Name,
		Peer:    tier.Peer{Kind: culprit.Kind, Protocol: culprit.Protocol, Addrs: e.bed.Entry(culprit.Name)},
	}
	for i := range e.closers {
		if err := tell(ctx, &e.closers[i], &tier.Fault{Cause: campaign.CauseCycle, Intensity: e.fault.Intensity, Next: next}); err != nil {
			return err
		}
	}
	return nil
}

func (e *cycle) stop(ctx context.Context) error {
	var failed []error
	for i := range e.closers {
		failed = append(failed, tell(ctx, &e.closers[i], nil))
	}
	return errors.Join(append(failed, e.each(func(c *bed.Container) error { return tell(ctx, c, nil) }))...)
}

// tell makes a tier misbehave, or behave again.
func tell(ctx context.Context, c *bed.Container, f *tier.Fault) error {
	method, body := http.MethodDelete, []byte(nil)
	if f != nil {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(f); err != nil {
			return err
		}
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.Control)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://tier/fault", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return fmt.Errorf("control socket: %s: %s", answer.Status, bytes.TrimSpace(text))
	}
	return nil
}
