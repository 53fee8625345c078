package container

import "fmt"

// ID identifies a container for as long as its cgroup lives.
//
// It is the key the BPF side computes from a task (bpf/account.bpf.h,
// owner_of): the 64-bit kernfs id of its cgroup, that is the inode number of
// the cgroup directory, in the cgroup v2 hierarchy; or, with Legacy set, in
// the cgroup v1 hierarchy chosen for this host; or, when grouping by program
// name, a hash of the name with ByComm set.
type ID uint64

// Marks in the top bits of an ID. Kernfs ids never reach them: the high half
// of a kernfs id is a small generation number.
const (
	Legacy ID = 1 << 63
	ByComm ID = 1 << 62
)

// CgroupID returns the kernfs id without the marks.
func (id ID) CgroupID() uint64 { return uint64(id &^ (Legacy | ByComm)) }

// String returns the ID as shown to people, in the form that selectors accept.
func (id ID) String() string {
	switch {
	case id&Legacy != 0:
		return fmt.Sprintf("v1:%d", id.CgroupID())
	case id&ByComm != 0:
		return fmt.Sprintf("comm:%x", id.CgroupID())
	}
	return fmt.Sprint(id.CgroupID())
}

// Container is one leaf cgroup that holds processes, with every name that its
// runtime gave it. Empty fields are unknown. A published Container is never
// modified.
type Container struct {
	ID        ID     `json:"id"`
	Name      string `json:"name"`    // short, unique on the host at any moment
	Service   string `json:"service"` // the microservice this is a replica of; never empty
	Runtime   string `json:"runtime"` // containerd, cri, docker, podman, lxc, systemd, cgroup, comm, host
	RuntimeID string `json:"runtime_id,omitempty"`
	Pod       string `json:"pod,omitempty"`       // pod name
	Namespace string `json:"namespace,omitempty"` // Kubernetes namespace
	Image     string `json:"image,omitempty"`
	Unit      string `json:"unit,omitempty"` // systemd unit that holds it
	Path      string `json:"path"`           // cgroup path in the hierarchy that identifies it, as the kernel has it; may hold any byte
}
