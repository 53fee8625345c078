package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"seer/collector/api"
	"seer/collector/container"
	"seer/collector/graph"
	"seer/collector/packet"
)

// inspectHooks are what inspect does in this process when it cannot ask a
// running Seer.
type inspectHooks struct {
	// MayMeasure says whether this process has the privileges to; nil asks
	// nothing.
	MayMeasure func() error

	// Measure measures this host for d. The server it returns has consumed
	// the ticks; the collector behind it stays open until close is called.
	Measure func(ctx context.Context, d time.Duration, object api.Object) (srv *api.Server, close func() error, err error)

	// Features probes the kernel: the rows of the object feature, and what
	// writes them for people.
	Features func(ctx context.Context) (rows any, text func(io.Writer) error, err error)

	// Packets begins to sample packets of this host's network devices.
	Packets func(ctx context.Context, cfg packet.Config) (packetSurvey, error)
}

// inspector is one run of `seer inspect`.
type inspector struct {
	hooks  inspectHooks
	out    io.Writer
	notes  io.Writer // for what is neither answer nor error
	socket string
	db     string        // to read violations from
	length time.Duration // to measure for, without a running Seer
	json   bool
	pretty bool
	graph  string // format of a drawing of edges; empty: none
	packet packetOptions
	readDB bool // asked for
}

const inspectExamples = `  seer inspect queue                          what is waiting, anywhere
  seer inspect queue container web-7f9c       every queue of one container
  seer inspect queue service web queue accept_backlog
  seer inspect -p queue dump cgroup 4711      everything, as indented JSON
  seer inspect socket container web-7f9c
  seer inspect probe                          what Seer costs and gave up
  seer inspect violation                      promises that were broken, and by whom
  seer inspect edge --graph dot | dot -Tsvg >calls.svg
  seer inspect packet --device eth0 --for 10s whose packets pass, by a sample
  seer inspect packet dump --pcapng out.pcapng
  seer inspect queue help                     what each queue is`

// newInspectCommand returns `seer inspect`.
func newInspectCommand(hooks inspectHooks) *cobra.Command {
	in := &inspector{hooks: hooks}
	cmd := &cobra.Command{
		Use:   "inspect [-j|-p] OBJECT [show|list|dump|help] [SELECTOR]...",
		Short: "Show the queues of every container on this host",
		Long: "Inspect asks the Seer that runs on this host. Where none runs, it measures for a\n" +
			"while itself, which needs the same privileges as `seer run`.\n\n" +
			objectHelp() + "\n" + selectorHelp(),
		Example:           inspectExamples,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: in.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == verbHelp {
				return cmd.Help()
			}
			if path := os.Getenv("SEER_SOCKET"); path != "" && !cmd.Flags().Changed("socket") {
				in.socket = path
			}
			if dir := os.Getenv("SEER_DB"); dir != "" && !cmd.Flags().Changed("db") {
				in.db = dir
			}
			in.readDB = cmd.Flags().Changed("db")
			in.out, in.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			in.packet.note(cmd.Flags())
			return in.run(cmd.Context(), args)
		},
	}
	cmd.SetFlagErrorFunc(flagError)
	flags := cmd.Flags()
	flags.BoolVarP(&in.json, "json", "j", false, "print one JSON object")
	flags.BoolVarP(&in.pretty, "pretty", "p", false, "print one JSON object, indented")
	flags.StringVar(&in.graph, "graph", "", "draw edges between services: "+strings.Join(graph.Formats, " or "))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("graph", cobra.FixedCompletions(graph.Formats, cobra.ShellCompDirectiveNoFileComp)))
	flags.DurationVar(&in.length, "for", 2*time.Second, "measure for so long when no seer runs; packets, always")
	in.packet.register(cmd)
	flags.StringVar(&in.db, "db", defaultDB, "database directory: its violations, also where no seer runs (SEER_DB)")
	cobra.CheckErr(cmd.MarkFlagDirname("db"))
	flags.StringVar(&in.socket, "socket", api.DefaultSocket, "control socket of the running seer (SEER_SOCKET)")
	return cmd
}

func (in *inspector) run(ctx context.Context, args []string) error {
	q, err := parseInspect(args)
	if err == nil {
		err = in.packet.check(q)
	}
	if err != nil {
		return usageError(err)
	}
	if in.length <= 0 {
		return usageError(fmt.Errorf("inspect: --for %s: want a duration above 0, such as 2s", in.length))
	}
	if in.graph != "" {
		switch {
		case q.object.Name != "edge":
			return usageError(fmt.Errorf("inspect %s: --graph draws edges: seer inspect edge --graph %s", q.object.Name, in.graph))
		case !slices.Contains(graph.Formats, in.graph):
			return usageError(fmt.Errorf("inspect edge: --graph %s: unknown: it is one of %s", in.graph, strings.Join(graph.Formats, ", ")))
		case in.json || in.pretty:
			return usageError(errors.New("inspect edge: --graph and --json both say what to print: give one"))
		}
	}
	if in.readDB && q.object.Name != "violation" {
		return usageError(fmt.Errorf("inspect %s: --db reads violations: seer inspect violation --db %s", q.object.Name, in.db))
	}
	out := bufio.NewWriter(in.out)
	err = in.answer(ctx, out, q)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if errors.Is(err, syscall.EPIPE) { // the reader, head(1) perhaps, has seen enough
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("inspect %s: interrupted: %w", q.object.Name, ctx.Err())
	}
	return err
}

