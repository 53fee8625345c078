package main

import (
	"fmt"
	"io"
	"time"

	"seer/collector/api"
)

// writePackets writes whose packets passed each device, those with most first.
func writePackets(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.PacketShareRow](doc)
	if err != nil {
		return err
	}
	every := 0
	t := table{columns: []column{
		{title: "DEVICE", give: true}, {title: "DIR"}, {title: "CONTAINER", give: true}, {title: "SAMPLED", right: true},
		{title: "PACKETS/s", right: true}, {title: "BYTES/s", right: true}, {title: "SHARE", right: true}, {title: "+-", right: true},
	}}
	for i := range rows {
		r := &rows[i]
		every = r.Every
		t.add(r.Device, shortDirection(r.Direction), r.Container, fmt.Sprint(r.Sampled), number(r.PacketsPerSecond), number(r.BytesPerSecond),
			percentage(r.Share), percentage(r.ShareError))
	}
	losses := "losses"
	if doc.Losses == 1 {
		losses = "loss"
	}
	fmt.Fprintf(w, "(1 packet in %d for %s s, %d %s)\n", every, number(doc.TickMS/1000), doc.Losses, losses)
	return t.writeTo(w)
}

func shortDirection(direction string) string {
	if direction == "ingress" {
		return "in"
	}
	return "out"
}

// writePacketLine writes one packet, uncut, as long as the line may get.
func writePacketLine(w io.Writer, at time.Time, r *api.PacketRow) error {
	several := ""
	if r.Segments > 1 {
		several = fmt.Sprintf(" (%d segments)", r.Segments)
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s: %s, %d bytes%s\n", at.Format("15:04:05.000000"), r.Device, shortDirection(r.Direction),
		printable(r.Container), r.Summary, r.Bytes, several)
	return err
}
