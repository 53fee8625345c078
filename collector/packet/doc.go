// Package packet tells whose packets pass a network device: a diagnostic mode, in
// which a program at the device copies the headers of some packets at random.
//
//	Survey    all of the following together, for a while (Linux only)
//	Sampler   attaches to devices and reads packets (Linux only)
//	Decoder   goes through tags and tunnels to the innermost addresses
//	Owners    knows which container an address and port belongs to
//	Tally     counts, and shares a device's traffic out among containers
//	Writer    writes packets as pcapng
//
// A packet that comes in belongs to the container of its destination, one that
// goes out to that of its source. A container's share of a device's incoming
// packets is its weight wherever a depth is known for the device, or for the host
// (nic_rx), as a whole.
//
// All of a packet's payload is cut off before anybody sees the packet: what is
// counted, shown and exported is headers.
//
// google/gopacket takes no new features, but it decodes every layer asked for
// here without cgo. What of it would go wrong on live packets is worked around, with
// a comment, in layers.go.
package packet