// answer writes the answer to q. An answer without rows is written too, so
// that a machine always reads one JSON object; the error says why.
func (in *inspector) answer(ctx context.Context, out io.Writer, q inspectQuery) error {
	if q.verb == verbHelp {
		return writeObjectHelp(out, q.object)
	}
	if err := q.object.Unavailable(); err != nil {
		if in.json || in.pretty {
			err = errors.Join(in.writeJSON(out, emptyDocument(q.object)), err)
		}
		return kernelError(err)
	}
	switch q.object.Name {
	case "feature":
		return in.features(ctx, out)
	case "packet":
		return in.packets(ctx, out, q)
	}
	open := in.open
	if q.object.Name == "violation" {
		open = in.openViolations
	}
	from, done, err := open(ctx, q)
	if err != nil && q.object.Name == "violation" && (in.json || in.pretty) {
		return errors.Join(in.writeJSON(out, emptyDocument(q.object)), err)
	}
	if err != nil {
		return err
	}
	defer done()
	doc, err := from.Get(ctx, q.object.Name, q.selector)
	if errors.Is(err, container.ErrAmbiguous) {
		return usageError(fmt.Errorf("inspect %s: %w: use its cgroup", q.object.Name, err))
	} else if err != nil {
		return fmt.Errorf("inspect %s: %w", q.object.Name, err)
	}
	if err := in.write(out, q, doc); err != nil {
		return err
	}
	if !noRows(doc) {
		return nil
	}
	if err := in.checkMatch(ctx, from, q); err != nil {
		return err
	}
	fmt.Fprintf(in.notes, "no %s to show%s\n", q.object.Name, whyNone[q.object.Name])
	return nil
}

// whyNone says what may be missing where an object has no rows.
var whyNone = map[string]string{"request": ": requests are counted of whom `seer run --exact` names"}

func (in *inspector) write(out io.Writer, q inspectQuery, doc *api.Document) error {
	switch {
	case in.json || in.pretty:
		return in.writeJSON(out, doc)
	case in.graph != "":
		return drawEdges(out, in.graph, doc)
	case noRows(doc) && len(doc.Promises) == 0:
		return nil
	case q.verb == verbDump:
		return writeDump(out, doc)
	}
	return writeTable(out, q, doc)
}

func (in *inspector) writeJSON(out io.Writer, doc *api.Document) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if in.pretty {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(doc)
}

func (in *inspector) features(ctx context.Context, out io.Writer) error {
	if in.hooks.Features == nil {
		return kernelError(errors.New("inspect feature: not supported on this system: seer traces on Linux only"))
	}
	rows, text, err := in.hooks.Features(ctx)
	if err != nil {
		return fmt.Errorf("inspect feature: %w", err)
	}
	if !in.json && !in.pretty {
		return text(out)
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("inspect feature: %w", err)
	}
	return in.writeJSON(out, &api.Document{Schema: api.Schema, Object: "feature", Rows: raw})
}

// checkMatch returns an error when it was the selector that left no rows. A
// container that is there and has no socket, or is not counted, did match.
func (in *inspector) checkMatch(ctx context.Context, from answerer, q inspectQuery) error {
	if q.selector == (api.Selector{}) {
		return nil
	}
	if q.object.Name == "violation" {
		return nothingMatched(fmt.Errorf("inspect violation: nothing matches %s: `seer inspect violation` lists what is known", q.selector))
	}
	if q.object.Name == "socket" || q.object.Name == "request" {
		containers, err := from.Get(ctx, "container", q.selector)
		if err != nil {
			return fmt.Errorf("inspect %s: %w", q.object.Name, err)
		}
		if !noRows(containers) {
			return nil
		}
	}
	return nothingMatched(fmt.Errorf("inspect %s: nothing matches %s: `seer inspect container` lists what is there",
		q.object.Name, q.selector))
}

// noRows reports whether a document has no rows.
func noRows(doc *api.Document) bool {
	var rows []json.RawMessage
	return json.Unmarshal(doc.Rows, &rows) == nil && len(rows) == 0
}

func emptyDocument(o api.Object) *api.Document {
	return &api.Document{Schema: api.Schema, Object: o.Name, Rows: json.RawMessage("[]")}
}
