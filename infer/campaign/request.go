package campaign

// Status is how a request of a user ended.
type Status string

// The ways to end.
const (
	StatusOK      Status = "ok"
	StatusError   Status = "error"
	StatusTimeout Status = "timeout" // the user gave up; the latency is the time until then
)

// Request is one row of requests.parquet, in order of IntendedUS.
//
// Latency counts from the moment at which the request was meant to be sent, not
// from when it was: a generator that falls behind would else not see the
// slowness that it waits for (coordinated omission).
//
// Strings have no dictionaries: parquet-go v0.32 numbers them in another order
// with its assembly than without, and a file's bytes must not depend on the CPU.
type Request struct {
	IntendedUS int64  `parquet:"intended_us,delta"`
	SentUS     int64  `parquet:"sent_us,delta"`
	LatencyUS  int64  `parquet:"latency_us"`
	Type       string `parquet:"type"`
	Service    string `parquet:"service"` // the entry
	Status     string `parquet:"status"`
}
