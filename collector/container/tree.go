package container

import (
	"context"
	"os"
	"path/filepath"
)

const (
	// defaultMaxCgroups bounds the tree in memory: about 300 bytes each. A node
	// with 110 pods has some 600 cgroups, a large systemd host 300.
	defaultMaxCgroups = 16384
	maxDepth          = 32 // levels below the hierarchy's root
)

// tree follows the cgroups of one hierarchy, so that an id has a path.
//
// A pass costs one stat per cgroup, 2 to 5 us, and one directory read per
// changed parent. Reading every directory instead costs ten times as much: a
// cgroup directory lists some fifty control files. A parent has changed when
// its link count has, or when a known child is gone; a child added while
// another was removed cannot hide, since the removed one was known.
type tree struct {
	h    Hierarchy
	max  int
	top  *node
	byID map[ID]*node
	full bool // the last pass found more than max cgroups, or deeper ones
}

type node struct {
	id       ID
	path     string // below the hierarchy's root, "/a/b"; "/" for the root
	dir      string
	nlink    uint64
	children map[string]*node
}

func newTree(h Hierarchy, max int) *tree {
	return &tree{h: h, max: max, byID: map[ID]*node{}}
}

// update makes one pass. gone is called for each cgroup that no longer exists.
// It returns only ctx's error; the tree is then as far as the pass got.
func (t *tree) update(ctx context.Context, gone func(ID)) error {
	t.full = false
	ino, nlink, err := inode(t.h.Mount)
	if err != nil {
		return nil // unmounted: nothing can be said, and nothing was removed
	}
	id := t.h.mark(ino)
	if t.top != nil && t.top.id != id {
		t.drop(t.top, gone)
		t.top = nil
	}
	if t.top == nil {
		// Root is what the mount shows; the paths of a bind mount's cgroups
		// keep the part above it, as /proc/PID/cgroup shows them.
		path := t.h.Root
		if path == "" {
			path = "/"
		}
		t.top = t.add(&node{id: id, path: path, dir: t.h.Mount})
	}
	return t.visit(ctx, t.top, nlink, 0, gone)
}

func (t *tree) add(n *node) *node {
	t.byID[n.id] = n
	return n
}

// visit brings n, which has just been seen with this link count, and
// everything below it up to date.
func (t *tree) visit(ctx context.Context, n *node, nlink uint64, depth int, gone func(ID)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// File systems that do not count links of directories (recorded trees on
	// btrfs or overlayfs) say 1; read those every time.
	changed := nlink != n.nlink || nlink < 2
	for name, child := range n.children {
		ino, links, err := inode(child.dir)
		if err != nil || t.h.mark(ino) != child.id {
			t.drop(child, gone)
			delete(n.children, name)
			changed = true
			continue
		}
		if err := t.visit(ctx, child, links, depth+1, gone); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	if depth == maxDepth {
		t.full = true
		return nil
	}
	complete := t.read(ctx, n, depth, gone)
	if complete {
		n.nlink = nlink
	}
	return ctx.Err()
}

// read lists n's directory and visits the children that are new. It reports
// whether all of them found room; if not, the next pass reads again.
func (t *tree) read(ctx context.Context, n *node, depth int, gone func(ID)) (complete bool) {
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return false // gone mid-read: its parent's next pass will see
	}
	complete = true
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || n.children[name] != nil {
			continue
		}
		if len(t.byID) >= t.max {
			t.full = true
			return false
		}
		dir := filepath.Join(n.dir, name)
		ino, links, err := inode(dir)
		if err != nil {
			continue
		}
		child := t.add(&node{id: t.h.mark(ino), path: below(n.path, name), dir: dir})
		if n.children == nil {
			n.children = map[string]*node{}
		}
		n.children[name] = child
		if t.visit(ctx, child, links, depth+1, gone) != nil {
			return false
		}
	}
	return complete
}

// below joins a cgroup path and a name. It keeps the leading ".." of a path
// above Seer's cgroup namespace, which filepath.Join would clean away.
func below(path, name string) string {
	if path == "/" {
		return "/" + name
	}
	return path + "/" + name
}

// drop forgets n and everything below it.
func (t *tree) drop(n *node, gone func(ID)) {
	for _, child := range n.children {
		t.drop(child, gone)
	}
	if t.byID[n.id] == n {
		delete(t.byID, n.id)
		gone(n.id)
	}
}

// isRoot reports whether n is the root of the whole hierarchy.
func (t *tree) isRoot(n *node) bool { return n == t.top && t.h.atRoot }
