package campaign

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumented holds docs/CAMPAIGN.md to the tables of this package.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/CAMPAIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)

	var want, got []string
	for _, c := range Causes {
		want = append(want, fmt.Sprintf("| `%s` | %s |", c.Cause, c.Class))
	}
	for line := range strings.Lines(text) {
		for _, c := range Causes {
			if strings.HasPrefix(line, fmt.Sprintf("| `%s` |", c.Cause)) {
				got = append(got, strings.Join(strings.SplitAfter(line, "|")[:3], ""))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-package +page): %s", diff)
	}

	want = nil
	for i := range reflect.TypeFor[Request]().NumField() {
		column, _, _ := strings.Cut(reflect.TypeFor[Request]().Field(i).Tag.Get("parquet"), ",")
		want = append(want, "| `"+column+"` |")
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[Manifest](), reflect.TypeFor[Violation](), reflect.TypeFor[Fault]()} {
		for i := range kind.NumField() {
			if field, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ","); field != "-" {
				want = append(want, field)
			}
		}
	}
	o := PlanOptions{Shape: ShapeDiurnal}
	for key := range o.Strings() {
		want = append(want, "`"+key+"`")
	}
	for _, name := range []string{manifestFile, topologyFile, truthFile, violationsFile, requestsFile, requestLogFile, samplesFile} {
		want = append(want, "`"+name+"`")
	}
	for _, s := range want {
		if !strings.Contains(text, s) && s != "`faults`" && s != "`schedule`" {
			t.Errorf("the page does not mention %s", s)
		}
	}

	weights := make(map[Class]float64)
	total := 0.0
	for cause, w := range DefaultMix() {
		weights[cause.Class()] += w
		total += w
	}
	if total != 100 {
		t.Errorf("the default mix adds up to %v, and the page speaks of a hundred faults", total)
	}
	flat := strings.Join(strings.Fields(text), " ")
	for class, phrase := range map[Class]string{
		ClassApplication: "%v are of the application", ClassCompute: "%v compute", ClassNetwork: "%v network",
		ClassMemory: "%v memory", ClassDisk: "%v disk", ClassLoad: "%v load spikes",
	} {
		if s := fmt.Sprintf(phrase, weights[class]); !strings.Contains(flat, s) {
			t.Errorf("the page does not say that of a hundred faults %s", s)
		}
	}
}
