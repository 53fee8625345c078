package api

import (
	"context"
	"errors"
	"fmt"

	"seer/collector"
	"seer/collector/container"
)

// rows returns what writes the rows of one object. All that can fail, fails
// here, before anything is written.
func (s *Server) rows(ctx context.Context, f *frame, object Object, sel Selector) (func(add func(any) error) error, error) {
	picked, err := sel.pick(f.rows)
	if err != nil {
		return nil, err
	}
	switch object.Name {
	case "container":
		return func(add func(any) error) error { return eachContainer(f, picked, add) }, nil
	case "service":
		return eachOf(serviceRows(f.rows, picked)), nil
	case "queue":
		reasons := notMeasuredReasons(s.cfg.Source.Probes())
		return func(add func(any) error) error { return s.eachQueue(f, picked, sel.Queue, &reasons, add) }, nil
	case "request":
		return eachOf(s.requestRows(f, picked)), nil
	case "socket":
		return s.socketRows(ctx, f, picked)
	case "edge":
		return eachOf(s.edgeRows(f, picked)), nil
	case "violation":
		return s.violationRows(sel)
	case "probe":
		return eachOf(probeRows(s.cfg.Source.Probes())), nil
	case "packet":
		return nil, errors.New("packet: a running seer does not answer this: `seer inspect packet` samples packets itself")
	case "feature":
		return nil, errors.New("feature: a running seer does not answer this: `seer inspect feature` probes the kernel itself")
	}
	return eachOf[struct{}](nil), nil // recognised, nothing in this build (Object.Unavailable)
}

func eachOf[T any](rows []T) func(add func(any) error) error {
	return func(add func(any) error) error {
		for i := range rows {
			if err := add(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

func eachContainer(f *frame, picked pickFunc, add func(any) error) error {
	for i := range f.rows {
		if !picked(f.rows[i].Container) {
			continue
		}
		if err := add(containerRow(&f.rows[i])); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) eachQueue(f *frame, picked pickFunc, queue string, reasons *[collector.NumQueues]string, add func(any) error) error {
	for i := range f.rows {
		r := &f.rows[i]
		if !picked(r.Container) {
			continue
		}
		for q := range collector.Queue(collector.NumQueues) {
			if queue != "" && queue != q.String() {
				continue
			}
			since := s.history.notEmptyFor(r.Container.ID, q, f.tick())
			if err := add(queueRow(r, q, reasons, since)); err != nil {
				return err
			}
		}
	}
	return nil
}

// listSockets asks the collector for all sockets, and returns how to name the
// containers that own them. One dump runs at a time; a caller that gives up
// waiting gets its context's error.
func (s *Server) listSockets(ctx context.Context, f *frame) ([]collector.Socket, func(container.ID) *container.Container, error) {
	select {
	case s.dumping <- struct{}{}:
		defer func() { <-s.dumping }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	sockets, err := s.cfg.Source.Sockets(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("list sockets: %w", err)
	}
	byID := make(map[container.ID]*container.Container, len(f.rows))
	for i := range f.rows {
		byID[f.rows[i].Container.ID] = f.rows[i].Container
	}
	return sockets, func(id container.ID) *container.Container {
		if c := byID[id]; c != nil {
			return c
		}
		return &container.Container{ID: id} // has gone, or came after the last tick
	}, nil
}

func (s *Server) socketRows(ctx context.Context, f *frame, picked pickFunc) (func(add func(any) error) error, error) {
	sockets, containerOf, err := s.listSockets(ctx, f)
	if err != nil {
		return nil, err
	}
	return func(add func(any) error) error {
		for i := range sockets {
			c := containerOf(sockets[i].Container)
			if !picked(c) {
				continue
			}
			if err := add(socketRow(&sockets[i], c)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// edgeRows are the edges of which either end is picked. Those of containers that
// have gone go with them.
func (s *Server) edgeRows(f *frame, picked pickFunc) []EdgeRow {
	byID := make(map[container.ID]*collector.Row, len(f.rows))
	for i := range f.rows {
		byID[f.rows[i].Container.ID] = &f.rows[i]
	}
	end := func(id container.ID) *container.Container {
		if r := byID[id]; r != nil {
			return r.Container
		}
		return &container.Container{ID: id} // has gone
	}
	rows := []EdgeRow{}
	for _, e := range s.cfg.Source.Graph() {
		client, server := end(e.Client), end(e.Server)
		if (e.Client == 0 || !picked(client)) && (e.Server == 0 || !picked(server)) && e.EdgeKey != (collector.EdgeKey{}) {
			continue
		}
		if e.Connections == 0 && (e.Client != 0 && byID[e.Client] == nil || e.Server != 0 && byID[e.Server] == nil) {
			continue
		}
		row := edgeRow(&e, client, server)
		if r := byID[e.Server]; r != nil {
			if cell := &r.Cells[collector.QueueOutstanding]; cell.Valid && cell.Departures > 0 {
				ms := milliseconds(cell.Wait)
				row.ServedMS = &ms
			}
		}
		rows = append(rows, row)
	}
	return rows
}
