package topology

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseTarget reads SERVICE.ENDPOINT.
func ParseTarget(text string) (Target, error) {
	service, endpoint, ok := strings.Cut(text, ".")
	if !ok || service == "" || endpoint == "" {
		return Target{}, fmt.Errorf("%q is no call: write SERVICE.ENDPOINT", text)
	}
	return Target{service, endpoint}, nil
}

// String returns SERVICE.ENDPOINT.
func (t Target) String() string { return t.Service + "." + t.Endpoint }

// MarshalText is for JSON.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is for JSON.
func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTarget(string(text))
	return err
}

// UnmarshalYAML names the line in its errors.
func (t *Target) UnmarshalYAML(node *yaml.Node) (err error) {
	if *t, err = ParseTarget(node.Value); err != nil {
		return lineError(node, err)
	}
	return nil
}

// byteUnits is in the order in which String tries them.
var byteUnits = []struct {
	name string
	size Bytes
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
}

// ParseBytes reads 4096, 64KiB, 2MiB or 1GiB.
func ParseBytes(text string) (Bytes, error) {
	digits, unit := text, Bytes(1)
	for _, u := range byteUnits {
		if d, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = d, u.size
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf("%q is no size: write it like 4096, 64KiB, 2MiB or 1GiB", text)
	}
	return Bytes(n) * unit, nil
}

// String returns the size in the largest unit that gives a whole number.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b > 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText is for JSON and YAML.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is for JSON.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// UnmarshalYAML names the line in its errors.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) (err error) {
	if *b, err = ParseBytes(node.Value); err != nil {
		return lineError(node, err)
	}
	return nil
}

// lineError is an error that yaml collects with those of other lines, where it
// would stop at any other.
func lineError(node *yaml.Node, err error) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, err)}}
}
