package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

var pageSize = os.Getpagesize()

const (
	// wantedFiles covers the BPF objects (some 200), the database (some 500
	// tables), sockets and the files of a pass.
	wantedFiles = 4096
	// wantedDisk is a day of 36 services (40,000 points/s for an hour are
	// 0.4 GB at 3 bytes per point; a day of one busy host is a tenth of that
	// rate).
	wantedDisk = 1 << 30
)

func hostChecks(h *host) []check {
	checks := []check{
		{group: GroupHost, name: "locked memory limit", queues: queueNames, needs: []cap.Value{cap.BPF, cap.SYS_RESOURCE},
			advice: "ulimit -l unlimited (LimitMEMLOCK=infinity in a unit)",
			// RemoveMemlock does nothing where the kernel charges maps to the
			// cgroup (Linux 5.11), and raises the limit elsewhere, as the
			// tracer does.
			probe: func(*host) error { return rlimit.RemoveMemlock() }},
		{group: GroupHost, name: "open files limit", loss: "a busy host's database and sockets run out of descriptors",
			advice: "ulimit -n 65536 (LimitNOFILE=65536 in a unit)", fact: findFiles},
	}
	if h.dbDir == "" {
		return checks
	}
	return append(checks, check{group: GroupHost, name: "disk space",
		loss:   "the database stops when the disk is full; live views go on",
		advice: "free some space, choose another --db, or lower the retention", fact: findDisk})
}

// findFiles compares the hard limit, because Go raises the soft one to it.
func findFiles(*host) finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{Unknown, err.Error()}
	}
	if limit.Max < wantedFiles {
		return finding{Missing, fmt.Sprintf("%d, want %d", limit.Max, wantedFiles)}
	}
	return finding{Works, fmt.Sprint(limit.Max)}
}

// findDisk asks the file system of the database's directory, or of the nearest
// parent where the directory does not exist yet.
func findDisk(h *host) finding {
	dir, err := filepath.Abs(h.dbDir)
	if err != nil {
		return finding{Unknown, err.Error()}
	}
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(dir, &stat)
		if err == nil {
			return diskFinding(dir, stat.Bavail*uint64(stat.Bsize))
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return finding{Unknown, fmt.Sprintf("%s: %v", dir, err)}
	}
}

func diskFinding(dir string, free uint64) finding {
	text := fmt.Sprintf("%.1f GiB free at %s", float64(free)/(1<<30), dir)
	if free < wantedDisk {
		return finding{Missing, fmt.Sprintf("%s, want %d GiB", text, wantedDisk>>30)}
	}
	return finding{Works, text}
}
