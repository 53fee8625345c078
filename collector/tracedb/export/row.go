package export

import (
	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
)

// Row is one row of an exported file. Its fields are the columns, in order;
// nil means not measured, or no limit.
type Row struct {
	TimeNS      int64    `parquet:"time_ns,delta"`
	TimeMS      int64    `parquet:"time_ms,delta"`
	TickNS      int64    `parquet:"tick_ns,delta"`
	ContainerID string   `parquet:"container_id,dict"`
	Container   string   `parquet:"container,dict"`
	Service     string   `parquet:"service,dict"`
	Queue       string   `parquet:"queue,dict"`
	Unit        string   `parquet:"unit,dict"`
	Mean        *float32 `parquet:"mean,optional"`
	Max         *float32 `parquet:"max,optional"`
	Depth       *float32 `parquet:"depth,optional"`
	Arrivals    *float32 `parquet:"arrivals,optional"`
	Departures  *float32 `parquet:"departures,optional"`
	WaitNS      *float32 `parquet:"wait_ns,optional"`
	Limit       *float32 `parquet:"limit,optional"`
	Valid       bool     `parquet:"valid"`
}

// fill sets the row to sample i of a queue. The statistics point into b.
func (r *Row) fill(b *tracedb.Block, q collector.Queue, i int, id container.ID, c container.Container) {
	info := &collector.Queues[q]
	*r = Row{
		TimeNS: b.Start[i], TimeMS: b.Start[i] / 1e6, TickNS: b.End[i] - b.Start[i],
		ContainerID: id.String(), Container: c.Name, Service: c.Service,
		Queue: info.Name, Unit: info.Unit, Valid: b.Valid[q][i],
	}
	if !r.Valid {
		return
	}
	v := &b.Values[q]
	r.Mean, r.Max, r.Depth = &v[tracedb.StatMean][i], &v[tracedb.StatMax][i], &v[tracedb.StatDepth][i]
	r.Arrivals, r.Departures = &v[tracedb.StatArrivals][i], &v[tracedb.StatDepartures][i]
	r.WaitNS = &v[tracedb.StatWait][i]
	if v[tracedb.StatLimit][i] != 0 {
		r.Limit = &v[tracedb.StatLimit][i]
	}
}
