package protocol

import (
	"cmp"
	"slices"
)

// Other is the name that requests go by beyond the cap.
const Other = "~other"

// MaxNames is how many different requests of one container are told apart.
const MaxNames = 200

// Names counts the requests of one container by name. The zero value is empty. The
// first MaxNames are counted each for themselves, the rest as Other, one for each
// protocol.
type Names struct {
	counts map[Request]uint64
	named  int
	total  uint64
}

// Add counts one request.
func (n *Names) Add(r Request) {
	if n.counts == nil {
		n.counts = make(map[Request]uint64)
	}
	n.total++
	if _, known := n.counts[r]; !known {
		if n.named == MaxNames {
			r.Name = Other
		} else {
			n.named++
		}
	}
	n.counts[r]++
}

// Counted is how often a request was seen.
type Counted struct {
	Request
	Count uint64
	Share float64 // of all that Names has seen
}

// List returns the requests, the most frequent first.
func (n *Names) List() []Counted {
	list := make([]Counted, 0, len(n.counts))
	for r, c := range n.counts {
		list = append(list, Counted{r, c, float64(c) / float64(n.total)})
	}
	slices.SortFunc(list, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name))
	})
	return list
}
