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
// What the causes do, and what an intensity of 1 means:
//
//	lock, cycle, deadlock, pool, slow_dependency
//	                  a tier misbehaves, see package tier
//	packet_filter     a rule in front of the culprit lets 60 % of its usual packets per second pass
//	cpu               an antagonist on the CPU to which the culprit is bound takes all of it for half of every 250 ms
//	cpu_limit         60 % of the CPU time that the culprit used
//	network_shaping   half of the bandwidth that the culprit used for what it sends
//	network_loss      10 % of the packets to and from the culprit are lost
//	network_failure   no packet passes between any two containers, whatever the intensity
//	memory_bandwidth  an antagonist writes to memory whenever a CPU would be idle
//	memory_capacity   nothing but the memory that the culprit's program cannot do without
//	disk              an antagonist writes to the culprit's disk and syncs, with four threads
//
// A load spike is not injected here: it is part of the plan of the load.
package fault
