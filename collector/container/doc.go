// Package container says which container a task belongs to and what people
// call it.
//
// The kernel side identifies a container by an [ID], computed per task from
// the hierarchies in [Choice]. [Resolver] computes the same ID from
// /proc/PID/cgroup ([Resolver.IDOf]) and turns IDs into names:
//
//   - [Resolver.Resolve] is for the tick path. It never blocks on a file, never
//     returns nil, and allocates only the first time it sees an ID.
//   - [Resolver.Refresh] does the work, off the tick path, about once a second:
//     it follows the cgroup trees, names what Resolve was asked for from the
//     state that the runtimes keep on disk, and notices what has gone.
//
// Names come from containerd, CRI (containerd and CRI-O), Docker and Podman
// state files, from systemd units and from the cgroup path, in that order, all
// at once on one host. No runtime's socket is used, so a runtime that hangs
// cannot hang Seer, and its API version does not matter.
//
// Everything read is bounded in size and number. A cgroup or a process that
// disappears while it is being read is an answer, not an error.
//
// The package reads only below the roots in [Config], so that tests run on
// recorded trees (testdata) without privileges.
package container
