//go:build linux

package load

import (
	"context"
	"net"
	"net/netip"

	"seer/test/bed"
	"seer/test/bed/host"
)

// Aim sets where users find an application, and how they get there: from the end
// of the bed's links that is no container's.
func (c *Config) Aim(b *bed.Bed) {
	c.Entries = map[string]Entry{}
	for _, name := range b.App.Entries() {
		c.Entries[name] = Entry{Protocol: b.App.Service(name).Protocol, Addrs: b.Entry(name)}
	}
	router := host.Namespace{Path: b.RouterNetns()}
	c.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		return router.Dial(ctx, to)
	}
}
