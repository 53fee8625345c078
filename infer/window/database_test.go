package window

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seer/collector/container"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
	"seer/infer/campaign"
)

// TestDatabase imports the shop and reads the same windows from the database as from
// its directory.
func TestDatabase(t *testing.T) {
	ctx := context.Background()
	dir := makeShop(t, 7)
	d, err := campaign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLayout(d.Manifest.Topology, LayoutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := OpenCampaign(ctx, dir, l, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()

	db, err := embedded.Open(filepath.Join(t.TempDir(), "db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := OpenDatabase(ctx, "db", db, l, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "no ticks") {
		t.Errorf("an empty database: %v, want that there are no ticks", err)
	}
	shift := 1000 * time.Hour
	if _, err := tracedb.Copy(ctx, db, d, tracedb.Mapping{Shift: shift, Container: func(c container.Container) container.Container { return c }}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is as good as once
		if err := StoreTruth(ctx, db, d, time.Unix(0, 0).Add(shift)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := OpenDatabase(ctx, "db", db, l, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if !slices.Equal(got.Violations, want.Violations) || len(got.Faults) != 2 {
		t.Errorf("violations %+v and %d faults, want %+v and 2", got.Violations, len(got.Faults), want.Violations)
	}
	s := identity(l.Shape)
	a, err := NewSequence([]*Run{want}, s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSequence([]*Run{got}, s)
	if err != nil {
		t.Fatal(err)
	}
	labels, sums := keys(t, a)
	labels2, sums2 := keys(t, b)
	if !slices.Equal(labels, labels2) || !slices.Equal(sums, sums2) {
		t.Errorf("%d windows of the database differ from %d of the directory", len(labels2), len(labels))
	}
	own, err := OpenDatabase(ctx, "db", db, nil, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if got, want := own.Layout.Services[:3], []string{"antagonist-cpu", "cart", "web"}; !slices.Equal(got, want) {
		t.Errorf("services of the database %q, want %q", got, want)
	}
}
