//go:build linux

package bed

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"seer/infer/topology"
	"seer/test/bed/host"
)

// Options say where and how an application runs. The zero value is the default.
type Options struct {
	State string // directory of journals and sockets, default /run/seer-bed
	Data  string // directory of data, on a disk, default /var/lib/seer-bed

	// Program is what runs the tiers, as "PROGRAM tier --config FILE"; a static
	// binary. By default this process's own.
	Program string

	Runtime Runtime // who makes the containers

	Seed  uint64 // of the tiers
	Spans bool   // tiers log their spans into their data directories

	// Progress is called, by one goroutine at a time, whenever a service has
	// become ready.
	Progress func(Progress)
}

// Progress is how far Up has come.
type Progress struct {
	Service      string // which has just become ready
	Ready, Total int    // services
	Elapsed      time.Duration
}

func (o Options) state(app string) string {
	return filepath.Join(cmp.Or(o.State, "/run/seer-bed"), app)
}

func (o Options) data(app string) string {
	return filepath.Join(cmp.Or(o.Data, "/var/lib/seer-bed"), app)
}

// Bed is an application that is up.
type Bed struct {
	App     *topology.App
	Started time.Time
	Took    time.Duration // until it was ready
	Data    string        // its directory on the disk that its services use

	state      string
	record     record
	journal    *host.Journal
	host       *host.Host
	network    *host.Network
	containers []Container
}

// Container is one replica of a service.
type Container struct {
	Name    string // of the replica, as topology.App.Containers has it
	Service string
	Kind    topology.Kind

	Addr    netip.AddrPort // where it serves, inside the bed's network
	Netns   string         // path of its network namespace; its link is eth0 there
	Veth    string         // the other end of that link, on the bridge in Bed.RouterNetns
	Control string         // control socket of a tier, "" for a real server
	Dir     string         // its files on disk
	Log     string         // file with what its program said

	Cgroup *host.Cgroup

	process processID
}

// CgroupPath returns the directory that a controller ("cpu", "cpuacct", "memory",
// "blkio", "pids") acts on, or with [host.Unified] the one in cgroup v2.
func (c *Container) CgroupPath(controller string) string { return c.Cgroup.Path(controller) }

// PIDs returns the container's processes, in no order.
func (c *Container) PIDs() []int { return c.Cgroup.PIDs() }

// PID returns its first process, the one that was started, 0 if that has ended.
func (c *Container) PID() int {
	if host.Alive(c.process.PID, c.process.Start) {
		return c.process.PID
	}
	return 0
}

// Containers returns all replicas, in the order of the topology.
func (b *Bed) Containers() []Container { return slices.Clone(b.containers) }

// Replicas returns the containers of one service, none for one that is unknown.
func (b *Bed) Replicas(service string) []Container {
	var own []Container
	for _, c := range b.containers {
		if c.Service == service {
			own = append(own, c)
		}
	}
	return own
}

// Entry returns the addresses of a service's replicas, as ADDRESS:PORT. They can
// be reached from the namespaces of the bed: those of Run's containers, and
// RouterNetns.
func (b *Bed) Entry(service string) []string {
	var addrs []string
	for i := range b.containers { // not copied: while it starts, its process is written
		if c := &b.containers[i]; c.Service == service {
			addrs = append(addrs, c.Addr.String())
		}
	}
	return addrs
}

// RouterNetns returns the path of the namespace that holds the bridge
// ([host.Bridge]) and one end of every container's link.
func (b *Bed) RouterNetns() string { return b.network.Router.Path }

// ParentCgroup returns the name, below the root of every hierarchy, of the cgroup
// that holds those of the containers.
func (b *Bed) ParentCgroup() string { return b.host.Parent }

// cgroupPrefix begins the name of every parent cgroup.
const cgroupPrefix = "seerbed-"

// record is bed.json: what Open has to know.
type record struct {
	Started    time.Time       `json:"started"`
	ReadyAfter time.Duration   `json:"ready_after_ns"` // 0 until it is
	Subnet     netip.Prefix    `json:"subnet"`
	Data       string          `json:"data"`
	Processes  []processRecord `json:"processes"`
}

type processRecord struct {
	Container string `json:"container"`
	processID
}

type processID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Files in the state directory.
const (
	journalFile  = "journal.jsonl"
	recordFile   = "bed.json"
	topologyFile = "topology.yaml"
	lockFile     = "lock"
	dataMark     = ".seerbed" // in the data directory: it is ours
)

// ErrDown is the error of an application that is not up.
var ErrDown = errors.New("not up")

// Open returns an application that is up.
func Open(app string, o Options) (*Bed, error) {
	state := o.state(app)
	text, err := os.ReadFile(filepath.Join(state, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is %w: start it with `seerbed up --app %s`", app, ErrDown, app)
	}
	if err != nil {
		return nil, err
	}
	b := &Bed{state: state}
	if err := json.Unmarshal(text, &b.record); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(state, recordFile), err)
	}
	if b.record.ReadyAfter == 0 {
		return nil, fmt.Errorf("%s is %w: it is being started, or that was cut short: `seerbed down --app %s` clears up", app, ErrDown, app)
	}
	if b.App, err = topology.Load(filepath.Join(state, topologyFile)); err != nil {
		return nil, err
	}
	if b.journal, err = host.OpenJournal(filepath.Join(state, journalFile)); err != nil {
		return nil, err
	}
	if b.host, err = host.Open(b.journal, cgroupPrefix+app); err != nil {
		return nil, err
	}
	b.Started, b.Took, b.Data = b.record.Started, b.record.ReadyAfter, b.record.Data
	b.network = host.OpenNetwork(b.journal, filepath.Join(state, "net"), b.record.Subnet)
	b.place()
	for i := range b.containers {
		for _, p := range b.record.Processes {
			if p.Container == b.containers[i].Name {
				b.containers[i].process = p.processID
			}
		}
	}
	return b, nil
}

// Close lets go of an application without taking it down.
func (b *Bed) Close() error { return b.journal.Close() }

// place says where each container is, which follows from the topology.
func (b *Bed) place() {
	for i, c := range b.App.Containers() {
		service := b.App.Service(c.Service)
		link := b.network.Link(c.Name, i+1)
		placed := Container{
			Name: c.Name, Service: c.Service, Kind: service.Kind,
			Addr:  netip.AddrPortFrom(link.Addr, port(service)),
			Netns: link.Namespace.Path, Veth: link.Veth,
			Dir:    filepath.Join(b.Data, c.Name),
			Log:    filepath.Join(b.state, "log", c.Name),
			Cgroup: b.host.Container(c.Name, link).Cgroup,
		}
		if service.Kind == topology.KindApp {
			placed.Control = filepath.Join(b.state, "run", c.Name, "control")
		}
		b.containers = append(b.containers, placed)
	}
}

// save writes bed.json.
func (b *Bed) save() error {
	text, err := json.MarshalIndent(b.record, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(b.state, recordFile), text)
}

// saveTopology keeps the topology as it is, whatever becomes of its file.
func (b *Bed) saveTopology() error {
	text, err := yaml.Marshal(b.App)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(b.state, topologyFile), text)
}

// writeFile replaces a file at once: who reads it sees all or nothing.
func writeFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
