package tier

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// Span is one line of the span log: one request served, or one call made.
type Span struct {
	Trace   string `json:"trace"` // 32 hex digits
	ID      string `json:"id"`    // 16
	Parent  string `json:"parent,omitempty"`
	Kind    string `json:"kind"` // "server" or "client"
	Service string `json:"service"`
	Replica string `json:"replica"`
	Peer    string `json:"peer,omitempty"` // of a call: the callee
	Name    string `json:"name"`           // the endpoint
	StartNS int64  `json:"start_ns"`       // Unix time
	EndNS   int64  `json:"end_ns"`
	Error   string `json:"error,omitempty"`
}

// traceContext is the part of a W3C traceparent that a tier passes on.
type traceContext struct {
	trace, parent string
}

// parseTrace begins a trace of its own where a request has none.
func parseTrace(rng *rand.Rand, traceparent string) traceContext {
	const size = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	if len(traceparent) < size || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return traceContext{trace: fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64()|1)}
	}
	return traceContext{trace: traceparent[3:35], parent: traceparent[36:52]}
}

// traceparent names a span of the trace.
func (c traceContext) traceparent(span string) string { return "00-" + c.trace + "-" + span + "-01" }

func spanID(rng *rand.Rand) string { return fmt.Sprintf("%016x", rng.Uint64()|1) }

// spanLog writes spans to a file until it is full. A nil one drops them.
type spanLog struct {
	mu      sync.Mutex
	file    *os.File
	w       *bufio.Writer
	left    int64
	dropped int64
}

func openSpanLog(path string, limit int64) (*spanLog, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("span log: %w", err)
	}
	return &spanLog{file: f, w: bufio.NewWriterSize(f, 64<<10), left: limit}, nil
}

func (l *spanLog) add(s *Span, start, end time.Time, err error) {
	if l == nil {
		return
	}
	s.StartNS, s.EndNS = start.UnixNano(), end.UnixNano()
	if err != nil {
		s.Error = err.Error()
	}
	line, err := json.Marshal(s)
	if err != nil {
		return // strings and numbers only
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left -= int64(len(line)) + 1; l.left < 0 {
		l.dropped++
		return
	}
	l.w.Write(append(line, '\n')) // its error stays until Flush
}

func (l *spanLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		slog.Warn("the span log was full", "dropped", l.dropped)
	}
	err := l.w.Flush()
	if cerr := l.file.Close(); err == nil {
		err = cerr
	}
	return err
}
