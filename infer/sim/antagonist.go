package sim

import "seer/collector"

// spin lets an antagonist compute on the CPUs of each replica of the culprit:
// its threads take turns with the replica's own, and let everybody else go
// first. They are so many that each turn is wait times what users are promised
// away.
func (s *Simulation) spin(f *fault, wait float64) {
	a := s.containers[f.antagonist]
	for _, victim := range s.victims(f, false) {
		v := s.containers[victim]
		h := &s.hosts[v.host]
		n := h.cores + int32(wait*s.target()/quantum*float64(h.cores)+0.5)
		v.cpu.spins += n
		h.spins += n
		a.cpu.threads += n
		for range n {
			i, t := s.tasks.new()
			t.container, t.pc, t.entry = f.antagonist, pcSpin, victim
			t.flags = flagSpin
			s.advance(i, t)
		}
	}
}

// unspin ends the threads of an antagonist where they are met next.
func (s *Simulation) unspin(f *fault) {
	a := s.containers[f.antagonist]
	for _, victim := range s.victims(f, false) {
		v := s.containers[victim]
		h := &s.hosts[v.host]
		h.spins -= v.cpu.spins
		a.cpu.threads -= v.cpu.spins
		v.cpu.spins = 0
		s.dropSpins(&v.cpu.run, a)
		for at := h.firstCore; at < h.firstCore+h.cores; at++ {
			if p := &s.cores[at]; p.task != none && s.tasks.at(p.task).is(flagSpin) && s.tasks.at(p.task).entry == victim {
				i, _, _ := s.stop(at)
				s.tasks.release(i)
			}
		}
	}
	s.dropSpins(&a.cpu.run, a)
	a.cpu.limit = 0
	s.countRun(a)
	for _, victim := range s.victims(f, false) {
		s.offer(victim, s.containers[victim])
		s.dispatch(s.containers[victim].host)
	}
}

// dropSpins takes the antagonist's threads out of a queue.
func (s *Simulation) dropSpins(q *fifo, a *container) {
	for range q.n {
		i := q.pop(&s.tasks)
		if !s.tasks.at(i).is(flagSpin) {
			q.push(&s.tasks, i)
			continue
		}
		a.cpu.ready--
		s.tasks.release(i)
	}
}

const (
	cacheHarm     = 3.0  // of full intensity: CPU time of the culprit in addition, its cache lost
	neighbourHarm = 0.1  // of those on the same host, whose share of the cache shrinks a little
	stolenShare   = 1.25 // of the memory bandwidth that the antagonist asks for
)

// thrash lets an antagonist stream through memory on the culprit's hosts, as
// hard as it says, 0: no longer.
func (s *Simulation) thrash(f *fault, hard float64) {
	victims := s.victims(f, false)
	for _, n := range victims {
		h := s.containers[n].host
		s.hosts[h].mem.stolen = int64(stolenShare * hard * float64(s.memBandwidth))
		for _, c := range s.containers {
			if c.host == h {
				c.cpu.slow = unit + int64(neighbourHarm*hard*unit)
			}
		}
	}
	for _, n := range victims {
		s.containers[n].cpu.slow = unit + int64(cacheHarm*hard*unit)
	}
	a := s.containers[f.antagonist]
	a.cpu.slow = unit
}

// streamBytes is what an antagonist of the disk writes at once.
const streamBytes = 1 << 20

// streamOn asks for one more write of the antagonist, in the queue of its
// victim: it writes to the same files or volume, as a backup would.
func (s *Simulation) streamOn(number, victim int32) {
	s.heap.push(s.queueDisk(s.containers[victim], streamBytes), evStream, number, victim)
}

// stream is what happens at evStream: a write is done, the next one begins,
// unless the antagonist is throttled to fewer at once.
func (s *Simulation) stream(number, victim int32) {
	f := &s.faults[number]
	a := s.containers[f.antagonist]
	s.countDisk(a, -1)
	if !f.on || a.gauges[collector.QueueBlockIO] >= int64(f.streams) {
		return
	}
	s.countDisk(a, 1)
	s.streamOn(number, victim)
}
