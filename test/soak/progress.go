//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress writes a line a minute, so that a long soak shows that it lives and
// how it fares.
type progress struct {
	out    io.Writer
	length time.Duration // of the whole run
	next   time.Duration // when the next line is due
	last   sample        // of the last line
}

func (p *progress) add(s sample) {
	if s.at < p.next {
		return
	}
	cpu := s.values["process_cpu_seconds_total"] - p.last.values["process_cpu_seconds_total"]
	share := 0.0
	if span := (s.at - p.last.at).Seconds(); span > 0 {
		share = cpu / span
	}
	losses := 0.0
	for series, n := range s.values {
		if strings.HasPrefix(series, "seer_losses_total{") {
			losses += n
		}
	}
	fmt.Fprintf(p.out, "soak: %s of %s, %s left: rss %.1f MB, cpu %.3f cores, %.0f fds, %.0f goroutines, %.0f containers, %.0f sockets, %.0f losses, %.0f points dropped\n",
		s.at.Round(time.Second), p.length, max(0, p.length-s.at).Round(time.Second),
		s.values["process_resident_memory_bytes"]/1e6, share, s.values["process_open_fds"], s.values["go_goroutines"],
		s.values["containers"], s.values["sockets"], losses, s.values["seer_tracedb_dropped_points_total"])
	p.last, p.next = s, s.at.Truncate(time.Minute)+time.Minute
}
