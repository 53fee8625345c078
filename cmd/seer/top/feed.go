package top

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"time"

	"seer/collector/api"
)

// Feed delivers what top shows. Its methods are safe for concurrent use.
type Feed interface {
	// Frames yields ticks until ctx ends or the feed breaks, then an error
	// that says why unless ctx ended.
	Frames(ctx context.Context, every time.Duration) iter.Seq2[*Frame, error]
	// Sockets lists the sockets that sel selects.
	Sockets(ctx context.Context, sel api.Selector) ([]api.SocketRow, error)
	// Edges lists who calls whom, of whom sel selects either.
	Edges(ctx context.Context, sel api.Selector) ([]api.EdgeRow, error)
	Close() error
}

// clientFeed is the Feed of a running Seer.
type clientFeed struct {
	client *api.Client
	host   string
	stop   func() error
}

// NewFeed returns the feed of the Seer that client is connected to. Closing
// it closes client and then, unless nil, calls stop.
func NewFeed(client *api.Client, stop func() error) Feed {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &clientFeed{client: client, host: host, stop: stop}
}

// Dial connects to the Seer that answers on a control socket.
func Dial(ctx context.Context, socket string) (Feed, error) {
	client, err := api.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	return NewFeed(client, nil), nil
}

func (c *clientFeed) Close() error {
	err := c.client.Close()
	if c.stop == nil {
		return err
	}
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	return err
}

func (c *clientFeed) Frames(ctx context.Context, every time.Duration) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		for s, err := range c.client.Stream(ctx, every) {
			if err != nil {
				yield(nil, err)
				return
			}
			frame := &Frame{
				Host: c.host, Seq: s.Seq, Time: s.Time, Tick: s.Tick, Passes: s.Passes,
				Losses: s.Losses, Skipped: s.Skipped, Cost: s.Cost, Probes: s.Probes,
				Rows: s.Rows, Past: s.Histories,
			}
			if !yield(frame, nil) {
				return
			}
		}
	}
}

func (c *clientFeed) Sockets(ctx context.Context, sel api.Selector) ([]api.SocketRow, error) {
	return rowsOf[api.SocketRow](ctx, c.client, "socket", sel)
}

func (c *clientFeed) Edges(ctx context.Context, sel api.Selector) ([]api.EdgeRow, error) {
	return rowsOf[api.EdgeRow](ctx, c.client, "edge", sel)
}

func rowsOf[T any](ctx context.Context, client *api.Client, object string, sel api.Selector) ([]T, error) {
	doc, err := client.Get(ctx, object, sel)
	if err != nil {
		return nil, err
	}
	var rows []T
	if err := json.Unmarshal(doc.Rows, &rows); err != nil {
		return nil, fmt.Errorf("read %ss: %w", object, err)
	}
	return rows, nil
}
