package qos

// Evidence is what spoke for or against one service.
type Evidence struct {
	Service string `json:"service"`
}
