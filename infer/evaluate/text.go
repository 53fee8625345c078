package evaluate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
)

// WriteText writes the report for people, the order of models as given.
func (r *Report) WriteText(out io.Writer, models []string) error {
	fmt.Fprintf(out, "%d violations in %.1f h; alarms up to %d ms ahead, at least %d ms\n", r.Violations, r.Hours, r.HorizonMS, r.ReactionMS)
	fmt.Fprintf(out, "%d have a tick between their fault and the last moment to act.\n", r.Possible)
	if r.Oracle != nil && r.Oracle.Detection != nil {
		fmt.Fprintf(out, "Who is told of every fault detects %s, with %s of the alarms false.\n", percent(r.Oracle.Detection), percent(r.Oracle.FalseAlarmShare))
	}
	if r.Visible != nil && r.Visible.Share != nil {
		fmt.Fprintf(out, "Before %s any queue was longer than ever in quiet, before %d one of the culprit's.\n",
			parts(r.Visible.Share, r.Visible.Anywhere, r.Visible.Violations), r.Visible.Culprit)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := func(first string) {
		fmt.Fprintf(w, "\n%s\tDETECTED\t95 %%\tCULPRIT\tJOINT\tFALSE\tPER HOUR\tLEAD\n", first)
	}
	head("MODEL")
	for _, name := range models {
		result := r.ByModel[name]
		result.Figures.row(w, name)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	horizons := slices.SortedFunc(maps.Keys(r.ByHorizon), func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	group := func(first string, keys []string, of map[string]Figures, unit string) {
		head(first)
		for _, k := range keys {
			f := of[k]
			f.row(w, k+unit)
		}
	}
	fmt.Fprintf(out, "\n%s, threshold %.3g, inference %.0f us\n", r.Model, r.Threshold, r.InferenceUS)
	group("HORIZON", horizons, r.ByHorizon, " ms")
	group("CAUSE", slices.Sorted(maps.Keys(r.ByCause)), r.ByCause, "")
	group("OF A FAULT", []string{"first", "repeat"}, r.ByOrder, "")
	return w.Flush()
}

func (f *Figures) row(w io.Writer, name string) {
	bounds, lead := "-", "-"
	if f.Interval != nil {
		bounds = fmt.Sprintf("%.0f-%.0f%%", 100*f.Interval[0], 100*f.Interval[1])
	}
	if f.LeadMS != nil {
		lead = fmt.Sprintf("%.0f ms", f.LeadMS.P50)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t%s\n", name, parts(f.Detection, f.Detected, f.Violations), bounds,
		percent(f.Culprit), percent(f.CulpritJoint), parts(f.FalseAlarmShare, f.FalseAlarms, f.Episodes), f.FalseAlarmsPerHour, lead)
}

func parts(s *Share, n, of int) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%s %d/%d", percent(s), n, of)
}

func percent(s *Share) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(*s))
}
