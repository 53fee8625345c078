package qos

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"seer/collector/tracedb/export"
)

// ExportRow is one violation in a table: the columns of CSV and Parquet, in order.
// culprit, labelled_by and why are empty while nobody has looked; the evidence is in
// JSON lines only.
type ExportRow struct {
	ID         string  `parquet:"id"`
	Service    string  `parquet:"service,dict"`
	Percentile float64 `parquet:"percentile"`
	TargetMS   float64 `parquet:"target_ms"`
	Learned    bool    `parquet:"learned"`
	OnsetNS    int64   `parquet:"onset_ns"` // since the epoch, UTC
	EndNS      int64   `parquet:"end_ns"`
	LastedMS   float64 `parquet:"lasted_ms"`
	Open       bool    `parquet:"open"`
	WorstMS    float64 `parquet:"worst_ms"`
	WorstShare float64 `parquet:"worst_share"`
	Requests   int64   `parquet:"requests"`
	Late       int64   `parquet:"late"`
	Culprit    string  `parquet:"culprit,dict"`
	LabelledBy string  `parquet:"labelled_by,dict"`
	Why        string  `parquet:"why"`
}

var exportHeader = []string{
	"id", "service", "percentile", "target_ms", "learned", "onset_ns", "end_ns", "lasted_ms", "open",
	"worst_ms", "worst_share", "requests", "late", "culprit", "labelled_by", "why",
}

func exportRow(v *Violation) ExportRow {
	r := ExportRow{
		ID: v.ID, Service: v.Service, Percentile: v.Percentile, TargetMS: v.TargetMS, Learned: v.Learned,
		OnsetNS: v.Onset.UnixNano(), EndNS: v.End.UnixNano(), LastedMS: milliseconds(v.Lasted()), Open: v.Open,
		WorstMS: v.WorstMS, WorstShare: v.WorstShare, Requests: v.Requests, Late: v.Late,
	}
	if v.Label != nil {
		r.Culprit, r.LabelledBy, r.Why = v.Label.Culprit, v.Label.By, v.Label.Why
	}
	return r
}

func (r *ExportRow) fields() []string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	whole := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{
		r.ID, r.Service, number(r.Percentile), number(r.TargetMS), strconv.FormatBool(r.Learned),
		whole(r.OnsetNS), whole(r.EndNS), number(r.LastedMS), strconv.FormatBool(r.Open),
		number(r.WorstMS), number(r.WorstShare), whole(r.Requests), whole(r.Late), r.Culprit, r.LabelledBy, r.Why,
	}
}

// Export writes violations as CSV, Parquet, or JSON lines, and returns how many;
// export.ErrNothing if there is none.
func Export(w io.Writer, format export.Format, list []Violation) (int64, error) {
	if len(list) == 0 {
		return 0, export.ErrNothing
	}
	var err error
	switch format {
	case export.CSV:
		err = exportCSV(w, list)
	case export.Parquet:
		out := parquet.NewGenericWriter[ExportRow](w, parquet.CreatedBy("seer", "1", ""))
		for i := range list {
			if _, err = out.Write([]ExportRow{exportRow(&list[i])}); err != nil {
				return 0, fmt.Errorf("write: %w", err)
			}
		}
		err = out.Close()
	case export.JSONL:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for i := range list {
			if err = enc.Encode(&list[i]); err != nil {
				break
			}
		}
	default:
		return 0, fmt.Errorf("format %q: want csv, parquet or jsonl", format)
	}
	if err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return int64(len(list)), nil
}

func exportCSV(w io.Writer, list []Violation) error {
	out := csv.NewWriter(w)
	err := out.Write(exportHeader)
	for i := range list {
		if err != nil {
			return err
		}
		row := exportRow(&list[i])
		err = out.Write(row.fields())
	}
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

// Between returns the violations that were there in [from, to), whose services, or
// culprits, are any of some. Zero times and no services mean all.
func Between(list []Violation, from, to time.Time, services []string) []Violation {
	var out []Violation
	for i := range list {
		v := &list[i]
		if !from.IsZero() && v.End.Before(from) || !to.IsZero() && !v.Onset.Before(to) {
			continue
		}
		wanted := len(services) == 0
		for _, s := range services {
			wanted = wanted || s == v.Service || v.Label != nil && s == v.Label.Culprit
		}
		if wanted {
			out = append(out, *v)
		}
	}
	return out
}
