package packet

import (
	"time"

	"seer/collector/container"
)

// Party is whose a packet is.
type Party struct {
	Whose     Whose
	Container *container.Container // of Owned, else nil
}

// Report is what a survey found.
type Report struct {
	Devices    []Device // sampled
	Left       int      // devices beyond MaxDevices, which were not
	Every      int
	Took       time.Duration
	Passed     []Passed
	Shares     []Share
	Containers map[container.ID]*container.Container // of Shares
}

// Lost returns how many packets were sampled and came too fast for the reader.
func (r *Report) Lost() (n uint64) {
	for i := range r.Passed {
		n += r.Passed[i].Lost
	}
	return n
}

// Sampled returns how many packets were sampled and read.
func (r *Report) Sampled() (n uint64) {
	for i := range r.Shares {
		n += r.Shares[i].Sampled.Packets
	}
	return n
}
