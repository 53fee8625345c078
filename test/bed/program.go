//go:build linux

package bed

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"seer/infer/topology"
	"seer/test/bed/host"
	"seer/test/bed/servers"
	"seer/test/bed/tier"
)

// port returns where a service listens.
func port(s *topology.Service) uint16 {
	if p := servers.Port(s.Kind); p != 0 {
		return p
	}
	switch s.Protocol {
	case topology.ProtocolHTTP:
		return 8080
	case topology.ProtocolGRPC:
		return 50051
	}
	return 9090
}

// command configures the program of a container and returns what runs it.
func (b *Bed) command(ctx context.Context, c *Container, o Options, t *servers.Templates) (*exec.Cmd, error) {
	if c.Kind != topology.KindApp {
		peers := map[string][]netip.AddrPort{}
		for i := range b.containers { // by index: their processes are written meanwhile
			other := &b.containers[i]
			peers[other.Service] = append(peers[other.Service], other.Addr)
		}
		return servers.Command(ctx, servers.Config{
			App: b.App, Service: b.App.Service(c.Service), Addr: c.Addr, Dir: c.Dir, Peers: peers,
		}, t)
	}
	config := tier.Config{
		Name: c.Name, Service: b.App.Service(c.Service), Listen: c.Addr.String(), Control: c.Control,
		Seed: o.Seed, Target: b.App.QoS[0].Target, Peers: tier.Peers(b.App, c.Service, b.Entry), Dir: c.Dir,
	}
	if o.Spans {
		config.Spans = filepath.Join(c.Dir, "spans.jsonl")
	}
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(filepath.Dir(c.Control), "tier.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(b.program(), "tier", "--config", file)
	cmd.Dir = c.Dir
	return cmd, nil
}

// program is the copy of the tiers' program. A copy, since users without rights
// may not reach the original, and a build may replace it.
func (b *Bed) program() string { return filepath.Join(b.Data, "bin", "seerbed") }

// copyProgram makes it.
func (b *Bed) copyProgram(o Options) error {
	in := cmp.Or(o.Program, "/proc/self/exe")
	text, err := os.ReadFile(in)
	if err != nil {
		return fmt.Errorf("the tiers' program: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(b.program()), 0o755); err != nil {
		return err
	}
	return os.WriteFile(b.program(), text, 0o755)
}

// check asks a container, in its own protocol, whether it serves. A tier is
// asked by way of its control socket, which opens when it listens and has
// reached whom it calls.
func (b *Bed) check(ctx context.Context, c *Container) error {
	if c.Kind == topology.KindApp {
		return checkTier(ctx, c.Control)
	}
	conn, err := b.network.Router.Dial(ctx, c.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	return servers.Check(c.Kind)(conn)
}

func checkTier(ctx context.Context, socket string) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tier/stats", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("its control socket answers %s", answer.Status)
	}
	return nil
}

// limits of a service's replicas.
func limits(s *topology.Service) host.Limits {
	return host.Limits{CPUs: s.CPULimit, Memory: int64(s.MemoryLimit)}
}
