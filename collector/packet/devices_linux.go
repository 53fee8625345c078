package packet

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// findDevices returns the devices called names in the thread's namespace, all
// that are up and suitable where there are no names. left is how many more there
// are than can be sampled at once.
func findDevices(names []string) (devices []Device, left int, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, 0, fmt.Errorf("list devices: %w", err)
	}
	byName := map[string]netlink.Link{}
	for _, l := range links {
		a := l.Attrs()
		byName[a.Name] = l
		if len(names) > 0 || a.Flags&net.FlagUp == 0 {
			continue
		}
		if link, ok := linkOf(l); ok {
			devices = append(devices, Device{a.Index, a.Name, link})
		}
	}
	for _, name := range names {
		l := byName[name]
		if l == nil {
			return nil, 0, fmt.Errorf("%w called %q: there are %s", ErrNoDevice, name, deviceNames(links))
		}
		link, ok := linkOf(l)
		if !ok {
			return nil, 0, fmt.Errorf("device %q: %w: its packets begin with neither Ethernet nor IP (%s)", name, ErrUnsupported, l.Attrs().EncapType)
		}
		d := Device{l.Attrs().Index, name, link}
		if !slices.Contains(devices, d) {
			devices = append(devices, d)
		}
	}
	if len(devices) == 0 {
		return nil, 0, fmt.Errorf("%w is up that carries Ethernet or IP: there are %s", ErrNoDevice, deviceNames(links))
	}
	left = max(0, len(devices)-MaxDevices)
	return devices[:len(devices)-left], left, nil
}

// linkOf says what a device's packets begin with, by its ARPHRD type
// (include/uapi/linux/if_arp.h).
func linkOf(l netlink.Link) (Link, bool) {
	switch l.Attrs().EncapType {
	case "ether", "loopback":
		return LinkEthernet, true
	case "none", "ipip", "tunnel6", "sit", "gre":
		return LinkIP, true
	}
	return 0, false
}

func deviceNames(links []netlink.Link) string {
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
