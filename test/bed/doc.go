// Package bed runs an application as real processes on one host: each replica of
// each service in a cgroup and a network namespace of its own, real servers where
// the topology has them, else the testbed's own program (package tier).
//
//	b, err := bed.Up(ctx, app, bed.Options{})   create, start, wait until ready
//	b, err := bed.Open("social-network", bed.Options{})   one that is up, from another process
//	b.Run(ctx, "load", host.Limits{}, cmd)      one more container, beside the services
//	bed.Down(ctx, "social-network", bed.Options{})   remove all of it
//
// An application that is up lives on its own: no process of ours has to stay.
// What exists is in a journal (package host) that is written ahead, so that Down
// finds all of it no matter who was killed when, and nothing else.
//
//	/run/seer-bed/APP/        journal.jsonl, bed.json (who is where), lock
//	    log/CONTAINER         what its program said
//	    net/CONTAINER         its network namespace
//	    run/CONTAINER/        configuration and control socket of a tier
//	/var/lib/seer-bed/APP/    data of the servers and files of the tiers, on disk
//
// In every cgroup hierarchy there is seerbed-APP/CONTAINER.
//
// Applications do not touch each other, several can be up at once. One
// application is up once; a second Up is refused.
package bed
