package main

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/gobwas/glob"
)

var (
	manifestPattern = regexp.MustCompile(`\.(yaml|yml|json|jsonnet)$`)
	skipMarker      = []byte("+argocd:skip-file-rendering")
)

type manifestFile struct {
	name string
	data []byte
}

// renderDirectory reads plain manifests and Jsonnet as Argo CD's directory type does. Where that
// gives up with the first file that is wrong, this one reads on: a bad file is an error of the
// rendering, and the objects of the others are there.
func renderDirectory(p *renderParams, t *tree) (*rendering, error) {
	options := p.Source.Directory
	if options == nil {
		options = &directorySource{}
	}
	files, err := manifestFiles(t, p.dir(), options)
	if err != nil {
		return nil, err
	}
	result := &rendering{}
	environment := newBuildEnvironment(p)
	for _, file := range files {
		if strings.HasSuffix(file.name, ".jsonnet") {
			documents, err := evaluateJsonnet(t, p.dir(), file, &options.Jsonnet, environment)
			if err != nil && !result.sustains(err) {
				return nil, err
			}
			result.documents = append(result.documents, documents...)
			continue
		}
		result.addManifests(file)
		if len(result.documents) > maxObjects {
			return nil, fail(codeLimit, file.name, "%s: more than %d objects in the application", file.name, maxObjects)
		}
	}
	return result, nil
}

// manifestFiles lists the files that count, in lexical order, within the size limit.
func manifestFiles(t *tree, dir string, options *directorySource) ([]manifestFile, error) {
	include, err := compileGlob("include", options.Include)
	if err != nil {
		return nil, err
	}
	exclude, err := compileGlob("exclude", options.Exclude)
	if err != nil {
		return nil, err
	}
	var files []manifestFile
	size := 0
	visit := func(name string, data []byte) error {
		relative := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		switch {
		case exclude != nil && exclude.Match(relative),
			include != nil && !include.Match(relative),
			bytes.Contains(data, skipMarker):
			return nil
		}
		if !strings.HasSuffix(name, ".jsonnet") {
			if size += len(data); size > maxAppBytes {
				return fail(codeLimit, name, "the manifests below %s have more than %d bytes", dir, maxAppBytes)
			}
		}
		files = append(files, manifestFile{name, data})
		return nil
	}
	err = t.walk(dir, &walker{
		enter: func(string) bool { return options.Recurse },
		wants: func(name string) bool {
			return options.DisableExtensionFilter || manifestPattern.MatchString(path.Base(name))
		},
		visit: visit,
	})
	return files, err
}

func compileGlob(field, pattern string) (glob.Glob, error) {
	if pattern == "" {
		return nil, nil
	}
	compiled, err := glob.Compile(pattern)
	if err != nil {
		return nil, fail(codeInvalidSource, "", "source.directory.%s: invalid pattern %q: %s", field, pattern, err)
	}
	return compiled, nil
}

// sustains notes an error of one file's content, with which the rendering can go on.
func (r *rendering) sustains(err error) bool {
	known := asWorkError(err, codeInternal, "")
	if known.Code != codeInvalid && known.Code != codeJsonnet {
		return false
	}
	r.refuse("%s", known.Message)
	return true
}

// addManifests adds the objects of one file. A YAML file that does not read as manifests and
// does not look like them (a values file, say) is left out with a warning, as in Argo CD. Of any
// other file each document that is wrong is an error.
func (r *rendering) addManifests(file manifestFile) {
	read := decodeFile(file.name, file.data)
	documents, problems := read.documents, read.errors
	if strings.HasSuffix(file.name, ".json") && len(documents) > 1 {
		r.refuse("%s: several objects in a JSON file", file.name)
		return
	}
	var manifests []document
	for _, doc := range documents {
		if bytes.Contains(doc.raw, []byte(`"kind":"`)) {
			manifests = append(manifests, doc)
		} else {
			problems = append(problems, problem{file.name, doc.index, "the object has no kind"})
		}
	}
	if len(problems) > 0 && len(manifests) == 0 &&
		!strings.HasSuffix(file.name, ".json") && !looksLikeManifest(file.data) {
		r.warn("%s: left out, it is no manifest: %s", file.name, problems[0].Message)
		return
	}
	for _, wrong := range problems {
		r.refuse("%s: document %d: %s", file.name, wrong.Index+1, wrong.Message)
	}
	for _, warning := range read.warnings {
		r.warn("%s: document %d: %s", file.name, warning.Index+1, warning.Message)
	}
	r.documents = append(r.documents, manifests...)
}

func looksLikeManifest(data []byte) bool {
	return bytes.Contains(data, []byte("apiVersion:")) &&
		bytes.Contains(data, []byte("kind:")) &&
		bytes.Contains(data, []byte("metadata:"))
}
