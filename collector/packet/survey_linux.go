package packet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"seer/collector/container"
)

// lookEvery is how often a survey looks for new sockets and namespaces, unless a
// look takes so long that it would be more than a tenth of the time.
const lookEvery = time.Second

// Survey samples the packets of devices and says whose they are. It needs no
// running Seer.
type Survey struct {
	sampler *Sampler
	names   *container.Resolver
	tally   *Tally

	mu     sync.Mutex // of owners: looks are beside the reading
	owners *Owners
}

// NewSurvey looks at the host once and begins to sample devices of the calling
// thread's network namespace. See [New] for its errors.
func NewSurvey(ctx context.Context, cfg Config) (*Survey, error) {
	names, err := container.New(container.Config{})
	if err != nil {
		return nil, fmt.Errorf("sample packets: %w", err)
	}
	sampler, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s := &Survey{sampler: sampler, names: names, tally: NewTally(), owners: NewOwners(sampler.NetNS())}
	if err = s.look(ctx); err == nil {
		err = sampler.Attach()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sample packets: %w", err), s.Close())
	}
	return s, nil
}

// Devices returns what is sampled.
func (s *Survey) Devices() []Device { devices, _ := s.sampler.Devices(); return devices }

// look learns whose sockets and addresses there are now, and their names.
func (s *Survey) look(ctx context.Context) error {
	sockets, namespaces, err := s.sampler.Look(ctx, s.names.IDOf)
	if err != nil {
		return err
	}
	for i := range sockets {
		s.names.Resolve(sockets[i].Owner)
	}
	for i := range namespaces {
		for _, id := range namespaces[i].Owners {
			s.names.Resolve(id)
		}
	}
	if err := s.names.Refresh(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners.Learn(sockets, namespaces)
	return nil
}

// Run counts packets until ctx is done, or each, which may be nil, returns an
// error. Whose a packet is, is as known when it is read; Report may know better.
func (s *Survey) Run(ctx context.Context, each func(*Packet, Party) error) error {
	looking, stop := context.WithCancel(ctx)
	looked := make(chan error, 1)
	go func() { looked <- s.keepLooking(looking) }()
	err := s.sampler.Run(ctx, func(p *Packet) error {
		s.tally.Add(p)
		s.learnSender(p)
		if each == nil {
			return nil
		}
		return each(p, s.partyOf(p))
	})
	stop()
	return errors.Join(err, <-looked)
}

func (s *Survey) keepLooking(ctx context.Context) error {
	for {
		began := time.Now()
		if err := s.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("sample packets: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(lookEvery, 9*time.Since(began))):
		}
	}
}

// rootCgroup is the number of the root of cgroup v2, which says nothing.
const rootCgroup = 1

// learnSender takes a packet's word for whose socket has sent it, where containers
// are told apart by cgroup v2.
func (s *Survey) learnSender(p *Packet) {
	if p.Cgroup <= rootCgroup || s.names.Choice().Primary.Version != 2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, whose := s.owners.Of(p.Protocol, p.Source, p.Destination); whose != Owned {
		s.owners.LearnSender(p.Protocol, p.Source, p.Destination, container.ID(p.Cgroup))
	}
}

func (s *Survey) partyOf(p *Packet) Party {
	local, remote := p.Local()
	s.mu.Lock()
	id, whose := s.owners.Of(p.Protocol, local, remote)
	s.mu.Unlock()
	if whose != Owned {
		return Party{Whose: whose}
	}
	return Party{Owned, s.names.Resolve(id)}
}

// Report returns what was found. It looks at the host once more, for what came
// up meanwhile. Call it when Run has returned.
func (s *Survey) Report(ctx context.Context) (*Report, error) {
	if err := s.look(ctx); err != nil {
		return nil, fmt.Errorf("sample packets: %w", err)
	}
	r := &Report{Every: s.sampler.every, Containers: map[container.ID]*container.Container{}}
	r.Devices, r.Left = s.sampler.Devices()
	var err error
	if r.Passed, r.Took, err = s.sampler.Passed(); err != nil {
		return nil, fmt.Errorf("sample packets: %w", err)
	}
	r.Shares = s.tally.Shares(r.Passed, s.owners)
	for i := range r.Shares {
		if id := r.Shares[i].Owner; id != 0 {
			r.Containers[id] = s.names.Resolve(id)
		}
	}
	return r, nil
}

// Close detaches and unloads all.
func (s *Survey) Close() error { return s.sampler.Close() }
