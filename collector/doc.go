// Package collector measures the queues of every container on a Linux host.
//
// [Queues] is the table of queues, and the only list of them: columns, metrics,
// help, model features and docs/QUEUES.md derive from it. A [Collector] loads
// the programs of package bpf, takes passes over the kernel's objects, and hands
// one [Tick] after another to its sinks:
//
//	c, err := collector.New(collector.Config{})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	return c.Run(ctx, sink)
//
// New attaches and starts no goroutine; Run samples until its context ends;
// Close detaches. What the kernel refuses takes its own queues down and nothing
// else: their cells are not Valid, and Probes says why. Without sockets there is
// nothing to measure, and New returns an error that wraps [ErrUnsupported].
//
// A pass looks at all objects of one family (sockets, threads, epoll instances)
// at one instant. A tick is the sample that several passes make: Depth is the
// last pass's, Mean is over the tick. Nothing runs when a request is sent or
// received, unless Config.Exact asks for request hooks.
//
// The collector keeps its own CPU time inside Config.CPUBudget by giving up, in
// this order, exact counts, passes, visits to quiet sockets, and whole passes
// per tick (budget.go). Cost says what was given up. Facts that were dropped are
// counted, by reason, and returned by Losses.
//
// Only the parts that describe queues, ticks and health build outside Linux.
package collector
