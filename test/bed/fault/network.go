//go:build linux

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seer/test/bed"
	"seer/test/bed/host"
)

// containerLink is a container's end of its link.
const containerLink = "eth0"

// withLink calls do with a link in a network namespace.
func withLink(namespace, name string, do func(*netlink.Handle, netlink.Link) error) error {
	h, err := host.Namespace{Path: namespace}.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return do(h, link)
}

// linkCounter reads a counter of a container's link.
func linkCounter(c *bed.Container, read func(*netlink.LinkStatistics) uint64) (n float64, err error) {
	err = withLink(c.Netns, containerLink, func(_ *netlink.Handle, link netlink.Link) error {
		n = float64(read(link.Attrs().Statistics))
		return nil
	})
	return n, err
}

// shaping limits the bandwidth of what the culprit sends by a token bucket.
type shaping struct {
	target
	bytesPerSecond []float64 // of each replica
}

const (
	minRate  = 2000 // bytes per second
	tbfBurst = 4096 // bytes: one segment at least
	// tbfQueue is how much waits in the queue before packets are lost.
	tbfQueueSeconds = 1
	minTBFQueue     = 64 << 10
)

func (e *shaping) prepare(ctx context.Context) (err error) {
	e.bytesPerSecond, err = e.rates(ctx, func(c *bed.Container) (float64, error) {
		return linkCounter(c, func(s *netlink.LinkStatistics) uint64 { return s.TxBytes })
	})
	for i, used := range e.bytesPerSecond {
		// A link that is a little faster than the mean makes bursts wait.
		e.bytesPerSecond[i] = max(minRate, used*share(e.fault.Intensity, 2, 0.5))
	}
	return err
}

func (e *shaping) start(context.Context) error {
	i := -1
	return e.each(func(c *bed.Container) error {
		i++
		return withLink(c.Netns, containerLink, func(h *netlink.Handle, link netlink.Link) error {
			return h.QdiscReplace(tokenBucket(link, uint64(e.bytesPerSecond[i])))
		})
	})
}

func tokenBucket(link netlink.Link, bytesPerSecond uint64) *netlink.Tbf {
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       bytesPerSecond,
		Limit:      uint32(max(minTBFQueue, bytesPerSecond*tbfQueueSeconds)),
		Buffer:     netlink.Xmittime(bytesPerSecond, tbfBurst),
	}
}

func (e *shaping) stop(context.Context) error {
	return e.each(func(c *bed.Container) error {
		return withLink(c.Netns, containerLink, func(h *netlink.Handle, link netlink.Link) error {
			err := h.QdiscDel(tokenBucket(link, minRate))
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
				return nil // there is none
			}
			return err
		})
	})
}

// packetLoss loses packets at random, those that the culprit gets and those that
// it sends.
type packetLoss struct{ target }

func (e *packetLoss) prepare(context.Context) error { return nil }

func (e *packetLoss) start(ctx context.Context) error {
	perMille := int(share(e.fault.Intensity, 10, 100))
	return e.each(func(c *bed.Container) error {
		return addRules(ctx, c, fmt.Sprintf("numgen random mod 1000 < %d counter drop", perMille), "input", "output")
	})
}

func (e *packetLoss) stop(ctx context.Context) error {
	return e.each(func(c *bed.Container) error { return removeRules(ctx, c) })
}

// packetFilter is a rule that was meant to keep floods away, and is too strict
// for the culprit's usual traffic.
type packetFilter struct {
	target
	packetsPerSecond []float64 // of each replica
}

func (e *packetFilter) prepare(ctx context.Context) (err error) {
	e.packetsPerSecond, err = e.rates(ctx, func(c *bed.Container) (float64, error) {
		return linkCounter(c, func(s *netlink.LinkStatistics) uint64 { return s.RxPackets })
	})
	for i, used := range e.packetsPerSecond {
		e.packetsPerSecond[i] = max(1, used*share(e.fault.Intensity, 1.15, 0.75))
	}
	return err
}

func (e *packetFilter) start(ctx context.Context) error {
	i := -1
	return e.each(func(c *bed.Container) error {
		i++
		return addRules(ctx, c, fmt.Sprintf("limit rate over %.0f/second burst 5 packets counter drop", e.packetsPerSecond[i]), "input")
	})
}

func (e *packetFilter) stop(ctx context.Context) error {
	return e.each(func(c *bed.Container) error { return removeRules(ctx, c) })
}

// ruleTable holds the rules of a fault in the culprit's namespace.
const ruleTable = "inet seerbed"

// addRules puts one rule for everything that passes the container's link into
// each of some chains.
func addRules(ctx context.Context, c *bed.Container, rule string, hooks ...string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "table %s {\n", ruleTable)
	for _, hook := range hooks {
		direction := map[string]string{"input": "iifname", "output": "oifname"}[hook]
		fmt.Fprintf(&text, "chain %s {\ntype filter hook %[1]s priority 0; policy accept;\n%s %q %s\n}\n", hook, direction, containerLink, rule)
	}
	text.WriteString("}\n")
	return nft(ctx, c.Netns, text.String())
}

// removeRules removes them, if there are any.
func removeRules(ctx context.Context, c *bed.Container) error {
	return removeTable(ctx, c.Netns, ruleTable)
}

func removeTable(ctx context.Context, namespace, table string) error {
	// Adding what exists is no error, deleting what does not is one.
	return nft(ctx, namespace, fmt.Sprintf("add table %s\ndelete table %[1]s\n", table))
}

// nft runs commands in one transaction in a network namespace.
func nft(ctx context.Context, namespace, commands string) error {
	return host.Namespace{Path: namespace}.Do(func() error {
		cmd := exec.CommandContext(ctx, "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(commands)
		said, err := cmd.CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%w: install nftables", err)
		}
		if err != nil {
			return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(said))
		}
		return nil
	})
}

// networkFailure drops whatever the bridge would pass on, from and to the load
// generator, too: the switch is dead, but its links are up.
type networkFailure struct{ target }

func (e *networkFailure) prepare(context.Context) error { return nil }

func (e *networkFailure) start(ctx context.Context) error {
	var text strings.Builder
	fmt.Fprintf(&text, "table %s {\n", switchTable)
	for _, hook := range []string{"forward", "input", "output"} {
		fmt.Fprintf(&text, "chain %s {\ntype filter hook %[1]s priority 0; policy accept;\ncounter drop\n}\n", hook)
	}
	text.WriteString("}\n")
	return nft(ctx, e.bed.RouterNetns(), text.String())
}

func (e *networkFailure) stop(ctx context.Context) error {
	return removeTable(ctx, e.bed.RouterNetns(), switchTable)
}

// switchTable holds the rules of a dead switch in the router's namespace.
const switchTable = "bridge seerbed"
