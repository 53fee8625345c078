package feature

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

func TestClassify(t *testing.T) {
	all := capabilities{set: 1<<cap.BPF | 1<<cap.PERFMON}
	old := capabilities{set: 1 << cap.SYS_ADMIN}
	none := capabilities{}
	unread := capabilities{err: errors.New("no /proc")}
	rejected := func(cause error, log ...string) error {
		return fmt.Errorf("load program: %w", &ebpf.VerifierError{Cause: cause, Log: log})
	}
	tests := []struct {
		name string
		err  error
		held capabilities
		want Verdict
		says string
	}{
		{"success", nil, none, Works, ""},
		{"refused with all capabilities", unix.EPERM, all, Missing, "EPERM"},
		{"refused with CAP_SYS_ADMIN", unix.EPERM, old, Missing, "EPERM"},
		{"refused without capabilities", unix.EPERM, none, Unknown, "no CAP_BPF, CAP_PERFMON"},
		{"refused, capabilities unknown", unix.EACCES, unread, Unknown, "CAP_BPF"},
		{"not supported", fmt.Errorf("x: %w", ebpf.ErrNotSupported), all, Missing, "not supported"},
		{"library's guess after its own refusal", fmt.Errorf("x: %w", ebpf.ErrNotSupported), none, Unknown, "no CAP_BPF"},
		{"search cut short by a refusal", fmt.Errorf("%w (%w)", btf.ErrNotFound, unix.EPERM), none, Unknown, "no CAP_BPF"},
		{"bad argument, unprivileged", unix.EINVAL, none, Unknown, "no CAP_BPF"},
		{"no such type", fmt.Errorf("x: %w", btf.ErrNotFound), none, Missing, "not found"},
		{"no system call", unix.ENOSYS, all, Missing, "not implemented"},
		{"internal ENOTSUPP", enotsupp, all, Missing, "524"},
		{"no file", unix.ENOENT, all, Missing, "no such file"},
		{"out of memory", unix.ENOMEM, all, Unknown, "short of resources"},
		{"out of files", unix.EMFILE, none, Unknown, "short of resources"},
		{"timeout", fmt.Errorf("%w: deadline", errNoAnswer), all, Unknown, "no answer"},
		{"anything else", unix.EIO, all, Unknown, "input/output"},
		{"unknown helper", rejected(unix.EINVAL, "0: call unknown#181", "invalid func unknown#181", "processed 1 insns"), all, Missing, "invalid func"},
		{"helper of other types", rejected(unix.EINVAL, "program of this type cannot use helper bpf_loop#181"), all, Missing, "cannot use helper"},
		{"bad probe", rejected(unix.EACCES, "R2 !read_ok", ""), all, Unknown, "R2 !read_ok"},
		{"helper hidden from the unprivileged", rejected(unix.EINVAL, "program of this type cannot use helper bpf_loop#181"), none, Unknown, "no CAP_BPF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := classify(tt.err, tracer, tt.held)
			if got.verdict != tt.want || !strings.Contains(got.reason, tt.says) {
				t.Errorf("classify(%v) = %v %q, want %v with %q", tt.err, got.verdict, got.reason, tt.want, tt.says)
			}
			if got.verdict != Works && got.reason == "" {
				t.Errorf("classify(%v) gives no reason", tt.err)
			}
		})
	}
}

func TestReadCapabilities(t *testing.T) {
	root := tree(t, map[string]string{
		"full":  "Name:\tx\nCapPrm:\t0\nCapEff:\t000001fffeffffff\n",
		"short": "Name:\tx\n",
		"bad":   "CapEff:\tzz\n",
	})
	full := readCapabilities(root + "/full")
	if full.err != nil || !full.has(cap.BPF) || full.has(cap.SYS_RESOURCE) {
		t.Errorf("readCapabilities(full) = %+v, want all but CAP_SYS_RESOURCE", full)
	}
	for _, name := range []string{"short", "bad", "absent"} {
		if got := readCapabilities(root + "/" + name); got.err == nil || got.has(cap.BPF) {
			t.Errorf("readCapabilities(%s) = %+v, want an error and no capability", name, got)
		}
	}
}
