package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seer/collector"
	"seer/collector/container"
	tracing "seer/collector/trace"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
	"seer/infer/campaign"
	"seer/infer/window"
)

// importFlags are the flags of seer import.
type importFlags struct {
	db   string
	tick time.Duration
}

func newImportCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import --db DIR FILE|CAMPAIGN...",
		Short: "Rebuild queues from traces, or copy a campaign, into a database",
		Long: `Read the spans of an application that is traced already, and write to a database
how many requests each service held, and how many it waited for, at each tick.

A FILE is OTLP JSON, Jaeger JSON (as its user interface and query service write
it) or Zipkin JSON version 2; it may be compressed by gzip; - is standard input.
Give all files of one time at once, or import into a new database: depths of the
same services that overlap what was imported before add up. Clocks of hosts that disagree are set right, spans that come
twice count once; what cannot be used is left out, and counted.

Depths are those of the requests that were sampled. Where nobody holds a request
for ten seconds nothing is written, since nothing may have been traced.

A CAMPAIGN is a directory that seersim or seerbed wrote: its samples, faults and
violations are copied, to the time at which it was recorded, less at most ten
seconds.`,
		Example: `  seer import --db traced traces.json
  jaeger-export | seer import --db traced --tick 50ms -
  seer export --db traced --out queues.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("import: no file given: name files with traces, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir := os.Getenv("SEER_DB"); dir != "" && !cmd.Flags().Changed("db") {
				f.db = dir
			}
			if err := f.check(); err != nil {
				return usageError(fmt.Errorf("import: %w", err))
			}
			if err := runImport(cmd.Context(), f, args, cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("import: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.db, "db", "", "database directory to write to, created if there is none (SEER_DB)")
	flags.DurationVar(&f.tick, "tick", collector.DefaultTick, "length of a tick, 10ms to 10s")
	_ = cmd.MarkFlagDirname("db")
	return cmd
}

func (f *importFlags) check() error {
	switch {
	case f.db == "":
		return errors.New("no database: say where to write with --db DIR")
	case f.tick < collector.MinTick || f.tick > collector.MaxTick || tracedb.ChunkLength%f.tick != 0:
		return fmt.Errorf("--tick %s: want %s to %s, a divisor of %s", f.tick, collector.MinTick, collector.MaxTick, tracedb.ChunkLength)
	}
	return nil
}

// runImport reads everything before it opens the database, so that a file that
// cannot be read leaves nothing behind.
func runImport(ctx context.Context, f importFlags, names []string, stdin io.Reader, stderr io.Writer) error {
	tell := func(string, ...any) {}
	if isTerminal(stderr) {
		tell = func(format string, args ...any) { fmt.Fprintf(stderr, "\r\x1b[K"+format, args...) }
	}
	var spans tracing.Set
	var campaigns []*campaign.Dir
	for _, name := range names {
		if info, err := os.Stat(name); name != "-" && err == nil && info.IsDir() {
			dir, err := campaign.Open(name)
			if err != nil {
				return err
			}
			campaigns = append(campaigns, dir)
			continue
		}
		if err := readTraces(ctx, &spans, name, stdin, tell); err != nil {
			return err
		}
	}
	if len(spans.Spans) == 0 && len(campaigns) == 0 {
		why := "none there"
		if spans.Warnings != (tracing.Warnings{}) {
			why = spans.Warnings.String()
		}
		return nothingMatched(fmt.Errorf("%s: no span that can be used (%s)", strings.Join(names, ", "), why))
	}
	tell("%d spans: finding parents", len(spans.Spans))
	spans.Link()

	db, err := embedded.Open(f.db, embedded.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, dir := range campaigns {
		shift := dir.Manifest.Start.Sub(time.Unix(0, 0)).Truncate(tracedb.ChunkLength)
		chunks, err := tracedb.Copy(ctx, db, dir, tracedb.Mapping{
			Shift: shift,
			Container: func(c container.Container) container.Container {
				c.ID = container.NamedID(c.Name)
				return c
			},
			Progress: func(at time.Time) { tell("%s: %s", dir.Path, at.UTC().Format(time.RFC3339)) },
		})
		if err != nil {
			return fmt.Errorf("%s: %w", dir.Path, err)
		}
		if err := window.StoreTruth(ctx, db, dir, time.Unix(0, 0).Add(shift)); err != nil {
			return fmt.Errorf("%s: %w", dir.Path, err)
		}
		tell("")
		fmt.Fprintf(stderr, "%d chunks of %d services from %s in %s\n", chunks, len(dir.Manifest.Services), dir.Path, f.db)
	}
	if len(spans.Spans) > 0 {
		loader := tracedb.NewLoader(db)
		var first, last time.Time
		err := spans.Depths(f.tick, func(t *collector.Tick) error {
			if first.IsZero() {
				first = t.Start
			}
			last = t.End
			if t.Seq%1000 == 0 {
				tell("writing %s", t.Start.Format(time.RFC3339))
			}
			return errors.Join(ctx.Err(), loader.Add(ctx, t))
		})
		if err = errors.Join(err, loader.Close(ctx)); err != nil {
			return err
		}
		ticks, _ := loader.Loaded()
		tell("")
		fmt.Fprintf(stderr, "%d spans of %d services, %s to %s: %d ticks in %s\n", len(spans.Spans), len(spans.Services),
			first.Format(time.RFC3339), last.Format(time.RFC3339), ticks, f.db)
	}
	if spans.Warnings != (tracing.Warnings{}) {
		fmt.Fprintf(stderr, "warnings: %v\n", &spans.Warnings)
	}
	return db.Close()
}

// readTraces adds the spans of one file.
func readTraces(ctx context.Context, spans *tracing.Set, name string, stdin io.Reader, tell func(string, ...any)) error {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: no such file", name)
		} else if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	if err := spans.Read(interruptible{ctx, in}, func(n int) { tell("%s: %d spans", name, n) }); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// interruptible ends reading when its context does.
type interruptible struct {
	ctx context.Context //nolint:containedctx // io.Reader has no place for one
	in  io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.in.Read(p)
}
