package packet

import "errors"

// Config says what to sample. The zero value samples one packet in ten of every
// suitable device.
type Config struct {
	Devices []string // names; empty: all that are up and carry Ethernet or IP
	Every   int      // one packet in so many, at random; default 10
}

// DefaultEvery is Config.Every where none is given.
const DefaultEvery = 10

// MaxDevices bounds the devices sampled at once: DEVICES_MAX of bpf/packet.bpf.h.
const MaxDevices = 64

// ErrUnsupported is wrapped by errors that say what of the kernel is missing.
var ErrUnsupported = errors.New("not supported")

// ErrNoDevice is wrapped where there is no such device, or none at all.
var ErrNoDevice = errors.New("no device")
