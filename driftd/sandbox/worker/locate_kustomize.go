package main

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// outcome is what one layer says about a field: nothing, that it set the value (and where),
// or that it may have set it in a way that cannot be told.
type outcome struct {
	decided bool
	at      *place
}

var (
	silent  = outcome{}
	unknown = outcome{decided: true}
)

func foundAt(file string, line int) outcome {
	return outcome{decided: true, at: &place{File: file, Line: line}}
}

// overlay looks for one field of one object in the kustomizations that made it, the nearest
// first. The first one that sets the field must set it to the rendered value: if it does not,
// something here is not understood and nothing is said.
type overlay struct {
	*locator
	file     string
	body     *yaml.Node
	base     *yaml.Node
	baseLine int
	names    []string
	steps    []step
	wanted   *yaml.Node
	// own are the edits of the application itself; nil if it has none.
	own *ownEdits
	// variables says whether one of the kustomizations asked has `vars`.
	variables bool
	// held remembers what holds says of a directory; visits counts the layers asked.
	held   map[string]bool
	visits int
}

func (l *locator) kustomized(p *renderParams, object *locateObject, places []*place) {
	body := parseJSONNode(object.Object)
	if body == nil || object.File == "" {
		return
	}
	w := l.overlayOf(object.File, body)
	w.own = w.ownOf(p)
	for i, text := range object.Paths {
		if text == "" {
			places[i] = w.whole()
			continue
		}
		w.steps = parseSteps(text)
		reach := walkNode(body, w.steps)
		if reach.depth < len(w.steps) || hidesEdits(p) {
			continue
		}
		w.wanted, w.visits, w.variables = reach.value, 0, false
		if places[i] = p.Flux.common(w.steps, w.wanted); places[i] == nil {
			places[i] = w.own.named(w.search(p.dir(), 0).at)
		}
	}
}

// overlayOf looks for the lines of an object that a file declares.
func (l *locator) overlayOf(file string, body *yaml.Node) *overlay {
	w := &overlay{locator: l, file: file, body: body, held: map[string]bool{}}
	w.names = []string{textOf(body, "metadata", "name")}
	w.findBase()
	return w
}

// whole is where the object itself begins: its document, or the entry of what generates it.
func (w *overlay) whole() *place {
	if w.base != nil {
		return &place{File: w.file, Line: w.baseLine + w.base.Line}
	}
	if !slices.Contains(kustomizationNames, path.Base(w.file)) {
		return nil
	}
	dir := strings.TrimSuffix(path.Dir(w.file), ".")
	file, document := w.kustomization(dir)
	if file != w.file {
		return nil
	}
	layer := &layer{w, dir, file, document}
	if entry := layer.generator(); entry != nil {
		return &place{File: file, Line: layer.line(entry)}
	}
	return nil
}

// hidesEdits says whether Flux's object may set any field in a way that is not followed.
func hidesEdits(p *renderParams) bool {
	return p.Flux != nil && p.Flux.Kustomization != nil && !p.Flux.Kustomization.isFollowed()
}

// findBase looks for the document that the object began as: the one of its kind whose name
// the rendered name contains, the longest such name; none if that leaves a choice.
func (w *overlay) findBase() {
	best, repeated := "", false
	for _, document := range w.documents(w.file) {
		candidates := []*yaml.Node{document.root}
		if items := itemsOf(memberOf(document.root, "items")); items != nil {
			candidates = items
		}
		for _, candidate := range candidates {
			name := textOf(candidate, "metadata", "name")
			if name == "" || textOf(candidate, "kind") != textOf(w.body, "kind") ||
				groupOf(candidate) != groupOf(w.body) || !strings.Contains(w.names[0], name) {
				continue
			}
			switch {
			case len(name) > len(best):
				best, repeated = name, false
				w.base, w.baseLine = candidate, document.line
			case name == best && w.isNearer(candidate):
				repeated = false
				w.base, w.baseLine = candidate, document.line
			case name == best && (namespaceOf(candidate) == namespaceOf(w.base) || !w.isNearer(w.base)):
				repeated = true
			}
		}
	}
	if repeated {
		w.base = nil
	}
	if w.base != nil && best != w.names[0] {
		w.names = append(w.names, best)
	}
}

// isNearer says whether a document is in the object's namespace, where another of its name is not.
func (w *overlay) isNearer(candidate *yaml.Node) bool {
	return namespaceOf(candidate) == namespaceOf(w.body) &&
		(candidate == w.base || namespaceOf(w.base) != namespaceOf(w.body))
}

// kustomization is the file and content of the kustomization in a directory.
func (w *overlay) kustomization(dir string) (string, located) {
	for _, name := range kustomizationNames {
		file := joinPath(dir, name)
		if documents := w.documents(file); len(documents) == 1 && documents[0].root != nil {
			return file, documents[0]
		}
	}
	return "", located{}
}

// search asks a kustomization in the reverse of the order in which Kustomize works: its own
// transformers, its generators, its components, and what it builds on.
func (w *overlay) search(dir string, depth int) outcome {
	file, document := w.kustomization(dir)
	var layers []*layer
	if depth == 0 && w.own != nil {
		layers = append(layers, w.own.layer)
	}
	if file == "" {
		if said := asked(layers); said.decided {
			return said
		}
		return w.inFolder(dir, depth)
	}
	if w.visits++; depth > maxBaseDepth || w.visits > maxKustomizations {
		return unknown
	}
	layer := &layer{w, dir, file, document}
	if layer.isOpaque() {
		return unknown
	}
	w.variables = w.variables || len(layer.list("vars")) > 0
	if said := asked(append(layers, layer)); said.decided {
		return said
	}
	for _, name := range slices.Backward(w.components(document.root, depth)) {
		if said := w.search(joinPath(dir, name), depth+1); said.decided {
			return said
		}
	}
	for _, name := range layer.bases() {
		target := joinPath(dir, name)
		if w.sameFile(target) {
			return w.inBase()
		}
		if w.tree.isDir(target) && w.holds(target, depth+1) {
			return w.search(target, depth+1)
		}
	}
	return silent
}

