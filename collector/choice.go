package collector

import (
	"maps"
	"sync"

	"seer/collector/container"
)

// Pick says whether the requests of a container are to be counted exactly. It is
// called when a container is met or renamed, on the sampler's goroutine.
type Pick func(*container.Container) bool

// choice is who wants the requests of whom counted: the operator, the promises of
// entry services, a diagnosis. A container is counted while any of them picks it.
type choice struct {
	mu      sync.Mutex
	picks   map[string]Pick // by purpose
	version uint64          // another one after each change, from 1
}

// set gives a purpose another pick; nil takes it away.
func (c *choice) set(purpose string, pick Pick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	picks := maps.Clone(c.picks)
	if picks == nil {
		picks = map[string]Pick{}
	}
	delete(picks, purpose)
	if pick != nil {
		picks[purpose] = pick
	}
	c.picks = picks
	c.version++
}

// now returns the picks in force, which are not modified any more.
func (c *choice) now() (picks map[string]Pick, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.picks, c.version
}

func picked(picks map[string]Pick, is *container.Container) bool {
	for _, pick := range picks {
		if pick(is) {
			return true
		}
	}
	return false
}
