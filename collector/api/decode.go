package api

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// snapshotDecoder reads what a snapshotEncoder wrote.
type snapshotDecoder struct {
	path  string // of the socket, for errors
	json  *json.Decoder
	known map[container.ID]*container.Container
}

func newSnapshotDecoder(r io.Reader, path string) *snapshotDecoder {
	return &snapshotDecoder{path: path, json: json.NewDecoder(r), known: map[container.ID]*container.Container{}}
}

// next reads one snapshot; the error wraps io.EOF when the stream has ended.
func (d *snapshotDecoder) next() (*Snapshot, error) {
	var w wireSnapshot
	if err := d.json.Decode(&w); err != nil {
		return nil, fmt.Errorf("read the stream of %s: %w", d.path, err)
	}
	if w.Schema != Schema {
		return nil, schemaError(d.path, w.Schema)
	}
	for i := range w.Containers {
		d.known[w.Containers[i].ID] = &w.Containers[i]
	}
	snap := &Snapshot{
		Seq: w.Seq, Time: w.Time, Tick: time.Duration(w.TickMS * float64(time.Millisecond)),
		Passes: w.Passes, Losses: w.Losses, Skipped: w.Skipped,
		LossRows: w.LossRows, Cost: w.Cost, Probes: w.Probes,
		Rows: make([]collector.Row, len(w.Rows)),
	}
	for i := range w.Rows {
		if err := d.row(&snap.Rows[i], &w.Rows[i]); err != nil {
			return nil, err
		}
	}
	d.forget(snap.Rows)
	if len(w.Histories) > 0 {
		snap.Histories = make(map[container.ID]*History, len(w.Histories))
		for i := range w.Histories {
			snap.Histories[w.Histories[i].ID] = w.Histories[i].history()
		}
	}
	return snap, nil
}

// row turns one row back. A row of more cells than there are queues comes
// from a newer Seer; the queues that both know come first.
func (d *snapshotDecoder) row(dst *collector.Row, w *wireRow) error {
	dst.Container, dst.Sockets, dst.CloseWait = d.known[w.ID], w.Sockets, w.CloseWait
	if dst.Container == nil {
		return fmt.Errorf("read the stream of %s: container %v was never described", d.path, w.ID)
	}
	for q := range min(len(w.Cells), len(dst.Cells)) {
		dst.Cells[q] = w.Cells[q].cell()
	}
	return nil
}

// forget drops the containers that have gone.
func (d *snapshotDecoder) forget(rows []collector.Row) {
	if len(d.known) <= len(rows) {
		return
	}
	d.known = make(map[container.ID]*container.Container, len(rows))
	for i := range rows {
		d.known[rows[i].Container.ID] = rows[i].Container
	}
}

func (w *wireHistory) history() *History {
	var h History
	for q := range min(len(w.Means), len(h.Means)) {
		h.Means[q] = series(w.Means[q], w.Ticks)
	}
	return &h
}
