package main

import (
	"maps"
	"slices"
)

// reads are the places of a tree that a rendering looked at. It is decided by them alone, so that
// another tree with the same there renders the same. Each has a letter for what was asked: "p:"
// what is at a path (a file's content, a link's target, a directory, nothing), "l:" which names
// a directory has, "a:" which files the tree has at all.
type reads map[string]bool

func (r reads) note(kind, name string) {
	if r != nil {
		r[kind+":"+name] = true
	}
}

// names lists a directory by its real path.
func (t *tree) names(real string) []string {
	t.reads.note("l", real)
	return t.dirs[real]
}

// content is what a file has by its real path.
func (t *tree) content(real string) ([]byte, bool) {
	t.reads.note("p", real)
	data, ok := t.files[real]
	return data, ok
}

// all are the names of all files.
func (t *tree) all() map[string][]byte {
	t.reads.note("a", "")
	return t.files
}

// watched has the trees of a rendering note what is read of them, until the answer is made.
func (s *server) watched(p *renderParams) (map[string]*tree, error) {
	trees := map[string]*tree{}
	main, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	trees[""] = main
	for name, ref := range p.Refs {
		if trees[name], err = s.trees.get(ref.Tree); err != nil {
			return nil, err
		}
	}
	for _, t := range trees {
		t.reads = reads{}
	}
	return trees, nil
}

// readsOf are the places looked at, by the name of the reference; "" is the source's own tree.
func readsOf(trees map[string]*tree) map[string][]string {
	found := map[string][]string{}
	for name, t := range trees {
		found[name] = slices.AppendSeq([]string{}, maps.Keys(t.reads))
		slices.Sort(found[name])
	}
	for _, t := range trees {
		t.reads = nil
	}
	return found
}
