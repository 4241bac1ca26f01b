package main

import (
	"path"
	"runtime/debug"
	"sort"
	"strings"
)

// tree is the content of one Git tree. Paths are relative to its root, with slashes.
type tree struct {
	id    string
	files map[string][]byte
	links map[string]string
	// dirs lists the names in each directory, sorted; the root is "".
	dirs map[string][]string
	size int
	// remotes are fetched bases: the URL that a kustomization writes, and the directory for it.
	remotes map[string]string
	// counted are the files of kustomizations that were looked at before, by path.
	counted map[string]*countedFile
	// known is what was read of files with the same content, in this tree and others.
	known *readings
	// reads notes what is looked at while a rendering runs.
	reads reads
}

func newTree(id string, files map[string][]byte, links map[string]string) (*tree, error) {
	t := &tree{id: id, files: files, links: links, dirs: map[string][]string{"": nil}, counted: map[string]*countedFile{}, known: &readings{}}
	if count := len(files) + len(links); count > maxTreeFiles {
		return nil, tooLarge(count, 0)
	}
	for name, data := range files {
		if err := t.add(name); err != nil {
			return nil, err
		}
		t.size += len(data)
	}
	for name := range links {
		if err := t.add(name); err != nil {
			return nil, err
		}
	}
	if t.size > maxTreeBytes {
		return nil, tooLarge(0, t.size)
	}
	for _, names := range t.dirs {
		sort.Strings(names)
	}
	return t, nil
}

func tooLarge(files, size int) *workError {
	if files > maxTreeFiles {
		return fail(codeLimit, "", "the tree has %d files, more than %d", files, maxTreeFiles)
	}
	return fail(codeLimit, "", "the tree has %d bytes, more than %d", size, maxTreeBytes)
}

func (t *tree) add(name string) error {
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
		return fail(codeBadRequest, name, "invalid path %q in the tree", name)
	}
	for name != "" {
		parent, base := splitPath(name)
		names, known := t.dirs[parent]
		t.dirs[parent] = append(names, base)
		if known {
			return nil
		}
		name = parent
	}
	return nil
}

// splitPath is path.Split without the trailing slash: the parent of a name in the root is "".
func splitPath(name string) (string, string) {
	dir, base := path.Split(name)
	return strings.TrimSuffix(dir, "/"), base
}

// resolve follows symbolic links and "..", and answers with the real path. It never leaves
// the tree: a link or ".." that would is an error, as is a loop.
func (t *tree) resolve(name string) (string, error) {
	pending := strings.Split(name, "/")
	current, followed := "", 0
	for len(pending) > 0 {
		part := pending[0]
		pending = pending[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if current == "" {
				return "", fail(codeSymlink, name, "%s leads out of the repository", name)
			}
			current, _ = splitPath(current)
			continue
		}
		next := path.Join(current, part)
		t.reads.note("p", next)
		target, isLink := t.links[next]
		if !isLink {
			if !t.exists(next) {
				return "", missing(name)
			}
			current = next
			continue
		}
		if followed++; followed > maxLinks {
			return "", fail(codeSymlink, name, "symbolic link %s does not end", next)
		}
		if path.IsAbs(target) {
			return "", fail(codeSymlink, name, "symbolic link %s leads out of the repository", next)
		}
		pending = append(strings.Split(target, "/"), pending...)
	}
	return current, nil
}

func missing(name string) *workError {
	return fail(codePathMissing, name, "%s does not exist in the repository", name)
}

func (t *tree) exists(real string) bool {
	if _, ok := t.files[real]; ok {
		return true
	}
	_, ok := t.dirs[real]
	return ok
}

func (t *tree) isDir(name string) bool {
	real, err := t.resolve(name)
	if err != nil {
		return false
	}
	_, ok := t.dirs[real]
	return ok
}

func (t *tree) read(name string) ([]byte, error) {
	real, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	data, ok := t.content(real)
	if !ok {
		return nil, fail(codePathMissing, name, "%s is a directory, not a file", name)
	}
	return data, nil
}

// walker says how to go through a directory, in lexical order.
type walker struct {
	// enter says whether to descend into a directory.
	enter func(dir string) bool
	// wants says which files count; links that do not are not even resolved.
	wants func(name string) bool
	// followDirs descends into links to directories.
	followDirs bool
	// strict makes a link that leads nowhere an error instead of nothing.
	strict bool
	visit  func(name string, data []byte) error
}

