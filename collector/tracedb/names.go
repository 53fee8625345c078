package tracedb

import "seer/collector/container"

// Names says whose a container ID was at a time.
type Names struct {
	records map[container.ID][]ContainerRecord // each by First
}

// NewNames indexes records as Store.Containers returns them.
func NewNames(records []ContainerRecord) Names {
	n := Names{records: make(map[container.ID][]ContainerRecord)}
	for _, r := range records {
		n.records[r.ID] = append(n.records[r.ID], r)
	}
	return n
}

// At returns the container that had an ID at a time, nanoseconds since the
// epoch: that of the last record which began before, else of the first. A
// container without a record has no names but its ID.
func (n Names) At(id container.ID, ns int64) container.Container {
	records := n.records[id]
	if len(records) == 0 {
		return container.Container{ID: id, Name: id.String(), Service: id.String()}
	}
	found := &records[0]
	for i := range records[1:] {
		if records[i+1].First.UnixNano() > ns {
			break
		}
		found = &records[i+1]
	}
	return found.Container
}
