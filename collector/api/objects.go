package api

import "fmt"

// Object is a kind of thing that can be asked for.
type Object struct {
	Name  string
	Help  string
	Needs string // why this build has none to show; empty when it does
}

// Objects lists every object of the command line's contract, including those
// that this build recognises and cannot measure yet.
var Objects = []Object{
	{Name: "container", Help: "containers and the names their runtime gave them"},
	{Name: "service", Help: "services: the sums of their containers"},
	{Name: "queue", Help: "depth, limit, arrivals and wait of each queue"},
	{Name: "edge", Help: "who calls whom: connections from container to container"},
	{Name: "request", Help: "how long requests took, of containers that are counted exactly"},
	{Name: "socket", Help: "tracked sockets: bytes waiting, and whose move it is"},
	{Name: "packet", Help: "whose packets pass each network device, from a sample of headers"},
	{Name: "violation", Help: "intervals in which a QoS target was exceeded"},
	{Name: "alarm", Help: "predicted violations, with their culprit", Needs: "a prediction model"},
	{Name: "diagnosis", Help: "the contended resource behind an alarm", Needs: "a prediction model"},
	{Name: "action", Help: "what Seer changed, or would have", Needs: "a prediction model"},
	{Name: "model", Help: "the model that predicts, and how good it is", Needs: "a prediction model"},
	{Name: "probe", Help: "BPF programs, their cost, and what was given up"},
	{Name: "feature", Help: "kernel features, and what is lost without them"},
}

// ObjectByName returns the object called name, or false if there is none.
func ObjectByName(name string) (Object, bool) {
	for _, o := range Objects {
		if o.Name == name {
			return o, true
		}
	}
	return Object{}, false
}

// Unavailable returns why o has no rows in this build, or nil if it can have.
func (o Object) Unavailable() error {
	if o.Needs == "" {
		return nil
	}
	return fmt.Errorf("%s: not supported by this version of seer: it needs %s, which this version does not have", o.Name, o.Needs)
}
