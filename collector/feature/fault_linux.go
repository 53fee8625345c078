package feature

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Since Linux 7.0 the end of a socket clears the pointer from its storage's
// elements to the storage (selem->local_storage, bpf_selem_unlink_nofail in
// kernel/bpf/bpf_local_storage.c, commits 5d800f87d0a5 and 0be08389c7f2). The
// iterator holds no lock but RCU's and follows that pointer without a look
// (__bpf_sk_storage_map_seq_show in net/core/bpf_sk_storage.c): a socket that
// ends between its being found and being shown is a NULL dereference in the
// kernel, before any program runs. It was met once, on 7.3.4. No fix was known
// when this was written; its release belongs into socketWalkFault.
//
// unlinkNofail is the function that came with the fault. A kernel before 7.0
// that has it took the change over, and the fault with it.
const unlinkNofail = "bpf_selem_unlink_nofail"

const (
	socketWalkLoss   = "sockets: Seer does not take that walk"
	socketWalkAdvice = "use Linux before 7.0, or one that fixes __bpf_sk_storage_map_seq_show"
)

// SocketWalkFault says why the walk over socket storages is not safe on the
// running kernel, whose types these are. Empty: it is.
func SocketWalkFault(kernel *btf.Spec) string {
	release, _ := uname()
	found := socketWalkFault(release, func() (bool, error) { return hasFunction(kernel, unlinkNofail) })
	if found.verdict == Works {
		return ""
	}
	return found.reason
}

func socketWalkCheck() check {
	return check{group: GroupKernel, name: nameSocketWalk, loss: socketWalkLoss, advice: socketWalkAdvice,
		fact: func(h *host) finding {
			return socketWalkFault(h.release, func() (bool, error) {
				types, err := h.types()
				if err != nil {
					return false, err
				}
				return hasFunction(types, unlinkNofail)
			})
		}}
}

// socketWalkFault judges a release. backported says whether the kernel has
// unlinkNofail, and is asked only of one before 7.0.
func socketWalkFault(release string, backported func() (bool, error)) finding {
	const fault = "__bpf_sk_storage_map_seq_show follows a NULL pointer when a socket closes while it is read"
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return finding{Unknown, fmt.Sprintf("cannot read the release %q", release)}
	}
	if major >= 7 {
		return finding{Missing, "Linux 7.0 and later, no fix known: " + fault}
	}
	switch has, err := backported(); {
	case err != nil:
		return finding{Unknown, "cannot see whether this kernel took over a change of Linux 7.0: " + oneLine(err)}
	case has:
		return finding{Missing, "this kernel took over " + unlinkNofail + " of Linux 7.0: " + fault}
	}
	return finding{Works, "sockets that close while they are read are safe (before Linux 7.0)"}
}

// hasFunction says whether these types list a function.
func hasFunction(types *btf.Spec, name string) (bool, error) {
	var function *btf.Func
	err := types.TypeByName(name, &function)
	if errors.Is(err, btf.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
