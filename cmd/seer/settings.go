package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// defaultConfig is read when it exists; one named with --config must exist.
const defaultConfig = "/etc/seer/seer.yaml"

// notSettings are flags that make sense on the command line only. An image that
// sets SEER_VERSION means something else by it.
var notSettings = map[string]bool{"config": true, "help": true, "version": true}

// loadSettings fills in the flags that the command line left alone: from SEER_*
// in the environment (--cpu-budget is SEER_CPU_BUDGET), then from the YAML file,
// whose keys are the flags' names.
func loadSettings(cmd *cobra.Command) error {
	flags := cmd.Flags()
	path, err := flags.GetString("config")
	if err != nil {
		return err
	}
	named := flags.Changed("config")
	if env := os.Getenv("SEER_CONFIG"); env != "" && !named {
		path, named = env, true
	}
	file, err := readConfig(path, named)
	if err != nil {
		return usageError(fmt.Errorf("%sconfig %s: %w", commandPrefix(cmd), path, err))
	}
	for _, key := range slices.Sorted(maps.Keys(file)) {
		if flags.Lookup(key) == nil || notSettings[key] {
			return usageError(fmt.Errorf("%sconfig %s: no setting %q: the settings are the flags that `seer run --help` lists",
				commandPrefix(cmd), path, key))
		}
	}
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil || notSettings[f.Name] {
			return
		}
		name := "SEER_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(name); ok {
			if err := flags.Set(f.Name, value); err != nil {
				failed = usageError(fmt.Errorf("%s%s=%q: %w", commandPrefix(cmd), name, value, wrongValue(err)))
			}
			return
		}
		for _, value := range file[f.Name] {
			if err := flags.Set(f.Name, value); err != nil {
				failed = usageError(fmt.Errorf("%sconfig %s: %s %q: %w", commandPrefix(cmd), path, f.Name, value, wrongValue(err)))
				return
			}
		}
	})
	return failed
}

// listSettings are the flags that may be repeated: their value may be a list.
var listSettings = map[string]bool{"qos": true}

// readConfig returns the values of each setting.
func readConfig(path string, must bool) (map[string][]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	if err != nil {
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err // the caller names the file
		}
		return nil, fmt.Errorf("%w: name another file, or none", err)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		if _, ok := errors.AsType[*yaml.TypeError](err); ok { // it names Go types
			return nil, errors.New("want one setting a line, such as `tick: 100ms`")
		}
		return nil, err
	}
	values := make(map[string][]string, len(settings))
	for key, value := range settings {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		} else if !listSettings[key] {
			return nil, fmt.Errorf("%s: want one value, such as `tick: 100ms`", key)
		}
		for _, value := range list {
			switch value.(type) {
			case string, bool, int, float64:
				values[key] = append(values[key], fmt.Sprint(value))
			default:
				return nil, fmt.Errorf("%s: want one value, such as `tick: 100ms`", key)
			}
		}
	}
	return values, nil
}

// share is a flag for a part of the whole, written 0.5% or 0.005.
type cpuShare float64

func (s *cpuShare) String() string { return strconv.FormatFloat(float64(*s)*100, 'g', 4, 64) + "%" }
func (s *cpuShare) Type() string   { return "percent" }

func (s *cpuShare) Set(text string) error {
	number, isPercent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v > 0 && v <= 1) {
		return errors.New("want a share above 0 and at most 100%, written 0.5% or 0.005")
	}
	*s = cpuShare(v)
	return nil
}

// byteSize is a flag for an amount of data, written 512MiB or 2GB.
type byteSize uint64

var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

func (b *byteSize) Type() string { return "size" }

func (b *byteSize) String() string {
	for i := 3; i >= 0; i-- {
		if unit := byteUnits[i]; float64(*b) >= unit.bytes {
			return strconv.FormatFloat(float64(*b)/unit.bytes, 'g', 4, 64) + unit.suffix
		}
	}
	return strconv.FormatUint(uint64(*b), 10) + "B"
}

func (b *byteSize) Set(text string) error {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || v < 0 || v*unit.bytes > 1<<60 {
			break
		}
		*b = byteSize(v * unit.bytes)
		return nil
	}
	return errors.New("want a size, such as 512MiB or 2GB")
}

// age is a flag for a duration that may be written in days: 7d, 36h.
type age time.Duration

func (a *age) Type() string { return "age" }

func (a *age) String() string {
	if d := time.Duration(*a); d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return time.Duration(*a).String()
}

func (a *age) Set(text string) error {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseFloat(number, 64)
		if err == nil && days >= 0 && days < 36500 {
			*a = age(days * 24 * float64(time.Hour))
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("want an age, such as 7d or 36h")
	}
	*a = age(d)
	return nil
}
