package plot

import (
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"

	"seer/infer/evaluate"
)

func TestSurvival(t *testing.T) {
	got := survival([]int64{50, 450, 9000}, 4, 10, 5000)
	want := plotter.XYs{
		{X: 10, Y: .75}, {X: 50, Y: .75}, {X: 50, Y: .5}, {X: 450, Y: .5}, {X: 450, Y: .25},
		{X: 5000, Y: .25}, {X: 5000, Y: 0}, {X: 5000, Y: 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("survival = %v, want %v", got, want)
	}
}

func TestConfusion(t *testing.T) {
	got := confusion(map[string]map[string]int{
		"a": {"a": 1, "": 1},
		"b": {"b": 2, "c": 1, "": 3},
	})
	want := &names{
		truth: []string{"b", "a"}, named: []string{"b", "a", "c", missed},
		count: [][]int{{2, 0, 1, 3}, {0, 1, 0, 1}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(names{})); diff != "" {
		t.Errorf("confusion (-want +got):\n%s", diff)
	}
}

// TestSave draws a report and looks for the colours of its models.
func TestSave(t *testing.T) {
	share := func(v float64) *evaluate.Share { s := evaluate.Share(v); return &s }
	result := evaluate.Result{
		Figures:   evaluate.Figures{Violations: 4, Possible: 3, Detected: 2, Detection: share(.5), FalseAlarmShare: share(.25)},
		ByCause:   map[string]evaluate.Figures{"cpu": {Violations: 3, Detection: share(2. / 3)}, "lock": {Violations: 1, Detection: share(0)}},
		Confusion: map[string]map[string]int{"cart": {"cart": 2, "": 2}},
		LeadsMS:   []int64{60, 300},
		Curve:     []evaluate.Point{{Threshold: .9, Detection: .25}, {Threshold: .5, Detection: .5, FalseShare: .25}, {Threshold: .1, Detection: .75, FalseShare: .6}},
	}
	r := &evaluate.Report{Result: result, HorizonMS: 500, ByModel: map[string]evaluate.Result{"growth": result, "empty": {}}}
	dir := filepath.Join(t.TempDir(), "plots")
	if err := Save(r, []string{"growth", "empty"}, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"precision-recall.png", "lead.png", "causes.png", "culprits.png"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		blue := 0
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if r, _, b, _ := img.At(x, y).RGBA(); b > r+0x2000 {
					blue++
				}
			}
		}
		if blue < 100 {
			t.Errorf("%s: %d blue pixels: the model is not in it", name, blue)
		}
	}
	// Nothing to show is no reason to fail.
	if err := Save(&evaluate.Report{ByModel: map[string]evaluate.Result{"empty": {}}}, []string{"empty"}, dir); err != nil {
		t.Errorf("Save of an empty report = %v", err)
	}
}
