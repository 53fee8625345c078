package topology

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocs holds docs/TOPOLOGY.md to the types: a section per struct, a row per
// field with its default.
func TestDocs(t *testing.T) {
	sections := readSections(t)
	// Defaults that are not a constant of one field.
	special := map[string]string{"Service.protocol": "the kind's", "Service.workers": "0", "Step.timeout": DefaultTimeout.String()}

	for _, part := range []any{App{}, QoS{}, Request{}, NominalLoad{}, Machine{}, Service{}, Step{}, Work{}, Cache{}, Lock{}} {
		typ := reflect.TypeOf(part)
		var want []string
		for i := range typ.NumField() {
			field := typ.Field(i)
			key := yamlKey(field)
			if key == "-" {
				continue
			}
			fallback := field.Tag.Get("default")
			if words, ok := special[typ.Name()+"."+key]; ok {
				fallback = words
			}
			want = append(want, fmt.Sprintf("`%s` default %q", key, fallback))
		}
		var got []string
		for _, row := range tableRows(sections[typ.Name()]) {
			got = append(got, fmt.Sprintf("%s default %q", row[0], row[1]))
		}
		if !sameSet(got, want) {
			t.Errorf("section %s describes\n%s\nwant\n%s", typ.Name(), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestDocsKinds holds the table of kinds to the code's.
func TestDocsKinds(t *testing.T) {
	rows := tableRows(readSections(t)["Kinds"])
	if len(rows) != len(Kinds()) || len(rows) != len(kinds) {
		t.Fatalf("%d rows for %d kinds, of which Kinds lists %d", len(rows), len(kinds), len(Kinds()))
	}
	for i, kind := range Kinds() {
		if want := "`" + string(kind) + "`"; rows[i][0] != want {
			t.Errorf("row %d is of %s, want %s", i, rows[i][0], want)
		}
		if names := kind.Endpoints(); names != nil {
			want := "`" + strings.Join(names, "`, `") + "`"
			if rows[i][1] != want {
				t.Errorf("endpoints of %s: %s, want %s", kind, rows[i][1], want)
			}
		}
		if bound := rows[i][2] != ""; bound != (kinds[kind].workers.max > 0) {
			t.Errorf("workers of %s: %q, want words only if it takes a bound", kind, rows[i][2])
		}
	}
}

// TestDocsExample: what is printed works.
func TestDocsExample(t *testing.T) {
	text := readDocs(t)
	_, rest, _ := strings.Cut(text, "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	app, err := Parse("example.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(app.Services) != 6 {
		t.Errorf("%d services, want 6", len(app.Services))
	}
}

func readDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/TOPOLOGY.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readSections returns the text below each heading.
func readSections(t *testing.T) map[string]string {
	sections := make(map[string]string)
	for _, part := range strings.Split(readDocs(t), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		sections[title] = text
	}
	return sections
}

// tableRows returns the cells of a section's table, without its head.
func tableRows(section string) [][]string {
	var rows [][]string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows[min(2, len(rows)):]
}

func sameSet(a, b []string) bool {
	counts := make(map[string]int)
	for _, s := range a {
		counts[s]++
	}
	for _, s := range b {
		counts[s]--
	}
	for _, n := range counts {
		if n != 0 {
			return false
		}
	}
	return true
}
