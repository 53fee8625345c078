//go:build linux

package bed

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/host"
	"seer/test/bed/servers"
)

const (
	// atOnce is how many services start at the same time. Starting is CPU work;
	// more than the CPUs only keeps disks busy as well.
	atOnce = 4
	// startTimeout bounds the start of one replica. RabbitMQ needs 5 s of CPU
	// time, and shares the CPUs.
	startTimeout = 90 * time.Second
	checkTimeout = 2 * time.Second
	// removeTimeout bounds the removal of all that was created.
	removeTimeout = time.Minute
)

// Up creates an application, starts it, back-ends first, and returns once all of
// it serves. After an error, or when ctx ends, nothing is left of it.
func Up(ctx context.Context, app *topology.App, o Options) (*Bed, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("containers take root: run it with sudo")
	}
	if err := errors.Join(servers.Installed(app), o.Runtime.installed()); err != nil {
		return nil, err
	}
	unlock, err := lock(o.state(app.Name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", app.Name, err)
	}
	defer unlock()
	if err := vacant(app.Name, o); err != nil {
		return nil, err
	}
	b, err := create(ctx, app, o)
	if err == nil {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	return nil, errors.Join(err, remove(ctx, app.Name, o))
}

// create is Up without the clearing up.
func create(ctx context.Context, app *topology.App, o Options) (*Bed, error) {
	b := &Bed{App: app, Started: time.Now(), state: o.state(app.Name), Data: o.data(app.Name)}
	if err := b.directories(); err != nil {
		return nil, err
	}
	subnet, err := freeSubnet(filepath.Dir(b.state), app.Name)
	if err != nil {
		return nil, err
	}
	b.record = record{Started: b.Started, Subnet: subnet, Data: b.Data}
	if err := errors.Join(b.saveTopology(), b.save()); err != nil {
		return nil, err
	}
	if b.host, err = host.New(b.journal, cgroupPrefix+app.Name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w, and is not this bed's: is %s up, with another state directory?", err, app.Name)
		}
		return nil, err
	}
	if b.network, err = host.NewNetwork(b.journal, filepath.Join(b.state, "net"), subnet); err != nil {
		return nil, err
	}
	b.place()
	if err := b.copyProgram(o); err != nil {
		return nil, err
	}
	if err := b.startAll(ctx, o); err != nil {
		return nil, err
	}
	b.Took = time.Since(b.Started)
	b.record.ReadyAfter = b.Took
	return b, b.save()
}

// directories makes the state and data directories and opens the journal.
func (b *Bed) directories() error {
	var err error
	if b.journal, err = host.OpenJournal(filepath.Join(b.state, journalFile)); err != nil {
		return err
	}
	for _, dir := range []string{b.state, b.Data} {
		if err := b.journal.Add(host.Entry{Kind: host.KindDirectory, Paths: []string{dir}}); err != nil {
			return err
		}
	}
	for _, dir := range []string{b.Data, filepath.Join(b.state, "log"), filepath.Join(b.state, "net"), filepath.Join(b.state, "run")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(b.Data, dataMark), nil, 0o644); err != nil {
		return err
	}
	return errors.Join(reachable(b.state), reachable(b.Data))
}

// reachable returns an error if those whom the servers run as cannot enter a
// directory.
func reachable(dir string) error {
	path, err := filepath.Abs(dir)
	for ; err == nil && path != "/"; path = filepath.Dir(path) {
		var info fs.FileInfo
		if info, err = os.Stat(path); err == nil && info.Mode()&0o001 == 0 {
			return fmt.Errorf("directory %s: servers run as user %d, who may not enter %s: choose another", dir, host.Nobody.UID, path)
		}
	}
	return err
}

