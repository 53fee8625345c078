// Package host makes containers out of what the kernel has, without a runtime:
// one cgroup in every hierarchy that limits or identifies something, and one
// network namespace with a link to a bridge.
//
//	container A --eth0 / sb1-- router namespace: bridge sb0 --sb2 / eth0-- container B
//
// The bridge lives in a namespace of its own. Nothing of it shows among the
// host's links, routes and rules, and no address can clash with the host's; all
// that a fault adds to a link or a rule set vanishes with its namespace.
//
// Whatever outlives a call is written to a [Journal] before it is created, and
// [Remove] takes a journal's entries away again, whoever died in between and
// wherever. It touches nothing else: processes are known by process id and start
// time or by being in a cgroup of ours, the rest by path.
//
// A program that uses the package calls [Launch] first thing in main: processes
// are started by way of a copy of it, which enters the container and then becomes
// the program asked for.
package host
