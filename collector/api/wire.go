package api

import (
	"math"
	"strconv"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// The stream's format: one JSON object a line, made small because most cells
// of most containers are empty.
//
//   - A container is described when it is new to this client or has changed
//     ("containers"), and afterwards known by its id.
//   - A row's cells are in column order. null was not measured; otherwise
//     [depth, mean, max, limit, arrivals, departures, wait_ms] without its
//     trailing zeros, so an idle queue is [].
//   - A series is the means, oldest first; null was not measured; ticks before
//     the first value held the same as it.
//
// 1,000 containers with 12 queues take about 150 KB a snapshot; the benchmark
// reports it (BenchmarkEncodeSnapshot).
type wireSnapshot struct {
	Schema     int                   `json:"schema"`
	Seq        uint64                `json:"seq"`
	Time       time.Time             `json:"time"`
	TickMS     float64               `json:"tick_ms"`
	Passes     int                   `json:"passes"`
	Losses     uint64                `json:"losses"`
	Skipped    uint64                `json:"skipped"`
	LossRows   []LossRow             `json:"loss_reasons"`
	Cost       CostRow               `json:"cost"`
	Probes     []ProbeRow            `json:"probes"`
	Containers []container.Container `json:"containers"`
	Rows       []wireRow             `json:"rows"`
	Histories  []wireHistory         `json:"histories"`
}

// maxSeries bounds what one number of a stream can make its reader allocate.
const maxSeries = 100 * historyTicks

type wireRow struct {
	ID        container.ID `json:"id"`
	Sockets   int          `json:"sockets"`
	CloseWait int          `json:"close_wait"` // left out when 0
	Cells     []*wireCell  `json:"cells"`
}

// wireCell holds the fields of a collector.Cell in wire order.
type wireCell []float64

type wireHistory struct {
	ID    container.ID `json:"id"`
	Ticks int          `json:"ticks"`
	Means [][]*float32 `json:"means"` // one series per queue, in column order
}

// appendRow appends one container's row.
func appendRow(b []byte, r *collector.Row) []byte {
	b = append(b, `{"id":`...)
	b = appendID(b, r.Container.ID)
	b = append(b, `,"sockets":`...)
	b = strconv.AppendInt(b, int64(r.Sockets), 10)
	if r.CloseWait > 0 {
		b = append(b, `,"close_wait":`...)
		b = strconv.AppendInt(b, int64(r.CloseWait), 10)
	}
	b = append(b, `,"cells":[`...)
	for q := range r.Cells {
		if q > 0 {
			b = append(b, ',')
		}
		b = appendCell(b, &r.Cells[q])
	}
	return append(b, `]}`...)
}

// appendID appends an ID as encoding/json would, without its allocation.
func appendID(b []byte, id container.ID) []byte {
	b = append(b, '"')
	b, _ = id.AppendText(b) // never fails
	return append(b, '"')
}

func appendCell(b []byte, c *collector.Cell) []byte {
	if !c.Valid {
		return append(b, `null`...)
	}
	values := [...]float64{c.Depth, c.Mean, c.Max, c.Limit, c.Arrivals, c.Departures, milliseconds(c.Wait)}
	n := len(values)
	for n > 0 && finite(values[n-1]) == 0 {
		n--
	}
	b = append(b, '[')
	for i, v := range values[:n] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, v)
	}
	return append(b, ']')
}

// cell turns a received cell back; nil was not measured.
func (w *wireCell) cell() collector.Cell {
	if w == nil {
		return collector.Cell{}
	}
	var v [7]float64
	copy(v[:], *w)
	return collector.Cell{
		Depth: v[0], Mean: v[1], Max: v[2], Limit: v[3], Arrivals: v[4], Departures: v[5],
		Wait: time.Duration(v[6] * float64(time.Millisecond)), Valid: true,
	}
}

// appendHistory appends the past of one container.
func appendHistory(b []byte, id container.ID, h *History) []byte {
	ticks := 0
	for q := range h.Means {
		ticks = max(ticks, len(h.Means[q]))
	}
	b = append(b, `{"id":`...)
	b = appendID(b, id)
	b = append(b, `,"ticks":`...)
	b = strconv.AppendInt(b, int64(ticks), 10)
	b = append(b, `,"means":[`...)
	for q := range h.Means {
		if q > 0 {
			b = append(b, ',')
		}
		b = appendSeries(b, h.Means[q])
	}
	return append(b, `]}`...)
}

func appendSeries(b []byte, s Series) []byte {
	from := 0
	for from+1 < len(s) && same(s[from], s[from+1]) {
		from++
	}
	b = append(b, '[')
	for i, v := range s[from:] {
		if i > 0 {
			b = append(b, ',')
		}
		if IsMissing(v) {
			b = append(b, `null`...)
		} else {
			b = strconv.AppendFloat(b, finite(float64(v)), 'g', 4, 32)
		}
	}
	return append(b, ']')
}

func same(a, b float32) bool { return a == b || IsMissing(a) && IsMissing(b) }

// series turns a received series back into ticks values; nothing that a Seer
// sends is longer than its history.
func series(values []*float32, ticks int) Series {
	if len(values) == 0 || len(values) > ticks || ticks > maxSeries {
		return nil
	}
	s := make(Series, 0, ticks)
	for range ticks - len(values) {
		s = append(s, seriesValue(values[0]))
	}
	for _, v := range values {
		s = append(s, seriesValue(v))
	}
	return s
}

func seriesValue(v *float32) float32 {
	if v == nil {
		return missing
	}
	return *v
}

// appendNumber appends v with six digits, more than any depth deserves.
func appendNumber(b []byte, v float64) []byte {
	v = finite(v)
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', 6, 64)
}
