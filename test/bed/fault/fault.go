//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"seer/infer/campaign"
	"seer/test/bed"
	"seer/test/bed/host"
)

// Injection is one fault of one application.
type Injection struct {
	// Fault is what Prepare was given, with the antagonist and the peers that
	// the fault will have.
	Fault campaign.Fault

	effect effect
	record *record
}

// effect is what one cause does.
type effect interface {
	// prepare measures what the strength of the fault depends on. It changes
	// nothing.
	prepare(ctx context.Context) error
	start(ctx context.Context) error
	// stop undoes what start did, or has begun to do, in this or another
	// process. It restores what the topology says, not what was found.
	stop(ctx context.Context) error
}

// target is what every effect knows.
type target struct {
	bed      *bed.Bed
	fault    *campaign.Fault
	culprits []bed.Container // replicas of the culprit, none for a fault of the whole host
}

// Prepare readies a fault and changes nothing. It takes up to two seconds: how
// much is too little depends on how much the culprit uses, which is measured.
func Prepare(ctx context.Context, b *bed.Bed, f campaign.Fault) (*Injection, error) {
	i := &Injection{Fault: f}
	var err error
	if i.effect, err = newEffect(b, &i.Fault); err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.Cause, err)
	}
	if err := i.effect.prepare(ctx); err != nil {
		return nil, fmt.Errorf("fault %s of %s: %w", f.Cause, f.Culprit, err)
	}
	i.record = newRecord(b)
	return i, nil
}

// Start begins the fault. After an error nothing is left of it.
func (i *Injection) Start(ctx context.Context) error {
	if err := i.record.claim(); err != nil {
		return fmt.Errorf("fault %s: %w", i.Fault.Cause, err)
	}
	err := i.record.clear(ctx)
	if err == nil {
		if err = i.record.write(i.Fault); err == nil {
			if err = i.effect.start(ctx); err == nil {
				return nil
			}
		}
	}
	return errors.Join(fmt.Errorf("start fault %s: %w", i.Fault.Cause, err), i.Stop(context.WithoutCancel(ctx)))
}

// stopTimeout bounds the end of a fault.
const stopTimeout = 30 * time.Second

// Stop ends the fault, even when ctx has ended: that is the time to do it.
func (i *Injection) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	defer i.record.release()
	if err := i.effect.stop(ctx); err != nil {
		return fmt.Errorf("end fault %s: %w; `seerbed fault --clear` tries again, `seerbed down` removes it for certain", i.Fault.Cause, err)
	}
	return i.record.remove()
}

// Clear ends the fault of an injector that was killed. It does nothing if there
// is none.
func Clear(ctx context.Context, b *bed.Bed) error {
	r := newRecord(b)
	if err := r.claim(); err != nil {
		return err
	}
	defer r.release()
	return r.clear(ctx)
}

// newEffect checks a fault against the application and returns what does it.
func newEffect(b *bed.Bed, f *campaign.Fault) (effect, error) {
	if f.Cause.Class() == "" {
		return nil, fmt.Errorf("there is no such cause: it is one of %s", causes())
	}
	if !(f.Intensity > 0 && f.Intensity <= 1) {
		return nil, fmt.Errorf("intensity %v: choose above 0, at most 1", f.Intensity)
	}
	f.Antagonist = f.Cause.Antagonist()
	t := target{bed: b, fault: f, culprits: b.Replicas(f.Culprit)}
	switch {
	case f.Cause == campaign.CauseLoadSpike:
		return nil, errors.New("a spike is part of the load: give the load generator a plan with one")
	case f.Cause == campaign.CauseNetworkFailure:
		if f.Culprit != "" {
			return nil, fmt.Errorf("culprit %q: it hits the whole host, leave the culprit out", f.Culprit)
		}
	case len(t.culprits) == 0:
		return nil, fmt.Errorf("there is no service %q in %s", f.Culprit, b.App.Name)
	}
	switch f.Cause {
	case campaign.CauseLock, campaign.CauseDeadlock, campaign.CausePool, campaign.CauseSlowDependency:
		return newMisbehaviour(t)
	case campaign.CauseCycle:
		return newCycle(t)
	case campaign.CausePacketFilter:
		return &packetFilter{target: t}, nil
	case campaign.CauseCPU:
		return &cpuAntagonist{t}, nil
	case campaign.CauseCPULimit:
		return &cpuLimit{target: t}, nil
	case campaign.CauseNetworkShaping:
		return &shaping{target: t}, nil
	case campaign.CauseNetworkLoss:
		return &packetLoss{t}, nil
	case campaign.CauseNetworkFailure:
		return &networkFailure{t}, nil
	case campaign.CauseMemoryBandwidth:
		return &memoryAntagonist{target: t}, nil
	case campaign.CauseMemoryCapacity:
		return &memoryLimit{target: t}, nil
	case campaign.CauseDisk:
		return &diskAntagonist{t}, nil
	}
	return nil, errors.New("not implemented") // a cause that campaign has gained
}

func causes() string {
	var names []string
	for _, c := range campaign.Causes {
		names = append(names, string(c.Cause))
	}
	return strings.Join(names, ", ")
}

// sampleTime is how long the culprit's use of a resource is measured.
const sampleTime = time.Second

// rates returns by how much per second a counter of each culprit grows.
func (t *target) rates(ctx context.Context, read func(*bed.Container) (float64, error)) ([]float64, error) {
	before := make([]float64, len(t.culprits))
	for i := range t.culprits {
		var err error
		if before[i], err = read(&t.culprits[i]); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	select {
	case <-time.After(sampleTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	elapsed := time.Since(began).Seconds()
	rates := make([]float64, len(t.culprits))
	for i := range t.culprits {
		after, err := read(&t.culprits[i])
		if err != nil {
			return nil, err
		}
		rates[i] = (after - before[i]) / elapsed
	}
	return rates, nil
}

// each calls do for every culprit and joins the errors.
func (t *target) each(do func(*bed.Container) error) error {
	var failed []error
	for i := range t.culprits {
		if err := do(&t.culprits[i]); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", t.culprits[i].Name, err))
		}
	}
	return errors.Join(failed...)
}

// share is from at an intensity of 0, to at 1.
func share(intensity, from, to float64) float64 { return from + intensity*(to-from) }

// setControl writes a control file of a culprit's cgroup.
func setControl(c *host.Cgroup, controller, file, value string) error {
	path := c.Path(controller) + "/" + file
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("set %s to %q: %w", file, value, err)
	}
	return nil
}
