package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seer/collector/api"
	"seer/collector/packet"
)

// packetSurvey samples packets: packet.Survey, or one of a test.
type packetSurvey interface {
	Devices() []packet.Device
	Run(ctx context.Context, each func(*packet.Packet, packet.Party) error) error
	Report(ctx context.Context) (*packet.Report, error)
	Close() error
}

// packetOptions are the flags that only the object packet takes.
type packetOptions struct {
	devices []string
	every   int
	file    string
	given   string // the first of these flags that was given
}

func (o *packetOptions) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.devices, "device", nil, "sample packets of this network device only (repeatable)")
	flags.IntVar(&o.every, "every", packet.DefaultEvery, "sample one packet in so many, at random")
	flags.StringVar(&o.file, "pcapng", "", "write the sampled packets' headers to this file, for Wireshark and tcpdump")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("device", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return deviceNames(), cobra.ShellCompDirectiveNoFileComp
	}))
}

// note remembers which flags were given.
func (o *packetOptions) note(flags *pflag.FlagSet) {
	for _, name := range []string{"device", "every", "pcapng"} {
		if o.given == "" && flags.Changed(name) {
			o.given = name
		}
	}
}

func deviceNames() []string {
	devices, _ := net.Interfaces() // none, no offers
	var names []string
	for _, d := range devices {
		names = append(names, d.Name)
	}
	return names
}

// check refuses flags of packet for another object, and values that make no sense.
func (o *packetOptions) check(q inspectQuery) error {
	switch {
	case q.object.Name != "packet" && o.given != "":
		return fmt.Errorf("inspect %s: --%s is for packets: seer inspect packet --%s", q.object.Name, o.given, o.given)
	case q.object.Name == "packet" && (o.every < 1 || o.every > math.MaxInt32):
		return fmt.Errorf("inspect packet: --every %d: want 1 (every packet) or more", o.every)
	}
	return nil
}

// maxPacketRows bounds the packets that one JSON object holds.
const maxPacketRows = 1 << 16

// packetRun is one run of `seer inspect packet`.
type packetRun struct {
	in     *inspector
	q      inspectQuery
	survey packetSurvey
	file   *packet.Writer // nil: none
	rows   []api.PacketRow
	left   int // rows beyond maxPacketRows
}

// packets samples packets for a while, which a running Seer never does.
func (in *inspector) packets(ctx context.Context, out io.Writer, q inspectQuery) (err error) {
	if in.hooks.Packets == nil {
		return kernelError(errors.New("inspect packet: not supported on this system: seer traces on Linux only"))
	}
	survey, err := in.hooks.Packets(ctx, packet.Config{Devices: in.packet.devices, Every: in.packet.every})
	if err != nil {
		return packetError(err)
	}
	defer func() { err = errors.Join(err, survey.Close()) }()
	run := &packetRun{in: in, q: q, survey: survey}
	closeFile, err := run.openFile()
	if err != nil {
		return err
	}
	fmt.Fprintf(in.notes, "sampling 1 packet in %d on %s for %s\n", in.packet.every, plural(len(survey.Devices()), "device"), in.length)
	limited, cancel := context.WithTimeout(ctx, in.length)
	defer cancel()
	err = errors.Join(survey.Run(limited, run.each), closeFile())
	if err != nil {
		return packetError(err)
	}
	return run.answer(ctx, out)
}

// openFile begins the file of --pcapng; the result ends it.
func (r *packetRun) openFile() (end func() error, err error) {
	path := r.in.packet.file
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // who talks to whom is not for all
	if err != nil {
		return nil, fmt.Errorf("inspect packet: --pcapng: %w", err)
	}
	if r.file, err = packet.NewWriter(file, "seer "+version(), r.survey.Devices(), r.in.packet.every); err != nil {
		return nil, errors.Join(fmt.Errorf("inspect packet: %w", err), file.Close())
	}
	if err := r.file.Flush(); err != nil { // a file that can be read, whatever happens
		return nil, errors.Join(fmt.Errorf("inspect packet: %w", err), file.Close())
	}
	return func() error { return errors.Join(r.file.Flush(), file.Close()) }, nil
}

// each takes one packet.
func (r *packetRun) each(p *packet.Packet, party packet.Party) error {
	if !r.q.selector.Takes(party) {
		return nil
	}
	if r.file != nil {
		if err := r.file.Write(p); err != nil {
			return err
		}
	}
	switch {
	case r.q.verb != verbDump:
		return nil
	case !r.in.json && !r.in.pretty:
		row := api.NewPacketRow(p, party)
		return writePacketLine(r.in.out, p.Time, &row) // now: people watch
	case len(r.rows) == maxPacketRows:
		r.left++
		return nil
	}
	r.rows = append(r.rows, api.NewPacketRow(p, party))
	return nil
}

// answer writes what the survey found, also one that was interrupted.
func (r *packetRun) answer(ctx context.Context, out io.Writer) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	report, err := r.survey.Report(last)
	if err != nil {
		return packetError(err)
	}
	r.remark(report)
	doc, err := api.PacketShares(report, r.q.selector)
	if err != nil {
		return usageError(fmt.Errorf("inspect packet: %w: use its cgroup", err))
	}
	empty := noRows(doc)
	switch asJSON := r.in.json || r.in.pretty; {
	case asJSON && r.q.verb == verbDump:
		if doc, err = api.Packets(r.rows, report); err == nil {
			err = r.in.writeJSON(out, doc)
		}
	case asJSON:
		err = r.in.writeJSON(out, doc)
	case r.q.verb != verbDump && !empty:
		err = writePackets(out, doc)
	}
	switch {
	case err != nil || !empty:
		return err
	case r.q.selector != (api.Selector{}):
		return nothingMatched(fmt.Errorf("inspect packet: no sampled packet is of %s: it has none here, or too few for 1 in %d: try --every 1, or --for longer",
			r.q.selector, report.Every))
	}
	fmt.Fprintln(r.in.notes, "no packet to show")
	return nil
}

// lastLook bounds the look at the host's sockets after the sampling.
const lastLook = 5 * time.Second

// remark says what is missing from the answer.
func (r *packetRun) remark(report *packet.Report) {
	if report.Left > 0 {
		fmt.Fprintf(r.in.notes, "%d more devices were not sampled: name those wanted with --device\n", report.Left)
	}
	if lost := report.Lost(); lost > 0 {
		fmt.Fprintf(r.in.notes, "%d sampled packets came too fast to be read; shares do not suffer: a larger --every loses none\n", lost)
	}
	if r.left > 0 {
		fmt.Fprintf(r.in.notes, "%d more packets are not in the answer: --pcapng holds any number\n", r.left)
	}
}

// packetError gives an error of sampling its exit code.
func packetError(err error) error {
	err = fmt.Errorf("inspect packet: %w", err)
	switch {
	case errors.Is(err, packet.ErrUnsupported):
		return kernelError(fmt.Errorf("%w: `seer doctor` says what else is missing", err))
	case errors.Is(err, packet.ErrNoDevice):
		return nothingMatched(err)
	}
	return err
}
