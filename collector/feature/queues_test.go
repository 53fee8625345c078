package feature_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/feature"
)

// The package repeats the queues' names; this holds them to the one table.
func TestReportNamesEveryQueue(t *testing.T) {
	report, err := feature.Probe(t.Context(), feature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, q := range report.Queues {
		got = append(got, q.Queue)
	}
	for _, q := range collector.Queues {
		want = append(want, q.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("queues of the report (-want +got):\n%s", diff)
	}
	for _, item := range report.Items {
		for _, name := range item.Queues {
			if _, ok := collector.QueueByName(name); !ok {
				t.Errorf("item %q loses %q, which is no queue", item.Name, name)
			}
		}
	}
}
