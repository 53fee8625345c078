package api

import "encoding/json"

// Schema is the version of every document that inspect -j prints and the
// control socket serves. Fields are added freely; a change of meaning or a
// removal is a new version.
const Schema = 1

// Document is the answer to one question (DESIGN.md section 10).
type Document struct {
	Schema int             `json:"schema"`
	Object string          `json:"object"`
	TickMS float64         `json:"tick_ms"`
	Losses uint64          `json:"losses"`
	Rows   json.RawMessage `json:"rows"`
}

// QueueRow is one queue of one container over the last tick.
type QueueRow struct {
	Container  string   `json:"container"`
	Service    string   `json:"service"`
	CgroupID   uint64   `json:"cgroup_id"`
	Queue      string   `json:"queue"`
	Unit       string   `json:"unit"`
	Depth      float64  `json:"depth"`
	Mean       float64  `json:"mean"`
	Max        float64  `json:"max"`
	Limit      *float64 `json:"limit"` // null where none
	Arrivals   float64  `json:"arrivals"`
	Departures float64  `json:"departures"`
	WaitMS     float64  `json:"wait_ms"`
	Valid      bool     `json:"valid"`
	Reason     string   `json:"reason,omitempty"` // why it is not valid
}
