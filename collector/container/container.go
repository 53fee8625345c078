package container

import (
	"hash/fnv"
	"strconv"
	"strings"
)

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

// exactBits is how many bits a JSON reader that holds numbers as float64, as
// jq and JavaScript do, keeps.
const exactBits = 53

// NamedID returns the ID of what has a name and no cgroup on this host, such as a
// service of which only traces are known: a hash of the name (FNV-1a), as that of
// a program is.
func NamedID(name string) ID {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name)) // cannot fail
	return ID(hash.Sum64())&^Legacy | ByComm
}

// CgroupID returns the kernfs id without the marks, as stat(1) shows it for the
// cgroup's directory; it fits a float64. A program name has no cgroup: the low
// bits of its hash stand in.
func (id ID) CgroupID() uint64 {
	if id&ByComm != 0 {
		return uint64(id) & (1<<exactBits - 1)
	}
	return uint64(id &^ Legacy)
}

// String returns the ID as shown to people, in the form that selectors accept.
func (id ID) String() string {
	text, _ := id.AppendText(nil)
	return string(text)
}

// AppendText implements [encoding.TextAppender]: "4321", "v1:4321", "comm:9f".
func (id ID) AppendText(b []byte) ([]byte, error) {
	switch {
	case id&Legacy != 0:
		b = append(b, "v1:"...)
	case id&ByComm != 0:
		return strconv.AppendUint(append(b, "comm:"...), uint64(id&^ByComm), 16), nil
	}
	return strconv.AppendUint(b, id.CgroupID(), 10), nil
}

// MarshalText writes the ID as String does: in JSON it is a string, since its
// marks are beyond what many readers keep of a number.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalJSON reads what MarshalText wrote, and the bare number, marks
// included, of records that are older than it.
func (id *ID) UnmarshalJSON(text []byte) (err error) {
	*id, err = ParseID(strings.Trim(string(text), `"`))
	return err
}

// Container is one leaf cgroup that holds processes, with every name that its
// runtime gave it. Empty fields are unknown. A published Container is never
// modified.
type Container struct {
	ID        ID     `json:"id"`
	Name      string `json:"name"`    // short, unique on the host at any moment
	Service   string `json:"service"` // the microservice this is a replica of; never empty
	Runtime   string `json:"runtime"` // containerd, cri, docker, podman, lxc, systemd, cgroup, comm, host, import
	RuntimeID string `json:"runtime_id,omitempty"`
	Pod       string `json:"pod,omitempty"`       // pod name
	Namespace string `json:"namespace,omitempty"` // Kubernetes namespace
	Image     string `json:"image,omitempty"`
	Unit      string `json:"unit,omitempty"` // systemd unit that holds it
	Path      string `json:"path"`           // cgroup path in the hierarchy that identifies it, as the kernel has it; may hold any byte
}
