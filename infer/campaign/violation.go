package campaign

// Violation is one line of violations.jsonl: a maximal interval in which the
// percentile of an entry service's latency exceeds its bound, gaps under one
// second merged.
type Violation struct {
	OnsetMS  int64   `json:"onset_ms"`
	EndMS    int64   `json:"end_ms"`
	Service  string  `json:"service"` // the entry whose users suffer
	P99MS    float64 `json:"p99_ms"`  // worst value of the promised percentile during it
	TargetMS float64 `json:"target_ms"`
	Fault    int     `json:"fault,omitempty"` // ID of the fault that explains it; 0: none does
}
