package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"seer/collector/api"
)

// writeDump writes every field of every row, uncut, under the names that -j
// uses and in the same order.
func writeDump(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[json.RawMessage](doc)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s  (%s)\n", doc.Object, status(doc))
	for _, row := range rows {
		fmt.Fprintln(w)
		if err := dumpFields(w, row); err != nil {
			return fmt.Errorf("%s: %w: %w", doc.Object, errNoRows, err)
		}
	}
	if doc.Cost == nil {
		return nil
	}
	cost, err := json.Marshal(doc.Cost)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := dumpFields(w, cost); err != nil {
		return err
	}
	for _, l := range doc.LossRows {
		fmt.Fprintf(w, "%-20s %s %d\n", "loss_reason", l.Reason, l.Count)
	}
	return nil
}

// dumpFields writes one JSON object as a line per field.
func dumpFields(w io.Writer, row json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(row))
	if _, err := dec.Token(); err != nil { // the opening brace
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		text := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil && text != "null" {
			text = printable(s)
		}
		fmt.Fprintf(w, "%-20v %s\n", name, text)
	}
	return nil
}
