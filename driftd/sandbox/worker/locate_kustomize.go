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
	return outcome{decided: true, at: &place{file, line}}
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
	for i, text := range object.Paths {
		if text == "" {
			places[i] = w.whole()
			continue
		}
		w.steps = parseSteps(text)
		reach := walkNode(body, w.steps)
		if reach.depth < len(w.steps) || w.setByApplication(p) {
			continue
		}
		w.wanted, w.visits, w.variables = reach.value, 0, false
		places[i] = w.search(p.dir(), 0).at
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
		return &place{w.file, w.baseLine + w.base.Line}
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
		return &place{file, layer.line(entry)}
	}
	return nil
}

// setByApplication says whether the Application (or Flux's object) itself may set the field.
func (w *overlay) setByApplication(p *renderParams) bool {
	image, count := w.isImage(), w.isReplicas()
	if source := p.Source.Kustomize; source != nil {
		if len(source.Patches)+len(source.Components) > 0 || image && len(source.Images) > 0 ||
			count && len(source.Replicas) > 0 {
			return true
		}
	}
	if p.Flux != nil && p.Flux.Kustomization != nil {
		spec := p.Flux.Kustomization
		return len(spec.Patches)+len(spec.PatchesStrategicMerge)+len(spec.PatchesJSON6902)+len(spec.Components) > 0 ||
			image && len(spec.Images) > 0
	}
	return false
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
	if file == "" {
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
	for _, ask := range []func() outcome{
		layer.replacements, layer.images, layer.replicas, layer.patchesJSON, layer.annotations, layer.labels,
		layer.patches, layer.patchesMerge, layer.generators,
	} {
		if said := ask(); said.decided {
			return said
		}
	}
	components := itemsOf(memberOf(document.root, "components"))
	for i := len(components) - 1; i >= 0; i-- {
		if said := w.search(joinPath(dir, resolveAlias(components[i]).Value), depth+1); said.decided {
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

// inFolder is a field in a folder without a kustomization: Flux takes all files of it, and of a
// folder below that has one what that makes.
func (w *overlay) inFolder(dir string, depth int) outcome {
	rest, below := strings.CutPrefix("/"+w.file, path.Join("/", dir)+"/")
	if dir == "" || dir == "." {
		rest, below = w.file, true
	}
	for names := strings.Split(rest, "/"); below && len(names) > 1; names = names[1:] {
		dir = joinPath(dir, names[0])
		if file, _ := w.kustomization(dir); file != "" {
			return w.search(dir, depth+1)
		}
	}
	return w.inBase()
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