// asked asks layers of one kustomization for each thing that it does in turn, the last one first.
func asked(layers []*layer) outcome {
	for _, ask := range []func(*layer) outcome{
		(*layer).replacements, (*layer).images, (*layer).replicas, (*layer).patchesJSON, (*layer).annotations,
		(*layer).labels, (*layer).patches, (*layer).patchesMerge, (*layer).generators,
	} {
		for _, one := range layers {
			if said := ask(one); said.decided {
				return said
			}
		}
	}
	return silent
}

// components are the directories of a kustomization's components, with those that the application
// adds to the first one.
func (w *overlay) components(kustomization *yaml.Node, depth int) []string {
	var names []string
	for _, item := range itemsOf(memberOf(kustomization, "components")) {
		names = append(names, resolveAlias(item).Value)
	}
	if depth > 0 || w.own == nil {
		return names
	}
	return append(names, slices.DeleteFunc(slices.Clone(w.own.components), func(name string) bool {
		file, _ := w.kustomization(joinPath(w.own.layer.dir, name))
		return file == ""
	})...)
}

// inFolder is a field in a folder without a kustomization: Flux takes all files of it, and of a
// folder below that has one what that makes.
func (w *overlay) inFolder(dir string, depth int) outcome {
	switch found := w.holdersBelow(dir); len(found) {
	case 0:
		return w.inBase()
	case 1:
		return w.search(found[0], depth+1)
	}
	return unknown
}

// holdersBelow are the topmost kustomizations below a folder that the object may come from.
func (w *overlay) holdersBelow(dir string) []string {
	var found []string
	for _, name := range w.tree.names(joinPath(dir, "")) {
		target := joinPath(dir, name)
		if !w.tree.isDir(target) {
			continue
		}
		if file, _ := w.kustomization(target); file == "" {
			found = append(found, w.holdersBelow(target)...)
		} else if w.holds(target, 1) {
			found = append(found, target)
		}
	}
	return found
}

func (w *overlay) sameFile(name string) bool {
	if name == w.file {
		return true
	}
	real, err := w.tree.resolve(name)
	return err == nil && real == w.file
}

// holds says whether the object comes from a kustomization or from one that it builds on.
func (w *overlay) holds(dir string, depth int) bool {
	held, known := w.held[dir]
	if !known {
		w.held[dir] = false
		held = w.lookInto(dir, depth)
		w.held[dir] = held
	}
	return held
}

func (w *overlay) lookInto(dir string, depth int) bool {
	file, document := w.kustomization(dir)
	if file == "" || depth > maxBaseDepth {
		return false
	}
	layer := &layer{w, dir, file, document}
	names := layer.bases()
	for _, component := range itemsOf(memberOf(document.root, "components")) {
		names = append(names, resolveAlias(component).Value)
	}
	return w.sameFile(file) || slices.ContainsFunc(names, func(name string) bool {
		target := joinPath(dir, name)
		return w.sameFile(target) || w.tree.isDir(target) && w.holds(target, depth+1)
	})
}

// inBase is the field in the file that declares the object.
func (w *overlay) inBase() outcome {
	if w.base == nil {
		return silent
	}
	return w.setIn(w.base, w.file, w.baseLine)
}

// setIn judges a document that sets the field or does not: a strategic merge patch, a base.
func (w *overlay) setIn(document *yaml.Node, file string, line int) outcome {
	reach := walkNode(document, w.steps)
	if reach.depth == len(w.steps) {
		return w.ifWanted(reach.value, file, line+reach.line)
	}
	if memberOf(reach.value, "$patch") != nil || reach.value.Kind == yaml.ScalarNode {
		return unknown
	}
	return silent
}

func (w *overlay) ifWanted(value *yaml.Node, file string, line int) outcome {
	if sameValue(value, w.wanted) || w.variables && fromVariables(value, w.wanted) {
		return foundAt(file, line)
	}
	return unknown
}

func (w *overlay) fields() []string {
	names := make([]string, len(w.steps))
	for i, one := range w.steps {
		names[i] = one.field
	}
	return names
}

func (w *overlay) isImage() bool {
	names := w.fields()
	last := len(names) - 1
	return last >= 2 && names[last] == "image" &&
		(names[last-2] == "containers" || names[last-2] == "initContainers")
}

func (w *overlay) isReplicas() bool { return slices.Equal(w.fields(), []string{"spec", "replicas"}) }

// addresses says whether the target of a patch is the object, and whether that is certain.
func (w *overlay) addresses(target *yaml.Node) (fits, certain bool) {
	matches := func(field string, values ...string) bool {
		wanted := textOf(target, field)
		if wanted == "" {
			return true
		}
		pattern, err := regexp.Compile("^(?:" + wanted + ")$")
		return err == nil && slices.ContainsFunc(values, pattern.MatchString)
	}
	group := groupOf(w.body)
	version := textOf(w.body, "apiVersion")
	version = version[strings.LastIndexByte(version, '/')+1:]
	namespaces := []string{textOf(w.body, "metadata", "namespace"), textOf(w.base, "metadata", "namespace")}
	fits = matches("group", group) && matches("version", version) && matches("kind", textOf(w.body, "kind")) &&
		matches("name", w.names...) && matches("namespace", namespaces...)
	certain = textOf(target, "labelSelector") == "" && textOf(target, "annotationSelector") == ""
	return fits, certain
}
