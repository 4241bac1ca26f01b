package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxRepeated is how many keys of one file are told.
const maxRepeated = 5

var repeatedKeyPattern = regexp.MustCompile(`line (\d+): key ("(?:[^"\\]|\\.)*"|\S+) already set in map`)

// repeatedValues tells of keys that stand twice in values files of Git: Helm takes the last one,
// and all that the first one says is gone.
func repeatedValues(files []manifestFile) []string {
	var told []string
	for _, file := range files {
		var value any
		err := yaml.UnmarshalStrict(file.data, &value)
		if err == nil {
			continue
		}
		for _, found := range repeatedKeyPattern.FindAllStringSubmatch(err.Error(), maxRepeated) {
			told = append(told, fmt.Sprintf(
				"%s:%s: the key %s stands twice in one mapping: the last one counts, and nothing of the first; merge them",
				file.name, found[1], strings.Trim(found[2], `"`)))
		}
	}
	return told
}

// ownFiles are the values files of Git that a source of a chart in Git takes.
func (s *server) ownFiles(p *renderParams, source *helmSource, t *tree) []manifestFile {
	files := s.namedFiles(p, source, t)
	if p.Source.Chart == "" {
		files = append(files, ownValues(p, t)...)
	}
	return files
}

// ownFiles are the values files of Git that a release takes.
func (r *fluxRelease) ownFiles(p *renderParams, t *tree) []manifestFile {
	if len(r.ValuesFiles) == 0 {
		if p.Source.Chart != "" {
			return nil
		}
		return ownValues(p, t)
	}
	var files []manifestFile
	for _, name := range r.ValuesFiles {
		name = strings.TrimPrefix(path.Clean("/"+name), "/")
		if data, err := t.read(name); err == nil {
			files = append(files, manifestFile{name: name, data: data})
		}
	}
	return files
}
