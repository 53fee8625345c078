package export

import (
	"encoding/csv"
	"io"
	"strconv"
)

// csvHeader names the columns in the order of Row.
var csvHeader = []string{
	"time_ns", "time_ms", "tick_ns", "container_id", "container", "service", "queue", "unit",
	"mean", "max", "depth", "arrivals", "departures", "wait_ns", "limit", "valid",
}

type csvWriter struct {
	w      *csv.Writer
	fields []string
}

func newCSVWriter(w io.Writer) (*csvWriter, error) {
	c := &csvWriter{w: csv.NewWriter(w)}
	return c, c.w.Write(csvHeader)
}

func (c *csvWriter) write(r *Row) error {
	c.fields = append(c.fields[:0],
		strconv.FormatInt(r.TimeNS, 10), strconv.FormatInt(r.TimeMS, 10), strconv.FormatInt(r.TickNS, 10),
		r.ContainerID, r.Container, r.Service, r.Queue, r.Unit,
		number(r.Mean), number(r.Max), number(r.Depth), number(r.Arrivals), number(r.Departures),
		number(r.WaitNS), number(r.Limit), strconv.FormatBool(r.Valid))
	return c.w.Write(c.fields)
}

func (c *csvWriter) close() error {
	c.w.Flush()
	return c.w.Error()
}

// number writes the shortest decimal that reads back as the same float32.
func number(v *float32) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*v), 'f', -1, 32)
}
