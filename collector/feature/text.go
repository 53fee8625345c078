package feature

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// textWidth is the widest line written: one less than a terminal's 80 columns.
const textWidth = 79

// nameWidth is the column of names, "tp_btf inet_sock_set_state" being the longest.
const nameWidth = 27

// WriteText writes the report as the table that `seer doctor` and
// `seer inspect feature` show, no line over 79 columns.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s %s\n", r.Release, r.Arch)
	for _, group := range groups {
		heading := false
		for i := range r.Items {
			if r.Items[i].Group != group {
				continue
			}
			if !heading {
				fmt.Fprintf(&b, "\n%s\n", group)
				heading = true
			}
			r.Items[i].writeText(&b)
		}
	}
	r.writeSummary(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (i *Item) writeText(b *strings.Builder) {
	text := i.Verdict.String()
	if i.Reason != "" {
		text += ": " + i.Reason
	}
	lead := fmt.Sprintf("  %s %-*s ", i.Verdict.Mark(), nameWidth, i.Name)
	wrap(b, lead, text)
	// Unprivileged, most lines are of the second kind; the summary says what
	// to do about all of them.
	if i.Verdict == Works || i.Advice == adviceAsk {
		return
	}
	field := func(name, text string) {
		if text != "" {
			wrap(b, fmt.Sprintf("%*s%-6s", nameWidth+5, "", name), text)
		}
	}
	if i.Verdict == Missing {
		field("lost:", i.lost())
	} else {
		field("risk:", i.lost())
	}
	if i.CoveredBy == "" {
		field("do:", i.Advice)
	}
}

// lost says in words what is missed without the item.
func (i *Item) lost() string {
	if i.CoveredBy != "" {
		return fmt.Sprintf("nothing while %s works", i.CoveredBy)
	}
	var parts []string
	if i.Required {
		parts = append(parts, "Seer does not run")
	}
	switch {
	case len(i.Queues) == len(queueNames):
		parts = append(parts, "every queue")
	case len(i.Queues) > 0:
		parts = append(parts, strings.Join(i.Queues, ", "))
	}
	if i.Loss != "" {
		parts = append(parts, i.Loss)
	}
	if len(parts) == 0 {
		return "no queue"
	}
	return strings.Join(parts, "; ")
}

func (r *Report) writeSummary(b *strings.Builder) {
	var count [3]int
	for _, q := range r.Queues {
		count[q.Verdict]++
	}
	b.WriteString("\nsummary\n")
	wrap(b, "  queues:  ", fmt.Sprintf("%d of %d will work", count[Works], len(r.Queues)))
	// Queues that fail for the same reasons share a line.
	for n, q := range r.Queues {
		same := func(other QueueState) bool { return other.Verdict == q.Verdict && other.Because == q.Because }
		if q.Verdict == Works || slices.ContainsFunc(r.Queues[:n], same) {
			continue
		}
		var names []string
		for _, other := range r.Queues[n:] {
			if same(other) {
				names = append(names, other.Queue)
			}
		}
		wrap(b, "    "+q.Verdict.Mark()+" ", fmt.Sprintf("%s: %s: %s", strings.Join(names, ", "), q.Verdict, q.Because))
	}
	flavour := string(r.Flavour)
	if r.Flavour == FlavourNone {
		flavour = "off, no request hook could be attached"
	}
	wrap(b, "  exact:   ", flavour)
	if slices.ContainsFunc(r.Items, func(i Item) bool { return i.Advice == adviceAsk }) {
		wrap(b, "  do:      ", adviceAsk+" what could not be found out for want of a capability")
	}
	if i := r.Item(nameSocketWalk); i != nil && !i.harmless() && i.Verdict == Missing {
		wrap(b, "  warning: ", "this kernel has a fault that Seer cannot keep away from: see "+nameSocketWalk)
	}
	if r.CanRun {
		wrap(b, "  result:  ", "Seer can run here")
		return
	}
	wrap(b, "  result:  ", "Seer cannot run here:")
	for _, reason := range r.Blockers {
		wrap(b, "    - ", reason)
	}
}

// wrap writes lead and text, breaking text at spaces so that no line is wider
// than textWidth; continuation lines are indented to where text began. A word
// that is too wide for any line is cut.
func wrap(b *strings.Builder, lead, text string) {
	indent := utf8.RuneCountInString(lead)
	b.WriteString(lead)
	column := indent
	for n, word := range strings.Fields(text) {
		for first := true; ; first = false {
			width := utf8.RuneCountInString(word)
			if first && n > 0 {
				if column+1+width > textWidth {
					fmt.Fprintf(b, "\n%*s", indent, "")
					column = indent
				} else {
					b.WriteByte(' ')
					column++
				}
			}
			if column+width <= textWidth {
				b.WriteString(word)
				column += width
				break
			}
			runes := []rune(word)
			room := textWidth - column
			b.WriteString(string(runes[:room]))
			word = string(runes[room:])
			fmt.Fprintf(b, "\n%*s", indent, "")
			column = indent
		}
	}
	b.WriteByte('\n')
}
