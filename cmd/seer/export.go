package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seer/collector"
	"seer/collector/qos"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
	"seer/collector/tracedb/export"
)

// exportFlags are the flags of seer export.
type exportFlags struct {
	db, out, format, from, to    string
	object                       string
	containers, services, queues []string
}

func newExportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export [--db DIR] --out FILE",
		Short: "Write recorded queues to a CSV or Parquet file",
		Long: `Write what seer run recorded to a CSV or Parquet file: one row for each tick,
container and queue. The database may be in use by a running seer.

With --object violation it writes what seer run decided about promises to users
(--qos): one row for each violation, or with --format jsonl one JSON document with
its evidence; --service selects by the service that suffered or started it.

Times are RFC 3339 (2024-05-01T12:00:00Z), a local time of day (12:30), or how
long ago (90s, 15m, 24h). The file appears when it is complete, or not at all.`,
		Example: `  seer export --out queues.csv
  seer export --db /srv/seer --out hour.parquet --from 1h --service checkout
  seer export --object violation --out violations.jsonl
  seer export --out - --from 5m --queue run_queue | head`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir := os.Getenv("SEER_DB"); dir != "" && !cmd.Flags().Changed("db") {
				f.db = dir
			}
			if err := runExport(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now()); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.db, "db", defaultDB, "database directory, as given to seer run (SEER_DB)")
	flags.StringVarP(&f.out, "out", "o", "", "file to write, - for standard output")
	flags.StringVar(&f.object, "object", "queue", "what to write: queue, or violation")
	flags.StringVar(&f.format, "format", "", "csv or parquet, of violations also jsonl (default: by the file's name, else csv)")
	flags.StringVar(&f.from, "from", "", "first tick (default: the first recorded)")
	flags.StringVar(&f.to, "to", "", "end (default: the last recorded)")
	flags.StringSliceVar(&f.containers, "container", nil, "only these containers, by name or ID")
	flags.StringSliceVar(&f.services, "service", nil, "only these services")
	flags.StringSliceVar(&f.queues, "queue", nil, "only these queues")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"csv", "parquet", "jsonl"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("queue", cobra.FixedCompletions(queueNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("object", cobra.FixedCompletions([]string{"queue", "violation"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("db")
	return cmd
}

func queueNames() []string {
	var names []string
	for _, q := range collector.Queues {
		names = append(names, q.Name)
	}
	return names
}

// options turns flags into the options of an export, with times relative to now.
func (f *exportFlags) options(now time.Time) (o export.Options, err error) {
	switch {
	case f.db == "":
		return o, errors.New(`--db "": want the directory that seer run records in, such as ` + defaultDB)
	case f.out == "":
		return o, errors.New("no file: give one with --out, or --out - for standard output")
	case f.object != "queue" && f.object != "violation":
		return o, fmt.Errorf("--object %q: want queue or violation", f.object)
	case f.object == "violation" && len(f.containers)+len(f.queues) > 0:
		return o, errors.New("--container and --queue select queues: a violation has a --service only")
	}
	format := f.format
	if format == "" {
		format = "csv"
		switch {
		case strings.HasSuffix(f.out, ".parquet"):
			format = "parquet"
		case strings.HasSuffix(f.out, ".jsonl") && f.object == "violation":
			format = "jsonl"
		}
	}
	if o.Format = export.JSONL; format != "jsonl" || f.object != "violation" {
		if o.Format, err = export.ParseFormat(format); err != nil {
			return o, fmt.Errorf("--format: %w", err)
		}
	}
	if o.Filter.From, err = parseTime(f.from, now); err != nil {
		return o, fmt.Errorf("--from: %w", err)
	}
	if o.Filter.To, err = parseTime(f.to, now); err != nil {
		return o, fmt.Errorf("--to: %w", err)
	}
	if !o.Filter.To.IsZero() && !o.Filter.To.After(o.Filter.From) {
		return o, fmt.Errorf("--to %s is not after --from %s", f.to, f.from)
	}
	o.Filter.Containers, o.Filter.Services = f.containers, f.services
	for _, name := range f.queues {
		q, ok := collector.QueueByName(name)
		if !ok {
			return o, fmt.Errorf("--queue: no queue %q: want one of %s", name, strings.Join(queueNames(), ", "))
		}
		o.Filter.Queues = append(o.Filter.Queues, q)
	}
	return o, nil
}

// parseTime reads a moment: RFC 3339, a local time of day, or how long before
// now. An empty string is the zero time.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 2024-05-01T12:00:00Z, 12:30, or 15m for a quarter of an hour ago", s)
}

func runExport(ctx context.Context, f exportFlags, stdout, stderr io.Writer, now time.Time) error {
	o, err := f.options(now)
	if err != nil {
		return usageError(err)
	}
	db, err := embedded.OpenCopy(ctx, f.db, embedded.Options{})
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("database %q: %w: use sudo, or be the user that runs seer", f.db, fs.ErrPermission)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	if f.object == "violation" {
		return f.violations(ctx, db, o, stdout, stderr)
	}
	if f.out == "-" {
		// A reader that has seen enough, as head, must not end us before the
		// copy of the database is removed.
		signal.Ignore(syscall.SIGPIPE)
		if _, err = export.To(ctx, db, stdout, o); errors.Is(err, syscall.EPIPE) {
			err = nil
		}
	} else {
		if isTerminal(stderr) {
			o.Progress = func(p export.Progress) {
				fmt.Fprintf(stderr, "\r%3.0f%%  %d rows", 100*p.Done.Seconds()/p.Total.Seconds(), p.Rows)
			}
		}
		var rows int64
		if rows, err = export.ToFile(ctx, db, f.out, o); err == nil {
			fmt.Fprintf(stderr, "\r%d rows in %s\n", rows, f.out)
		}
	}
	if errors.Is(err, export.ErrNothing) {
		return nothingMatched(fmt.Errorf("%s: %w: %s", f.db, err, f.hint(ctx, db)))
	}
	return err
}

// violations writes those that were there in the time that is asked for.
func (f *exportFlags) violations(ctx context.Context, db tracedb.Store, o export.Options, stdout, stderr io.Writer) error {
	list, err := qos.ReadViolations(ctx, db, time.Time{}, time.Time{})
	if err != nil {
		return newerDatabase(err, f.db)
	}
	list = qos.Between(list, o.Filter.From, o.Filter.To, o.Filter.Services)
	if len(list) == 0 {
		return nothingMatched(fmt.Errorf("%s: no violation matches: `seer inspect violation --db %s` lists those that it holds", f.db, f.db))
	}
	if f.out == "-" {
		signal.Ignore(syscall.SIGPIPE) // as above
		if _, err = qos.Export(stdout, o.Format, list); errors.Is(err, syscall.EPIPE) {
			err = nil
		}
		return err
	}
	rows, err := export.Replace(ctx, f.out, func(w io.Writer) (int64, error) { return qos.Export(w, o.Format, list) })
	if err == nil {
		fmt.Fprintf(stderr, "%d violations in %s\n", rows, f.out)
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// hint says what there would be to export.
func (f *exportFlags) hint(ctx context.Context, db tracedb.Store) string {
	from, to, err := db.Span(ctx)
	if err != nil || from.IsZero() {
		return "the database holds no samples yet"
	}
	return fmt.Sprintf("it holds %s to %s; widen --from, --to, --container, --service or --queue",
		from.Format(time.RFC3339), to.Format(time.RFC3339))
}