// walk visits files by the path at which they are seen (not a link's target). A link that
// leads out of the tree is an error.
func (t *tree) walk(dir string, w *walker) error { return t.walkDepth(dir, 0, w) }

func (t *tree) walkDepth(dir string, depth int, w *walker) error {
	if depth > maxDepth {
		return fail(codeSymlink, dir, "directories are nested deeper than %d below %s", maxDepth, dir)
	}
	real, err := t.resolve(dir)
	if err != nil {
		return err
	}
	for _, base := range t.names(real) {
		if err := t.step(path.Join(dir, base), path.Join(real, base), depth, w); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) step(name, real string, depth int, w *walker) error {
	if _, isLink := t.links[real]; isLink {
		if !w.followDirs && !w.wants(name) {
			return nil
		}
		target, err := t.resolve(real)
		if err != nil {
			if !w.strict && asWorkError(err, codeSymlink, name).Code == codePathMissing {
				return nil
			}
			return err
		}
		real = target
		if _, isDir := t.dirs[real]; isDir && !w.followDirs {
			return nil
		}
	}
	if _, isFile := t.files[real]; isFile {
		if !w.wants(name) {
			return nil
		}
		data, _ := t.content(real)
		return w.visit(name, data)
	}
	if !w.enter(name) {
		return nil
	}
	return t.walkDepth(name, depth+1, w)
}

// treeStore holds the trees used last, up to maxHeldBytes and maxHeldTrees.
type treeStore struct {
	byID  map[string]*tree
	order []string
	size  int
	// known is shared by all trees: they are of one project.
	known *readings
	// coming are the files of a tree whose last part is not there yet, of comingSize bytes.
	comingID   string
	coming     map[string][]byte
	comingSize int
	// percent is what the collector was told last.
	percent int
}

// gather puts the parts of a tree together and answers with all files so far. The parts of a tree
// follow each other: those of another one, or an error, end it.
func (s *treeStore) gather(id string, files map[string][]byte, more bool) (map[string][]byte, error) {
	if s.coming == nil || s.comingID != id {
		s.comingID, s.coming, s.comingSize = id, map[string][]byte{}, 0
	}
	gathered := s.coming
	for name, data := range files {
		s.comingSize += len(data)
		gathered[name] = data
	}
	if s.comingSize > maxTreeBytes || len(gathered) > maxTreeFiles || !more {
		s.coming = nil
	}
	if more && s.coming == nil {
		return nil, tooLarge(len(gathered), s.comingSize)
	}
	return gathered, nil
}

func newTreeStore() *treeStore {
	return &treeStore{byID: map[string]*tree{}, known: &readings{}, percent: collectorPercent}
}

func (s *treeStore) put(t *tree) {
	s.remove(t.id)
	s.byID[t.id], t.known = t, s.known
	s.order = append(s.order, t.id)
	s.size += t.size
	defer s.paceCollector()
	for len(s.order) > 1 && (s.size > maxHeldBytes || len(s.order) > maxHeldTrees) {
		s.remove(s.order[0])
	}
}

func (s *treeStore) remove(id string) {
	old, ok := s.byID[id]
	if !ok {
		return
	}
	delete(s.byID, id)
	s.size -= old.size
	for i, held := range s.order {
		if held == id {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
}

func (s *treeStore) get(id string) (*tree, error) {
	t, ok := s.byID[id]
	if !ok {
		return nil, fail(codeTreeMissing, "", "the worker does not hold tree %q", id)
	}
	s.remove(id)
	s.put(t)
	return t, nil
}

// garbageBytes is how much garbage may lie beside trees before it is collected; what collecting
// costs does not grow with them, as nothing in the bytes of files has to be looked at.
const garbageBytes = 64 << 20

// leastPercent is the growth of the heap that is always let through.
const leastPercent = 20

// paceCollector lets the heap grow by less than usual where most of it is trees.
func (s *treeStore) paceCollector() {
	percent := max(min(collectorPercent, 100*garbageBytes/(s.size+ballastBytes)), leastPercent)
	if percent != s.percent {
		debug.SetGCPercent(percent)
		s.percent = percent
	}
}
