package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mountPoint is where a tree stands in the absolute paths that Kustomize builds. It is not
// the root, so that a path with too many ".." ends outside of the tree instead of inside.
const mountPoint = "/tree"

// treeFS shows a tree to Kustomize without copying it. Writes (`kustomize edit`) go to an
// overlay of existing files. Relative paths start at cwd.
type treeFS struct {
	tree    *tree
	cwd     string
	overlay map[string][]byte
	// found is where names lead, which is the same as long as there is this view of the tree.
	found map[string]found
}

// found is the resolved path of a name, or why it has none.
type found struct {
	real string
	err  error
}

var _ filesys.FileSystem = (*treeFS)(nil)

func newTreeFS(t *tree, cwd string) *treeFS {
	return &treeFS{tree: t, cwd: cwd, overlay: map[string][]byte{}, found: map[string]found{}}
}

// with shows the same tree with more files in existing directories, or with other content.
func (f *treeFS) with(files map[string][]byte) *treeFS {
	more := newTreeFS(f.tree, f.cwd)
	maps.Copy(more.overlay, f.overlay)
	maps.Copy(more.overlay, files)
	maps.Copy(more.found, f.found)
	for name := range files {
		more.found[path.Join(mountPoint, name)] = found{real: name}
	}
	return more
}

// real answers with the resolved path inside the tree.
func (f *treeFS) real(name string) (string, error) {
	known, ok := f.found[name]
	if !ok {
		known.real, known.err = f.resolve(name)
		f.found[name] = known
	}
	return known.real, known.err
}

func (f *treeFS) resolve(name string) (string, error) {
	if filepath.IsAbs(name) {
		rest, inside := strings.CutPrefix(path.Clean(name), mountPoint)
		if !inside || rest != "" && rest[0] != '/' {
			return "", fail(codePathMissing, name, "%s lies outside of the repository", name)
		}
		return f.tree.resolve(rest)
	}
	return f.tree.resolve(path.Join(f.cwd, ".") + "/" + name)
}

func (f *treeFS) ReadFile(name string) ([]byte, error) {
	real, err := f.real(name)
	if err != nil {
		return nil, err
	}
	if data, ok := f.overlay[real]; ok {
		return data, nil
	}
	if data, ok := f.tree.content(real); ok {
		return data, nil
	}
	return f.tree.read(real)
}

func (f *treeFS) WriteFile(name string, data []byte) error {
	real, err := f.real(name)
	if err != nil {
		return err
	}
	f.overlay[real] = bytes.Clone(data)
	return nil
}

func (f *treeFS) IsDir(name string) bool {
	real, err := f.real(name)
	if err != nil {
		return false
	}
	_, ok := f.tree.dirs[real]
	return ok
}

func (f *treeFS) Exists(name string) bool {
	_, err := f.real(name)
	return err == nil
}

func (f *treeFS) ReadDir(name string) ([]string, error) {
	real, err := f.real(name)
	if err != nil {
		return nil, err
	}
	return f.tree.names(real), nil
}

func (f *treeFS) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	real, err := f.real(name)
	if err != nil {
		return "", "", err
	}
	if _, ok := f.tree.dirs[real]; ok {
		return filesys.ConfirmedDir(path.Join(mountPoint, real)), "", nil
	}
	dir, base := splitPath(real)
	return filesys.ConfirmedDir(path.Join(mountPoint, dir)), base, nil
}

// Glob supports patterns in any part of the path, as filepath.Glob does.
func (f *treeFS) Glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		if f.Exists(pattern) {
			return []string{pattern}, nil
		}
		return nil, nil
	}
	dir, base := path.Split(pattern)
	parents := []string{dir}
	if clean := strings.TrimSuffix(dir, "/"); clean != "" && strings.ContainsAny(clean, `*?[\`) {
		var err error
		if parents, err = f.Glob(clean); err != nil {
			return nil, err
		}
	}
	var found []string
	for _, parent := range parents {
		where := parent
		if where == "" {
			where = "."
		}
		names, err := f.ReadDir(where)
		if err != nil {
			continue
		}
		for _, name := range names {
			matched, err := path.Match(base, name)
			if err != nil {
				return nil, err
			}
			if matched {
				found = append(found, path.Join(parent, name))
			}
		}
	}
	return found, nil
}

func (f *treeFS) Walk(root string, visit filepath.WalkFunc) error {
	real, err := f.real(root)
	if err != nil {
		return visit(root, nil, err)
	}
	return f.tree.walk(real, &walker{
		enter:      func(string) bool { return true },
		wants:      func(string) bool { return true },
		followDirs: true,
		visit: func(name string, data []byte) error {
			return visit(path.Join(mountPoint, name), fileInfo{name: path.Base(name), size: len(data)}, nil)
		},
	})
}

func (f *treeFS) Open(name string) (filesys.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func (f *treeFS) Create(name string) (filesys.File, error) {
	return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrPermission}
}

func (f *treeFS) Mkdir(name string) error {
	return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrPermission}
}

func (f *treeFS) MkdirAll(name string) error { return f.Mkdir(name) }

func (f *treeFS) RemoveAll(name string) error {
	return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrPermission}
}

// fileInfo describes a file or directory of a tree to code that was made for a disk.
type fileInfo struct {
	name string
	size int
	dir  bool
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return int64(i.size) }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.dir }
func (i fileInfo) Sys() any           { return nil }

func (i fileInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o755
	}
	return 0o644
}
