// Package sim is a discrete-event simulator of an application of microservices:
// the same topologies, faults and queues as the testbed, in virtual time.
//
// A request of a user, and each call that it causes, passes the stages that Seer
// measures: NIC, socket, epoll, worker, CPU, locks and disk of the service, the
// calls that it makes, and back through the send queue and the NIC. Workers,
// connections, CPUs, links, memory bandwidth and disks are bounded and shared, so
// that queues form where something is short, and back up into the callers.
// docs/SIMULATOR.md describes the model and its limits.
//
// Time is an integer number of nanoseconds, random numbers are hashes (random.go),
// and no result depends on the order of a map or on how a CPU rounds: a seed gives
// the same bytes on every machine. Two simulations of one seed agree in all that a
// difference between them, a fault or an action, does not touch.
//
//	s, err := sim.New(sim.Config{App: app, Seed: 1, Sink: sink})
//	err = s.Step(10 * time.Second)
//	err = s.Apply(sim.Action{Kind: sim.ActionCPULimit, Container: "web", Value: 2, Latency: 5 * time.Millisecond})
//	err = s.Step(20 * time.Second)
//
// A simulation is for one goroutine; independent ones run in parallel.
package sim
