//go:build linux && amd64

package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// wantedModules are what a container host loads sooner or later. With their
// dependencies they go into the initramfs; the kernel asks init for them by
// alias when a test first uses one, as modprobe would be asked on a real host.
// A name that a release does not have (built in, or not yet) is left out.
var wantedModules = []string{
	// devices and links
	"veth", "bridge", "dummy", "ifb", "vxlan", "macvlan", "ipvlan", "tun", "ipip", "geneve",
	// queueing and classification
	"sch_tbf", "sch_netem", "sch_htb", "sch_ingress", "sch_fq", "sch_fq_codel", "sch_prio",
	"cls_bpf", "cls_u32", "cls_matchall", "act_mirred", "act_police", "act_gact",
	// filtering and address translation
	"nf_tables", "nf_conntrack", "nf_conntrack_netlink", "nf_nat", "nft_ct", "nft_nat", "nft_masq",
	"nft_redir", "nft_chain_nat", "nft_limit", "nft_reject_inet", "nft_counter", "nft_log", "nft_numgen",
	// what ss asks for
	"inet_diag", "tcp_diag", "udp_diag", "unix_diag", "af_packet_diag",
	"overlay", "loop", "tls", "af_packet",
	// the scratch disk
	"virtio_pci", "virtio_blk",
}

// moduleName is the one spelling of a module's name: file names use either
// dash or underscore, the kernel and depends= always the underscore.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// moduleInfo is the part of a module's .modinfo section that loading needs.
type moduleInfo struct {
	depends []string
	aliases []string
}

// packModules adds the wanted modules to the archive, expanded, and an index for
// init: one line per module, "name depends,... alias alias ...",
// with "-" for no dependency. Dependencies come before their dependents.
func packModules(archive *Archive, all map[string][]byte) error {
	infos := map[string]moduleInfo{}
	data := map[string][]byte{}
	var order []string
	var visit func(name string) error
	visit = func(name string) error {
		packed, ok := all[name]
		if _, done := data[name]; done || !ok {
			return nil
		}
		ko := packed
		if !bytes.HasPrefix(packed, []byte("\x7fELF")) {
			var err error
			if ko, err = decompress(packed); err != nil {
				return fmt.Errorf("module %s: %w", name, err)
			}
		}
		info, err := readModuleInfo(ko)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		data[name], infos[name] = ko, info
		for _, d := range info.depends {
			if err := visit(d); err != nil {
				return err
			}
		}
		order = append(order, name)
		return nil
	}
	for _, name := range wantedModules {
		if err := visit(name); err != nil {
			return err
		}
	}

	var index bytes.Buffer
	for _, name := range order {
		depends := "-"
		if d := infos[name].depends; len(d) > 0 {
			depends = strings.Join(d, ",")
		}
		fmt.Fprintln(&index, strings.Join(append([]string{name, depends}, infos[name].aliases...), " "))
	}
	archive.Dir("/lib/modules")
	archive.File("/lib/modules/index", 0o644, index.Bytes())
	for _, name := range slices.Sorted(maps.Keys(data)) {
		archive.File("/lib/modules/"+name+".ko", 0o644, data[name])
	}
	return nil
}

func readModuleInfo(ko []byte) (moduleInfo, error) {
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return moduleInfo{}, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return moduleInfo{}, fmt.Errorf("no .modinfo section")
	}
	raw, err := section.Data()
	if err != nil {
		return moduleInfo{}, err
	}
	return parseModuleInfo(raw), nil
}

// parseModuleInfo reads the NUL-separated key=value strings of .modinfo.
func parseModuleInfo(raw []byte) moduleInfo {
	var info moduleInfo
	for entry := range strings.SplitSeq(string(raw), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "depends":
			for d := range strings.SplitSeq(value, ",") {
				if d != "" {
					info.depends = append(info.depends, moduleName(d))
				}
			}
		case "alias":
			info.aliases = append(info.aliases, value)
		}
	}
	return info
}
