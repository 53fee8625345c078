package feature

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// host is what the checks of one report share.
type host struct {
	root    string
	release string
	dbDir   string
	caps    capabilities
	config  kernelConfig
	cgroups cgroupMounts
	types   func() (*btf.Spec, error) // of the kernel, loaded when first wanted
}

// path returns an absolute path of the host below the root.
func (h *host) path(elem ...string) string {
	return filepath.Join(append([]string{h.root}, elem...)...)
}

// check is one question. Exactly one of probe and fact is set.
type check struct {
	group    Group
	name     string
	required bool
	queues   []string
	loss     string
	advice   string
	config   []string // kernel options behind it, for the reason

	// probe asks the kernel; its error is classified. needs are the
	// capabilities the kernel asks for.
	probe func(*host) error
	needs []cap.Value
	// fact reads the answer from the host's files.
	fact func(*host) finding
}

// find answers the check, within bounds.
func (c *check) find(ctx context.Context, h *host) finding {
	if c.fact != nil {
		var found finding
		// found is only read when the closure has returned: on errNoAnswer it
		// may still be running.
		if err := bounded(ctx, probeTimeout, func() error { found = c.fact(h); return nil }); err != nil {
			return finding{Unknown, err.Error()}
		}
		return found
	}
	return kernelVerdicts.get(c.name, func() finding {
		found := classify(bounded(ctx, probeTimeout, func() error { return c.probe(h) }), c.needs, h.caps)
		if found.verdict == Missing {
			if off := h.config.unset(c.config); off != "" {
				found.reason += " (" + off + " is not set in the kernel configuration)"
			}
		}
		return found
	})
}

// newHost reads what several checks need. It never fails: what could not be
// read makes the checks that need it Unknown.
func newHost(opts Options) *host {
	h := &host{root: opts.Root, dbDir: opts.DBDir}
	if h.root == "" {
		h.root = "/"
	}
	h.release, _ = uname()
	h.caps = readCapabilities(h.path("proc/thread-self/status"))
	h.config = readKernelConfig(h.path("proc/config.gz"), h.path("boot", "config-"+h.release))
	h.cgroups = readCgroupMounts(h)
	// Mapped, not read, and released with the host.
	h.types = sync.OnceValues(btf.LoadKernelSpec)
	return h
}

// Probe asks every question and returns the report. It fails only when ctx
// ends before the last answer.
func Probe(ctx context.Context, opts Options) (*Report, error) {
	h := newHost(opts)
	_, machine := uname()
	report := &Report{Schema: 1, Object: "feature", Release: h.release, Arch: machine}
	checks := allChecks(h)
	for i := range checks {
		c := &checks[i]
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("probe the kernel: stopped before %s: %w", c.name, err)
		}
		found := c.find(ctx, h)
		report.Items = append(report.Items, Item{Group: c.group, Name: c.name, Verdict: found.verdict,
			Reason: found.reason, Required: c.required, Queues: c.queues, Loss: c.loss})
		switch {
		case found.verdict == Works:
		case found.verdict == Unknown && len(h.caps.lacking(c.needs)) > 0:
			report.Items[i].Advice = adviceAsk
		default:
			report.Items[i].Advice = c.advice
		}
	}
	inferLockdown(report, h)
	report.Flavour = chooseFlavour(report)
	if report.Flavour != FlavourNone {
		for i := range report.Items {
			if item := &report.Items[i]; item.Group == GroupRequest && item.Verdict != Works {
				item.CoveredBy = string(report.Flavour)
			}
		}
	}
	if tables := report.Item(nameTables); tables.Verdict == Works {
		for _, name := range []string{"iter/bpf_sk_storage_map", "iter/bpf_map_elem", nameSocketWalk} {
			if item := report.Item(name); item.Verdict != Works {
				item.CoveredBy = nameTables
			}
		}
	}
	report.conclude()
	return report, nil
}

// uname returns the kernel's release and the machine's architecture.
func uname() (release, machine string) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", ""
	}
	return unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:])
}

// allChecks is the list of everything that is asked, in the order of the
// report.
func allChecks(h *host) []check {
	return slices.Concat(kernelChecks(), capabilityChecks(), iteratorChecks(), bpfChecks(), hookChecks(),
		requestChecks(), fieldChecks(), cgroupChecks(), resourceChecks(), hostChecks(h))
}
