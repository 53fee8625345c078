// Package lab builds small worlds whose queues are known by construction:
// containers (one cgroup each, optionally a network namespace and a CPU
// limit) and processes in them that do exactly what the test says.
//
// It is the ground truth of the privileged tests and of the benchmarks, so it
// knows nothing of Seer: its own tests hold every workload to what the kernel
// says (getsockopt, ioctl, /proc, ss where there is one).
//
// How a test uses it:
//
//	func TestMain(m *testing.M) { lab.Main(m, nil) }
//
//	web := lab.NewContainer(t, "web", lab.Options{})
//	p := web.Sockets()                          // a process born in web's cgroup
//	l := p.Listen("tcp4", "127.0.0.1:0", 128)   // ... which listens,
//	p.Connect("tcp4", l.Addr, 23)               // connects, and never accepts
//
// The test binary is its own workload: a child is /proc/self/exe with
// SEER_LAB_WORKLOAD set, told what to do in JSON lines on its standard input
// and answering on its standard output, each answer given after the system
// calls have returned. A test therefore never has to guess or sleep. No
// external program is needed.
//
// Cleaning: children die with the process that started them; a container's
// processes are killed and its cgroups removed at the end of the test, also
// when it panics; what a killed run left behind is swept by the next one.
// Network namespaces have no name and vanish with their last process.
//
// Limits: it needs root and a writable cgroup v2 hierarchy; veth in the
// kernel for Network, sch_tbf for Throttle.
package lab