// vacant makes sure that the directories can be ours, which the caller has locked.
func vacant(app string, o Options) error {
	state, data := o.state(app), o.data(app)
	entries, err := host.ReadJournal(filepath.Join(state, journalFile))
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is up already, or was left half removed: `seerbed down --app %s` removes it", app, app)
	}
	files, err := os.ReadDir(state)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() != lockFile && f.Name() != journalFile {
			return fmt.Errorf("%s is in the way, and not the testbed's", filepath.Join(state, f.Name()))
		}
	}
	if err := removeStale(data); err != nil {
		// Nothing but the lock was made.
		return errors.Join(err, os.RemoveAll(state))
	}
	return nil
}

// removeStale removes data whose journal is gone: the host was started anew, and
// /run with it.
func removeStale(data string) error {
	if _, err := os.Lstat(data); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(data, dataMark)); err != nil {
		return fmt.Errorf("%s is in the way, and not the testbed's", data)
	}
	return os.RemoveAll(data)
}

// startAll starts every service once those it calls are ready.
func (b *Bed) startAll(ctx context.Context, o Options) error {
	// A container for the commands that make the databases' templates.
	prepare, err := b.host.NewContainer("prepare", host.Limits{}, host.Link{})
	if err != nil {
		return err
	}
	templates, err := b.templates(prepare)
	if err != nil {
		return err
	}
	links, err := b.join()
	if err != nil {
		return err
	}
	start, err := b.starter(ctx, o.Runtime)
	if err != nil {
		return err
	}
	ready := map[string]chan struct{}{}
	for _, s := range b.App.Services {
		ready[s.Name] = make(chan struct{})
	}
	waits := b.dependencies()
	slots := make(chan struct{}, atOnce)
	var progress sync.Mutex
	count := 0

	work, ctx := errgroup.WithContext(ctx)
	for _, s := range b.App.Services {
		work.Go(func() error {
			for _, callee := range waits[s.Name] {
				select {
				case <-ready[callee]:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			defer func() { <-slots }()
			for i := range b.containers {
				if c := &b.containers[i]; c.Service == s.Name {
					if err := b.startContainer(ctx, c, links[i], o, templates, start); err != nil {
						return fmt.Errorf("start %s: %w", c.Name, err)
					}
				}
			}
			progress.Lock()
			defer progress.Unlock()
			count++
			if o.Progress != nil {
				o.Progress(Progress{s.Name, count, len(b.App.Services), time.Since(b.Started)})
			}
			close(ready[s.Name])
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	for _, c := range b.containers {
		b.record.Processes = append(b.record.Processes, processRecord{c.Name, c.process})
	}
	// ctx has ended with the group.
	return errors.Join(prepare.Remove(context.Background()), os.RemoveAll(templates.Dir))
}

// dependencies returns whom each service waits for: whom it calls, but for calls
// that go round in a circle.
func (b *Bed) dependencies() map[string][]string {
	order, cycles := b.App.Order()
	position, circle := map[string]int{}, map[string]int{}
	for i, name := range order {
		position[name] = i
	}
	for i, cycle := range cycles {
		for _, name := range cycle {
			circle[name] = i + 1
		}
	}
	waits := map[string][]string{}
	for _, e := range b.App.Edges() {
		if circle[e.Caller] != 0 && circle[e.Caller] == circle[e.Callee] && position[e.Callee] >= position[e.Caller] {
			continue
		}
		waits[e.Caller] = append(waits[e.Caller], e.Callee)
	}
	return waits
}

// templates returns where databases are prepared, by commands in a container.
func (b *Bed) templates(c *host.Container) (*servers.Templates, error) {
	t := &servers.Templates{Dir: filepath.Join(b.Data, ".templates"), UID: host.Nobody.UID, GID: host.Nobody.GID}
	t.Run = func(ctx context.Context, cmd *exec.Cmd) error {
		var said strings.Builder
		name := filepath.Base(cmd.Path)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.Dir, &said, &said
		p, err := c.Start(cmd, host.Nobody)
		if err != nil {
			return err
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := p.Wait(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, complaint(said.String()))
		}
		return nil
	}
	return t, errors.Join(os.Mkdir(t.Dir, 0o700), os.Chown(t.Dir, t.UID, t.GID))
}

// join gives every container its place in the network.
func (b *Bed) join() ([]host.Link, error) {
	var links []host.Link
	for i, c := range b.containers {
		link, err := b.network.Join(c.Name, i+1)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

// startContainer makes one container, starts its program and waits until it
// serves.
func (b *Bed) startContainer(ctx context.Context, c *Container, link host.Link, o Options, t *servers.Templates, start starter) error {
	in, err := b.host.NewContainer(c.Name, limits(b.App.Service(c.Service)), link)
	if err != nil {
		return err
	}
	own := []string{c.Dir}
	if c.Control != "" {
		own = append(own, filepath.Dir(c.Control))
	}
	for _, dir := range own {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chown(dir, host.Nobody.UID, host.Nobody.GID); err != nil {
			return err
		}
	}
	cmd, err := b.command(ctx, c, o, t)
	if err != nil {
		return err
	}
	p, err := start(ctx, c, in, cmd)
	if err != nil {
		return err
	}
	c.process = processID{p.PID, p.Start}
	return b.await(ctx, c, p)
}

// await waits until a container serves, has ended, or takes too long.
func (b *Bed) await(ctx context.Context, c *Container, p *host.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("not ready in time"))
	defer cancel()
	pause := 5 * time.Millisecond
	for {
		try, cancel := context.WithTimeout(ctx, checkTimeout)
		err := b.check(try, c)
		cancel()
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, 100*time.Millisecond)
		select {
		case <-timer.C:
			continue
		case <-p.Done():
			if err = p.Wait(); err == nil {
				err = errors.New("without an error")
			}
			err = fmt.Errorf("it has ended (%w)", err)
		case <-ctx.Done():
			if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
				return cause
			}
			err = fmt.Errorf("%w after %s: %w", context.Cause(ctx), startTimeout, err)
		}
		timer.Stop()
		said, _ := os.ReadFile(c.Log) // of no file it said nothing
		return fmt.Errorf("%w; it said: %s", err, complaint(string(said)))
	}
}

// complaint picks from what a program said before it gave up: the last lines
// that call themselves errors, or else the last lines.
func complaint(text string) string {
	const lines, columns = 3, 300
	all := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	var errs []string
	for _, line := range all {
		if words := strings.ToLower(line); strings.Contains(words, "error") || strings.Contains(words, "fatal") || strings.Contains(words, "panic:") {
			errs = append(errs, line)
		}
	}
	if len(errs) == 0 {
		errs = all
	}
	if len(errs) == 0 {
		return "nothing"
	}
	errs = errs[max(0, len(errs)-lines):]
	for i, line := range errs {
		errs[i] = line[:min(len(line), columns)]
	}
	return strings.Join(errs, " | ")
}

// freeSubnet returns a network of 10.64.0.0/10 that no other bed has. The one
// that the name asks for, where possible: an application then has the same
// addresses each time. The beds' networks are not connected; but whoever sees
// connections of all of them, as Seer does, can tell them apart.
func freeSubnet(states, app string) (netip.Prefix, error) {
	taken := map[netip.Prefix]bool{}
	records, err := filepath.Glob(filepath.Join(states, "*", recordFile))
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, path := range records {
		other, err := Open(filepath.Base(filepath.Dir(path)), Options{State: states})
		if err == nil {
			taken[other.record.Subnet] = true
			other.Close()
		}
	}
	h := fnv.New32a()
	h.Write([]byte(app))
	for i := range uint32(64) {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + (h.Sum32()+i)%64), 0, 0}), 16)
		if !taken[p] {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("64 applications are up: take one down")
}

// lock makes a state directory and holds it against another Up or Down.
func lock(state string) (unlock func(), err error) {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(state, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		// A Down that has just ended took the file away.
		var mine, named unix.Stat_t
		if err = errors.Join(unix.Fstat(int(f.Fd()), &mine), unix.Stat(path, &named)); err == nil && mine.Ino != named.Ino {
			err = unix.EWOULDBLOCK
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("another seerbed is taking it up or down: %w", err)
	}
	return func() { f.Close() }, nil
}
