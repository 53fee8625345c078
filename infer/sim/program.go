package sim

import (
	"fmt"
	"slices"
	"time"

	"seer/infer/topology"
)

// opKind is what a step of a program does.
type opKind uint8

const (
	opCPU      opKind = iota // compute for a sample of dist with mean amount ns, and read size bytes of memory
	opWait                   // wait for a sample of dist with mean amount ns
	opDisk                   // write size bytes and wait until they are on disk
	opReply                  // add size bytes to the answer
	opCall                   // call entry of service
	opFork                   // start the count branches that follow, go on at jump when all have ended
	opBranch                 // a branch begins at jump
	opJoin                   // a branch ends
	opLock                   // take lock number lock of the container
	opUnlock                 // give it back
	opSkip                   // jump, unless chance
	opHit                    // jump with chance if the call before succeeded
	opEnd                    // answer
	opResume                 // of a fault's program: go on with the endpoint's own
	opAccepted               // a connection has been accepted
	opSpin                   // an antagonist's thread goes on for ever
	opKernel                 // the kernel has done its work
)

// op is one step of a program. The steps of all endpoints are in one slice.
type op struct {
	kind    opKind
	async   bool
	soft    bool // a failed call is a miss, not the end of the endpoint
	retries uint8
	salt    uint32
	dist    int32
	service int32
	entry   int32 // of a call: the number of the endpoint
	slot    int32 // of a call: where the caller keeps its pools to the service
	jump    int32
	count   int32
	lock    int32
	timers  int32
	amount  int64
	size    int64
	chance  uint64
}

// endpoint is where a program begins.
type endpoint struct {
	service int32
	pc      int32
}

// Every program ends at one of these.
const (
	pcEnd int32 = iota
	pcJoin
	pcAccepted
	pcSpin
	pcKernel
)

// maxOps bounds the programs of an application: repeats are unrolled.
const maxOps = 1 << 20

// programs is every program of a simulation. Faults and updates append to it;
// what runs is never changed.
type programs struct {
	ops       []op
	endpoints []endpoint
	dists     []*distribution
	cvs       []float64 // of dists, for those that are log-normal
	timers    []timers
}

const (
	distExponential = iota
	distConstant
	firstLogNormal
)

func newPrograms() *programs {
	return &programs{
		ops:   []op{pcEnd: {kind: opEnd}, pcJoin: {kind: opJoin}, pcAccepted: {kind: opAccepted}, pcSpin: {kind: opSpin}, pcKernel: {kind: opKernel}},
		dists: []*distribution{newDistribution(exponential), newDistribution(constant)},
		cvs:   []float64{0, 0},
	}
}

// logNormal returns the number of the log-normal distribution with a
// coefficient of variation.
func (p *programs) logNormal(cv float64) int32 {
	if i := slices.Index(p.cvs[firstLogNormal:], cv); i >= 0 {
		return int32(i + firstLogNormal)
	}
	p.dists = append(p.dists, newDistribution(logNormal(cv)))
	p.cvs = append(p.cvs, cv)
	return int32(len(p.dists) - 1)
}

func (p *programs) timersFor(d time.Duration) int32 {
	for i := range p.timers {
		if p.timers[i].after == int64(d) {
			return int32(i)
		}
	}
	p.timers = append(p.timers, timers{after: int64(d)})
	return int32(len(p.timers) - 1)
}

// compiler turns the steps of one endpoint into ops.
type compiler struct {
	*programs
	service *service
	place   string // seeds the salts: unchanged by what else is compiled
	n       int
	// resolve returns the service and the endpoint that a target names.
	resolve func(topology.Target) (service, entry int32, err error)
	err     error
}

func (c *compiler) emit(o op) int32 {
	if len(c.ops) >= maxOps {
		c.err = fmt.Errorf("%s: the application has more than %d steps, repeats unrolled: repeat less", c.place, maxOps)
		return pcEnd
	}
	o.salt = saltOf(c.place, c.n)
	c.n++
	c.ops = append(c.ops, o)
	return int32(len(c.ops) - 1)
}

func (c *compiler) here() int32 { return int32(len(c.ops)) }

func (c *compiler) steps(steps []topology.Step) {
	for i := range steps {
		for range max(1, steps[i].Repeat) {
			if c.err != nil {
				return
			}
			c.step(&steps[i])
		}
	}
}

func (c *compiler) step(s *topology.Step) {
	skip := int32(-1)
	if s.Chance > 0 && s.Chance < 1 {
		skip = c.emit(op{kind: opSkip, chance: chanceOf(s.Chance)})
	}
	switch {
	case s.Work != nil:
		c.work(s.Work)
	case s.Call != nil:
		c.call(*s.Call, s, false)
	case s.Cache != nil:
		c.call(s.Cache.Call, s, true)
		hit := c.emit(op{kind: opHit, chance: chanceOf(s.Cache.Hit)})
		c.steps(s.Cache.Miss)
		if s.Cache.Fill != nil {
			c.call(*s.Cache.Fill, s, true)
		}
		c.ops[hit].jump = c.here()
	case s.Parallel != nil:
		c.parallel(s.Parallel)
	case s.Lock != nil:
		lock := c.service.lock(s.Lock.Name)
		c.emit(op{kind: opLock, lock: lock, timers: -1})
		c.steps(s.Lock.Steps)
		c.emit(op{kind: opUnlock, lock: lock})
	}
	if skip >= 0 {
		c.ops[skip].jump = c.here()
	}
}

func (c *compiler) work(w *topology.Work) {
	if w.CPU > 0 || w.Memory > 0 {
		cv := w.CV
		if cv <= 0 {
			cv = 0.5
		}
		c.emit(op{kind: opCPU, dist: c.logNormal(cv), amount: int64(w.CPU), size: int64(w.Memory), chance: chanceOf(w.Tail)})
	}
	if w.Disk > 0 {
		c.emit(op{kind: opDisk, size: int64(w.Disk)})
	}
	if w.Wait > 0 {
		c.emit(op{kind: opWait, dist: distExponential, amount: int64(w.Wait)})
	}
	if w.Reply > 0 {
		c.emit(op{kind: opReply, size: int64(w.Reply)})
	}
}

func (c *compiler) call(t topology.Target, s *topology.Step, soft bool) {
	service, entry, err := c.resolve(t)
	if err != nil && c.err == nil {
		c.err = err
		return
	}
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = time.Second
	}
	c.emit(op{
		kind: opCall, async: s.Async, soft: soft, retries: uint8(min(s.Retries, 255)),
		service: service, entry: entry, slot: c.service.slot(service), timers: c.timersFor(timeout),
	})
}

func (c *compiler) parallel(branches []topology.Step) {
	fork := c.emit(op{kind: opFork, count: int32(len(branches))})
	for range branches {
		c.emit(op{kind: opBranch})
	}
	for i := range branches {
		c.ops[fork+1+int32(i)].jump = c.here()
		c.steps(branches[i : i+1])
		c.emit(op{kind: opJoin})
	}
	c.ops[fork].jump = c.here()
}
