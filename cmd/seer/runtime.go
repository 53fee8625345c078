package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// Seer is a guest on the host: most of the time it waits, and then it does
// little. Threads that spin for more work and a heap that may double before it
// is collected are of no use to it.
const (
	mostProcessors = 2  // one for passes, one for the rest
	heapGrowth     = 50 // percent of what is in use, before it is collected
)

// boundRuntime sets what the environment (GOMAXPROCS, GOGC) does not.
func boundRuntime() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > mostProcessors {
		runtime.GOMAXPROCS(mostProcessors)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}
