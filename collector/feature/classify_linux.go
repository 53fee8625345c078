package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// enotsupp is the kernel's internal ENOTSUPP, which some BPF calls leak.
const enotsupp = unix.Errno(524)

// exhausted are the errors of a machine that is short of something. The
// feature may well work.
var exhausted = []error{unix.ENOMEM, unix.EAGAIN, unix.EINTR, unix.EMFILE, unix.ENFILE,
	unix.ENOSPC, unix.EBUSY, unix.EEXIST, unix.ETIMEDOUT}

// absent are the errors of a kernel that does not have the feature. EINVAL and
// E2BIG count because the probes' arguments are known to be right where the
// feature exists.
var absent = []error{ebpf.ErrNotSupported, btf.ErrNotFound, fs.ErrNotExist, unix.ENOSYS,
	unix.EOPNOTSUPP, enotsupp, unix.ENODEV, unix.ENXIO, unix.ESRCH, unix.EINVAL, unix.E2BIG,
	unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT}

// classify turns the error of a kernel probe into a finding.
//
// needs are the capabilities the kernel asks of the caller. A refusal means
// "missing" only if all of them are held: then a policy refuses, and will
// refuse the tracer too.
func classify(err error, needs []cap.Value, held capabilities) finding {
	if err == nil {
		return finding{Works, ""}
	}
	if errors.Is(err, errNoAnswer) {
		return finding{Unknown, err.Error()}
	}
	for _, e := range exhausted {
		if errors.Is(err, e) {
			return finding{Unknown, "the machine was busy or short of resources: " + oneLine(err)}
		}
	}
	lacking := held.lacking(needs)
	if len(lacking) > 0 && !conclusive(err) {
		return finding{Unknown, "no " + capNames(lacking)}
	}
	// The verifier's EACCES and EINVAL are about the program, not about us.
	var rejected *ebpf.VerifierError
	if errors.As(err, &rejected) && len(rejected.Log) > 0 && !unexamined(rejected) {
		return classifyRejection(rejected)
	}
	if errors.Is(err, fs.ErrPermission) {
		return finding{Missing, "refused (EPERM) with every capability held: lockdown or another security policy: " + oneLine(err)}
	}
	for _, e := range absent {
		if errors.Is(err, e) {
			return finding{Missing, oneLine(err)}
		}
	}
	return finding{Unknown, oneLine(err)}
}

// unexamined says whether the program was refused before its first instruction
// was looked at: for its kind, by a policy.
func unexamined(err *ebpf.VerifierError) bool {
	return errors.Is(err, fs.ErrPermission) &&
		slices.ContainsFunc(err.Log, func(line string) bool { return strings.HasPrefix(line, "processed 0 insns") })
}

// classifyRejection reads the end of the verifier's log. Only its words for
// "no such helper" and "not from this kind of program" are an answer; any
// other complaint is about the probe.
func classifyRejection(err *ebpf.VerifierError) finding {
	tail := err.Log[max(0, len(err.Log)-5):]
	says := func(words string) bool {
		return slices.ContainsFunc(tail, func(line string) bool { return strings.Contains(line, words) })
	}
	text := fmt.Sprintf("the verifier says %q", lastComplaint(tail))
	if says("unknown func") || says("invalid func") || says("cannot use helper") || says("cannot use bpf_timer") {
		return finding{Missing, text}
	}
	return finding{Unknown, text}
}

// lastComplaint is the last line that is not the verifier's statistics.
func lastComplaint(log []string) string {
	for _, line := range slices.Backward(log) {
		if line != "" && !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time") {
			return line
		}
	}
	return ""
}

// conclusive says whether err means "missing" whoever asks: what is not there
// cannot be hidden by a want of privilege. Not so with ErrNotSupported and
// EINVAL, which are also what a library or kernel says when its own question
// was refused, nor when the search itself was refused half way.
func conclusive(err error) bool {
	return !errors.Is(err, fs.ErrPermission) &&
		(errors.Is(err, fs.ErrNotExist) || errors.Is(err, btf.ErrNotFound) || errors.Is(err, unix.ENOSYS))
}

// oneLine is the error without the advice that cilium/ebpf appends about
// limits, which the report gives under its own item.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.Replace(text, " (MEMLOCK may be too low, consider rlimit.RemoveMemlock)", "", 1)
}
