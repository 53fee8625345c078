// Package fault breaks an application that is up on the testbed, in every way
// that package campaign has a cause for, and mends it again.
//
//	i, err := fault.Prepare(ctx, b, campaign.Fault{Cause: campaign.CauseCPU, Culprit: "posts-storage", Intensity: 0.7})
//	// i.Fault is complete now (antagonist, peers): write it down as the truth,
//	err = i.Start(ctx) // and only then begin.
//	err = i.Stop(ctx)
//
// An application has one fault at a time. It is on record before it begins, and
// who begins the next one first ends what a killed injector left; so does Clear.
// All that a fault changes is in the application's own cgroups, namespaces and
// processes, so that taking it down ends it, too.
//
// What the causes do, at the least and at the most intensity. The simulator
// (infer/sim) has the same scale wherever it can.
//
//	lock, cycle, deadlock, pool, slow_dependency
//	                  a tier misbehaves, see package tier
//	packet_filter     a rule in front of the culprit lets 115 to 75 % of its mean packets per second pass
//	cpu               an antagonist takes the CPU to which the culprit is bound, up to half of every 250 ms
//	cpu_limit         220 to 40 % of the CPU time that the culprit used
//	network_shaping   200 to 50 % of the bandwidth that the culprit used for what it sends
//	network_loss      1 to 10 % of the packets to and from the culprit are lost
//	network_failure   no packet passes between any two containers, whatever the intensity
//	memory_bandwidth  an antagonist writes to memory whenever a CPU would be idle, up to all of that time
//	memory_capacity   90 to 0 % of the culprit's page cache, besides what its program cannot do without
//	disk              four threads write to the culprit's disk and sync, up to all the time
//
// A load spike is not injected here: it is part of the plan of the load.
package fault
