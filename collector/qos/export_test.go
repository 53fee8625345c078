package qos

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"seer/collector/tracedb/export"
)

func twoViolations() []Violation {
	first := Violation{ID: "1-front", Service: "front", Percentile: 99, TargetMS: 20, Onset: epoch, End: at(15), WorstMS: 31.5, WorstShare: .25, Requests: 400, Late: 7}
	second := first
	second.ID, second.Service, second.Onset, second.End = "2-cart", "cart", at(100), at(130)
	second.Label = &Label{Culprit: "db", By: ByEvidence, Why: "8 requests, \"more\"", Evidence: []Evidence{{Service: "db", Own: 8}}}
	return []Violation{first, second}
}

// All formats say the same.
func TestExport(t *testing.T) {
	list := twoViolations()
	var text bytes.Buffer
	if n, err := Export(&text, export.CSV, list); n != 2 || err != nil {
		t.Fatalf("Export() = %d, %v, want 2", n, err)
	}
	rows, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{exportHeader,
		{"1-front", "front", "99", "20", "false", "1772366400000000000", "1772366401500000000", "1500", "false", "31.5", "0.25", "400", "7", "", "", ""},
		{"2-cart", "cart", "99", "20", "false", "1772366410000000000", "1772366413000000000", "3000", "false", "31.5", "0.25", "400", "7", "db", "evidence", "8 requests, \"more\""},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}

	var file bytes.Buffer
	if _, err := Export(&file, export.Parquet, list); err != nil {
		t.Fatal(err)
	}
	read, err := parquet.Read[ExportRow](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil || len(read) != 2 {
		t.Fatalf("Parquet holds %d rows, %v, want 2", len(read), err)
	}
	for i := range read {
		if diff := cmp.Diff(rows[i+1], read[i].fields()); diff != "" {
			t.Errorf("row %d of Parquet differs from CSV (-csv +parquet):\n%s", i, diff)
		}
	}
	var columns []string
	for field := range reflect.TypeFor[ExportRow]().Fields() {
		columns = append(columns, field.Tag.Get("parquet"))
	}
	for i, name := range exportHeader {
		if columns[i] != name && columns[i] != name+",dict" {
			t.Errorf("column %d of Parquet is %q, of CSV %q", i, columns[i], name)
		}
	}

	var lines bytes.Buffer
	if _, err := Export(&lines, export.JSONL, list); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&lines)
	for i := range list {
		var v Violation
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(list[i], v); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	if _, err := Export(&lines, export.CSV, nil); !errors.Is(err, export.ErrNothing) {
		t.Errorf("Export of nothing = %v, want ErrNothing", err)
	}
	if _, err := Export(&lines, "xml", list); err == nil {
		t.Error("Export as XML is no error")
	}
}

func TestBetween(t *testing.T) {
	tests := []struct {
		name     string
		from, to time.Time
		services []string
		want     int
	}{
		{"all", time.Time{}, time.Time{}, nil, 2},
		{"after the first", at(16), time.Time{}, nil, 1},
		{"within the second", at(110), at(111), nil, 1},
		{"before both", time.Time{}, epoch, nil, 0},
		{"by service", time.Time{}, time.Time{}, []string{"front"}, 1},
		{"by culprit", time.Time{}, time.Time{}, []string{"db"}, 1},
		{"nobody's", time.Time{}, time.Time{}, []string{"x"}, 0},
	}
	for _, tt := range tests {
		if got := Between(twoViolations(), tt.from, tt.to, tt.services); len(got) != tt.want {
			t.Errorf("%s: Between() = %d violations, want %d", tt.name, len(got), tt.want)
		}
	}
}
