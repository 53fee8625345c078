package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
	"seer/collector/qos"
)

// runOptions are the flags of `seer run`.
type runOptions struct {
	tick      time.Duration
	groupBy   string
	exact     string
	qos       qos.Targets
	streams   string
	names     string
	budget    cpuShare
	db        string
	keepAge   age
	keepBytes byteSize
	socket    string
	listen    string
	act       string
	keepCaps  bool
	verbose   bool
	top       bool
}

// defaultDB is where run records and export reads.
const defaultDB = "/var/lib/seer"

// noDB as the value of --db records nothing.
const noDB = "none"

const runLong = `Run measures the queues of every container on this host each tick and records
them. It needs root, or the capabilities listed in deploy/seer.service; what it
no longer needs after start it gives up for good.

Every flag can also be set in the environment (--cpu-budget as SEER_CPU_BUDGET)
or, by its name, in a YAML file (--config).

It watches promises to users (--qos), and writes down when one is broken and which
service started it. Without --qos it finds the services that users call and learns
a target from their nominal latency in five minutes. The requests of these services
are counted one by one, as far as --cpu-budget goes; --exact names others, or off.

This version does not yet predict, diagnose or act.`

const runExamples = `  sudo seer run
  sudo seer run --top --group-by service
  sudo seer run --listen 127.0.0.1:9400 --cpu-budget 1%
  sudo seer run --qos 'frontend p99 20ms'
  sudo seer run --db /srv/seer --keep-age 2d --keep-bytes 4GiB`

// newRunCommand returns `seer run`.
func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Trace this host and record it",
		Long:    runLong,
		Example: runExamples,
		Args:    noArguments,
	}
	addRun(cmd)
	return cmd
}

// addRun makes cmd run a Seer, and gives it the flags for that. The root
// command is one that shows it, too.
func addRun(cmd *cobra.Command) {
	o := &runOptions{
		budget: collector.DefaultCPUBudget, keepAge: age(7 * 24 * time.Hour), keepBytes: 2 << 30,
		top: !cmd.HasParent() && cmd.Name() == "seer",
	}
	f := cmd.Flags()
	f.DurationVar(&o.tick, "tick", collector.DefaultTick, "length of one sample, 10ms to 10s")
	f.StringVar(&o.groupBy, "group-by", "container", "one row for each container, service, unit or comm")
	f.StringVar(&o.exact, "exact", "auto", "whose requests are counted and timed one by one, by hooks on send and receive: auto, off, on, or names, by comma")
	f.Var(&o.qos, "qos", `promise to users, such as "frontend p99 20ms"; may be repeated; none: learned`)
	f.StringVar(&o.streams, "streams", "off", "count HTTP/2 and gRPC requests by stream: off, or containers and services, by comma")
	f.StringVar(&o.names, "names", "on", "name requests of --streams from samples of their first bytes: on, or off to look at none")
	f.Var(&o.budget, "cpu-budget", "share of the host's CPU that seer may use, at least 1% of one core")
	f.StringVar(&o.db, "db", defaultDB, `directory of the database, or "none"`)
	f.Var(&o.keepAge, "keep-age", "drop older samples; 0 keeps them")
	f.Var(&o.keepBytes, "keep-bytes", "drop the oldest samples beyond this; 0 is no limit")
	f.StringVar(&o.socket, "socket", api.DefaultSocket, "control socket for inspect and top")
	f.StringVar(&o.listen, "listen", "", "serve metrics and health over HTTP, such as 127.0.0.1:9400")
	f.StringVar(&o.act, "act", "off", "off; this version does not act yet")
	f.BoolVar(&o.keepCaps, "keep-capabilities", false, "do not give up capabilities after start")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more, verifier messages included")
	f.String("config", defaultConfig, "YAML file with settings")
	if !o.top {
		f.BoolVar(&o.top, "top", false, "show the queues in this terminal")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := loadSettings(cmd); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return usageError(fmt.Errorf("run: %w", err))
		}
		return trace(cmd.Context(), o, cmd.ErrOrStderr())
	}
}

// check refuses values that flags take one by one, before anything is opened.
func (o *runOptions) check() error {
	if o.tick < collector.MinTick || o.tick > collector.MaxTick {
		return fmt.Errorf("--tick %v: want %v to %v", o.tick, collector.MinTick, collector.MaxTick)
	}
	if _, err := container.ParseGroupBy(o.groupBy); err != nil {
		return fmt.Errorf("--group-by %q: want container, service, unit or comm", o.groupBy)
	}
	if o.db == "" {
		return fmt.Errorf(`--db "": want a directory, or %q to record nothing`, noDB)
	}
	if o.socket == "" {
		return errors.New(`--socket "": want a path, such as ` + api.DefaultSocket)
	}
	if err := checkAddress(o.listen); err != nil {
		return fmt.Errorf("--listen %q: want HOST:PORT, such as 127.0.0.1:9400: %w", o.listen, err)
	}
	if _, err := pickExact(o.exact); err != nil {
		return err
	}
	if _, err := pickStreams(o.streams); err != nil {
		return err
	}
	if o.names != "on" && o.names != "off" {
		return fmt.Errorf("--names %q: want on or off", o.names)
	}
	switch o.act {
	case "off":
	case "dry-run", "on":
		return fmt.Errorf("--act %s: this version measures and does not act yet: leave it off", o.act)
	default:
		return fmt.Errorf("--act %q: want off", o.act)
	}
	return nil
}

// pickExact says whose requests are counted exactly; nil where nobody's are.
func pickExact(flag string) (collector.Pick, error) {
	switch flag {
	case "off", "auto":
		return nil, nil
	case "on":
		return func(*container.Container) bool { return true }, nil
	}
	pick, ok := pickNamed(flag)
	if !ok {
		return nil, fmt.Errorf("--exact %q: want auto, off, on, or names of containers and services, by comma", flag)
	}
	return pick, nil
}

// pickStreams says whose streams are counted; nil where nobody's are.
func pickStreams(flag string) (collector.Pick, error) {
	if flag == "off" {
		return nil, nil
	}
	pick, ok := pickNamed(flag)
	if !ok {
		return nil, fmt.Errorf("--streams %q: want off, or names of containers and services, by comma", flag)
	}
	return pick, nil
}

// pickNamed picks containers and services by their names, false where one is empty.
func pickNamed(list string) (collector.Pick, bool) {
	names := strings.Split(list, ",")
	return func(c *container.Container) bool {
		return slices.Contains(names, c.Name) || c.Service != "" && slices.Contains(names, c.Service)
	}, !slices.Contains(names, "")
}

// nameSamples is how many beginnings of requests a second of each container are
// looked at: enough to tell shares of some percent within a minute.
func nameSamples(flag string) int {
	if flag == "off" {
		return 0
	}
	return 20
}

// checkAddress refuses what could never be listened on. An empty address is
// none.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		var reason *net.AddrError
		if errors.As(err, &reason) {
			return errors.New(reason.Err)
		}
		return err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}
