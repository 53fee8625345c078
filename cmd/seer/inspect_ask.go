package main

import (
	"context"
	"errors"
	"fmt"

	"seer/collector/api"
)

// answerer is a running Seer or one inside this process.
type answerer interface {
	Get(ctx context.Context, object string, sel api.Selector) (*api.Document, error)
}

// open returns whom to ask: the running Seer, or else one that has measured
// in this process. done ends it.
func (in *inspector) open(ctx context.Context, q inspectQuery) (from answerer, done func(), err error) {
	client, err := api.Dial(ctx, in.socket)
	switch {
	case err == nil:
		return client, func() { client.Close() }, nil
	case errors.Is(err, api.ErrPermission):
		return nil, nil, kernelError(fmt.Errorf("inspect: %w", err))
	case !errors.Is(err, api.ErrNotRunning):
		return nil, nil, fmt.Errorf("inspect: %w", err)
	case in.hooks.Measure == nil:
		return nil, nil, kernelError(fmt.Errorf("inspect: %w", err))
	}
	if in.hooks.MayMeasure != nil {
		if err := in.hooks.MayMeasure(); err != nil {
			return nil, nil, cannotMeasure(err)
		}
	}
	fmt.Fprintf(in.notes, "no seer runs on this host (%s): measuring for %s\n", in.socket, in.length)
	server, closeServer, err := in.hooks.Measure(ctx, in.length, q.object)
	if err != nil {
		return nil, nil, cannotMeasure(err)
	}
	return server, func() {
		if err := closeServer(); err != nil {
			fmt.Fprintf(in.notes, "inspect: stop measuring: %v\n", err)
		}
	}, nil
}

// openViolations asks the running Seer, or else the database: what has happened
// cannot be measured now.
func (in *inspector) openViolations(ctx context.Context, _ inspectQuery) (from answerer, done func(), err error) {
	if !in.readDB {
		client, err := api.Dial(ctx, in.socket)
		switch {
		case err == nil:
			return client, func() { client.Close() }, nil
		case errors.Is(err, api.ErrPermission):
			return nil, nil, kernelError(fmt.Errorf("inspect: %w", err))
		case !errors.Is(err, api.ErrNotRunning):
			return nil, nil, fmt.Errorf("inspect: %w", err)
		}
		fmt.Fprintf(in.notes, "no seer runs on this host (%s): reading %s\n", in.socket, in.db)
	}
	stored, err := storedViolations(ctx, in.db)
	if err != nil {
		return nil, nil, fmt.Errorf("inspect violation: %w", err)
	}
	return stored, func() {}, nil
}

func cannotMeasure(err error) error {
	return fmt.Errorf("inspect: no seer runs on this host, and it cannot be measured: %w", err)
}
