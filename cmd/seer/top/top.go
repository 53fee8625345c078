package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
	"golang.org/x/term"

	"seer/collector/api"
)

// Options are the flags of seer top. The zero value is not usable: see
// DefaultOptions.
type Options struct {
	Socket   string        // control socket of the running Seer
	Interval time.Duration // what one refresh covers
	Once     bool          // print one interval as text and exit
	Graph    bool          // begin with who calls whom, or print that
	Group    string        // container or service
	Sort     string        // title of a column
	Filter   string
	Width    int // of Once; 0 is the terminal's, COLUMNS or 80
}

// DefaultOptions are the options without any flag.
func DefaultOptions() Options {
	return Options{Socket: api.DefaultSocket, Interval: time.Second, Group: byContainer.String(), Sort: "hot"}
}

// Limits of --interval: shorter ones cost more to draw than they show.
const (
	minInterval = 250 * time.Millisecond
	maxInterval = time.Minute
)

// Errors that the command line turns into exit codes of their own.
var (
	// ErrUsage is an option that cannot be used.
	ErrUsage = errors.New("usage")
	// ErrUnavailable is returned when there is nothing to show: no Seer may be
	// asked, and this process cannot trace either.
	ErrUnavailable = errors.New("cannot measure")
)

// kind marks an error as one of the above without changing its text.
type kind struct {
	is error
	error
}

func (k kind) Is(target error) bool { return target == k.is }
func (k kind) Unwrap() error        { return k.error }

// Run shows the terminal until the user quits, ctx ends or a signal asks to
// stop; the terminal is restored in each case, and after a panic.
func Run(ctx context.Context, opts Options, stdout *os.File) error {
	m, err := opts.model()
	if err != nil {
		return kind{ErrUsage, err}
	}
	terminal := term.IsTerminal(int(stdout.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
	if !opts.Once && !terminal {
		return kind{ErrUsage, errors.New("standard input and output must be a terminal: use --once to print one table as text")}
	}
	// Before the terminal changes hands, so that no signal finds it half way.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	feed, local, err := connect(ctx, opts.Socket)
	if err != nil {
		return err
	}
	m.link.local = local
	if opts.Once {
		defer feed.Close()
		return once(ctx, m, feed, opts.every(), opts.width(stdout), stdout)
	}
	screen, err := tcell.NewScreen()
	if err != nil {
		feed.Close()
		return fmt.Errorf("open terminal %q: %w: set TERM to one that is installed, such as xterm, or use --once", os.Getenv("TERM"), err)
	}
	if err := screen.Init(); err != nil {
		feed.Close()
		return fmt.Errorf("open terminal %q: %w", os.Getenv("TERM"), err)
	}
	defer screen.Fini()
	dial := func(ctx context.Context) (Feed, error) { return Dial(ctx, opts.Socket) }
	newUI(m, screen, &follower{dial: dial, every: opts.every(), first: firstRetry}).run(ctx, feed)
	return nil
}

// connect finds something to show: the Seer that runs, or one of our own.
func connect(ctx context.Context, socket string) (feed Feed, local bool, err error) {
	feed, err = Dial(ctx, socket)
	switch {
	case err == nil:
		return feed, false, nil
	case errors.Is(err, api.ErrPermission):
		return nil, false, kind{ErrUnavailable, err}
	case !errors.Is(err, api.ErrNotRunning):
		return nil, false, err
	case LocalFeed == nil:
		return nil, false, kind{ErrUnavailable, err}
	case os.Geteuid() != 0:
		return nil, false, kind{ErrUnavailable, fmt.Errorf("%w, or run `sudo seer top` to measure without it", err)}
	}
	feed, err = LocalFeed(ctx)
	return feed, true, err
}

// model returns the model that the options ask for.
func (o Options) model() (*model, error) {
	if o.Interval < minInterval || o.Interval > maxInterval {
		return nil, fmt.Errorf("--interval %s: must be %s to %s", o.Interval, minInterval, maxInterval)
	}
	m := newModel(o.Interval)
	m.filter = clean(o.Filter)
	if o.Graph {
		m.page = pageCalls
	}
	switch o.Group {
	case byContainer.String():
	case byService.String():
		m.group = byService
	default:
		return nil, fmt.Errorf("--group %q: must be container or service", o.Group)
	}
	return m, m.sortBy(o.Sort)
}

// framesPerInterval is how many ticks of an interval are asked for: with the
// default of both, each one. Seer encodes them inside its own CPU budget, so a
// longer interval is cheaper for it.
const framesPerInterval = 10

func (o Options) every() time.Duration { return o.Interval / framesPerInterval }

// width is how wide a printed table is.
func (o Options) width(stdout *os.File) int {
	if o.Width > 0 {
		return o.Width
	}
	if w, _, err := term.GetSize(int(stdout.Fd())); err == nil && w > 0 {
		return w
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// once prints one interval as text, every line of it.
func once(ctx context.Context, m *model, feed Feed, every time.Duration, width int, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first time.Time
	m.live.hold = true
	var a answer
	for frame, err := range feed.Frames(ctx, every) {
		if err != nil {
			return err
		}
		if first.IsZero() {
			first = frame.Time
		}
		m.live.add(frame)
		seen := frame.Time.Sub(first)
		if seen < m.live.interval {
			continue
		}
		if q, wanted := m.question(); wanted && !rated(&a, seen) {
			if a = q.put(ctx, feed); a.edgesErr != nil {
				return a.edgesErr
			}
			if !rated(&a, seen) {
				continue
			}
		}
		break
	}
	if m.live.frame == nil {
		return fmt.Errorf("no tick arrived: %w", context.Cause(ctx))
	}
	m.live.publish(true)
	m.arrange()
	m.batch = true
	m.answered(&a)
	var g grid
	g.reset(width, m.printed())
	m.draw(&g, time.Now())
	if err := g.writeTo(w); err != nil {
		return err
	}
	return writeGaveUp(w, m.live.frame, width)
}

// firstRates is how long the first rates of edges are waited for: a Seer that has
// just started has none yet, nor has one of a host where nobody calls.
const firstRates = 4 * time.Second

// rated reports whether an answer is worth printing, after a time.
func rated(a *answer, seen time.Duration) bool {
	return seen >= firstRates && a.to.page == pageCalls ||
		slices.ContainsFunc(a.edges, func(e api.EdgeRow) bool { return e.OverMS > 0 })
}

// printed is how many lines the page has as text.
func (m *model) printed() int {
	if m.page == pageCalls {
		return headLines + len(m.callNotes(0)) + 1 + max(1, len(m.calls.lines))
	}
	return headLines + 1 + max(1, len(m.lines))
}

// writeGaveUp says below a table that is read without the help page what Seer
// gave up, in full and within width.
func writeGaveUp(w io.Writer, f *Frame, width int) error {
	if len(f.Cost.GaveUp) == 0 {
		return nil
	}
	const lead = "gave up, to keep within the CPU budget: "
	var text strings.Builder
	line := 0
	for i, word := range strings.Fields(lead + strings.Join(f.Cost.GaveUp, ", ")) {
		word = clean(word)
		switch n := utf8.RuneCountInString(word); {
		case i == 0:
			line = n
		case line+1+n > width:
			text.WriteString("\n  ")
			line = 2 + n
		default:
			text.WriteByte(' ')
			line += 1 + n
		}
		text.WriteString(word)
	}
	_, err := fmt.Fprintln(w, text.String())
	return err
}
