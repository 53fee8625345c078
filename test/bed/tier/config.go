package tier

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"time"

	"seer/infer/topology"
)

// Config is what one replica has to know. It travels as JSON.
type Config struct {
	Name    string            `json:"name"` // of the replica
	Service *topology.Service `json:"service"`
	Listen  string            `json:"listen"`  // ADDRESS:PORT
	Control string            `json:"control"` // path of the control socket, "" for none
	Seed    uint64            `json:"seed"`    // of the application; each replica makes its own of it

	// Target is what users of the application are promised, to which faults are
	// in proportion. Default 50 ms.
	Target time.Duration `json:"target_ns,omitempty"`

	// Peers are the services it calls, by name.
	Peers map[string]Peer `json:"peers,omitempty"`

	// Dir is where its files are: what its disk work writes, and the working
	// set of its memory work. Must exist if it does either.
	Dir string `json:"dir,omitempty"`
	// WorkingSet is the size of the latter, in bytes, by default 64 MiB; more
	// than the last-level cache, or memory work is none.
	WorkingSet int64 `json:"working_set,omitempty"`

	// Spans is the file to log spans to, a Span a line. "" for none.
	Spans string `json:"spans,omitempty"`
	// SpansBytes bounds it, by default to 256 MiB; then no more is logged.
	SpansBytes int64 `json:"spans_bytes,omitempty"`
}

// Peer is a service that is called.
type Peer struct {
	Kind     topology.Kind     `json:"kind"`
	Protocol topology.Protocol `json:"protocol"`
	Addrs    []string          `json:"addrs"` // ADDRESS:PORT of each replica

	// Sizes is how many bytes an endpoint of a real server is to return or to
	// store, by endpoint. By default 64.
	Sizes map[string]int `json:"sizes,omitempty"`
}

// Peers lists the services that one service of an application calls, as Config
// wants them. addrs returns the ADDRESS:PORT of each replica of a service.
func Peers(app *topology.App, service string, addrs func(service string) []string) map[string]Peer {
	peers := map[string]Peer{}
	caller := app.Service(service)
	if caller == nil {
		return peers
	}
	for _, name := range callees(caller) {
		callee := app.Service(name)
		if callee == nil {
			continue
		}
		p := Peer{Kind: callee.Kind, Protocol: callee.Protocol, Addrs: addrs(name), Sizes: map[string]int{}}
		for endpoint, steps := range callee.Endpoints {
			for _, s := range steps {
				if s.Work != nil && s.Work.Reply > 0 {
					p.Sizes[endpoint] += int(s.Work.Reply)
				}
			}
		}
		peers[name] = p
	}
	return peers
}

// callees returns whom a service calls, sorted.
func callees(s *topology.Service) []string {
	set := map[string]bool{}
	for _, steps := range s.Endpoints {
		for _, call := range steps.Calls() {
			set[call.Target.Service] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// LoadConfig reads a Config from a file.
func LoadConfig(path string) (Config, error) {
	var cfg Config
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &cfg)
	}
	if err != nil {
		return Config{}, fmt.Errorf("tier: read the configuration: %w", err)
	}
	return cfg, nil
}

// check refuses what Main could not run, and fills in defaults.
func (c *Config) check() error {
	if c.Service == nil {
		return errors.New("no service")
	}
	if c.Name == "" {
		c.Name = c.Service.Name
	}
	switch c.Service.Protocol {
	case topology.ProtocolThrift, topology.ProtocolGRPC, topology.ProtocolHTTP:
	default:
		return fmt.Errorf("service %q: protocol %q: a tier serves thrift, grpc or http", c.Service.Name, c.Service.Protocol)
	}
	for _, name := range callees(c.Service) {
		if len(c.Peers[name].Addrs) == 0 {
			return fmt.Errorf("service %q calls %q, of which peers has no address", c.Service.Name, name)
		}
	}
	if c.Service.Pool <= 0 {
		c.Service.Pool = 16
	}
	if c.Service.Backlog <= 0 {
		c.Service.Backlog = 511
	}
	if c.WorkingSet <= 0 {
		c.WorkingSet = 64 << 20
	}
	if c.Target <= 0 {
		c.Target = 50 * time.Millisecond
	}
	if c.SpansBytes <= 0 {
		c.SpansBytes = 256 << 20
	}
	return nil
}

// seed differs from replica to replica: two that draw the same numbers would be
// slow together.
func (c *Config) seed() uint64 {
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	return h.Sum64() ^ c.Seed
}
