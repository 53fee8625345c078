// Package containerd runs the testbed's containers with a container runtime: a
// containerd of the application's own, beside whatever runs on the host, and runc.
//
// Its images are built here, as OCI layouts, from files on the machine. That of
// the testbed's own program holds the program, which is static, and nothing else.
// That of the real servers is empty but for mount points: a server and all it
// needs lie in /usr and /etc of the host, which it sees read-only. What Debian
// installed is so what runs, and no file is copied.
//
// The daemon, its shims and the mounts of the containers are in a mount
// namespace of their own, with a /run of their own; when the last of them is
// killed nothing of it is left. They are in a cgroup of the testbed's.
package containerd
