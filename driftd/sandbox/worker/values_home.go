package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// homeDocument is the document that declares the application, where that is known.
type homeDocument struct {
	File string `json:"file"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Source leads to the source in it.
	Source []any `json:"source"`
	// Tree is the one that the file lies in, if that is known.
	Tree string `json:"tree"`
	// Above is the source that renders the document, if one does: its overlays may have changed
	// what the file says.
	Above *renderParams `json:"above"`
	// Object is the document as Above renders it.
	Object json.RawMessage `json:"object"`
}

// inline are values in the application's own document, of which the line is looked for.
func (t *tracer) inline(data []byte, at []any) valueLayer {
	return func(l *leaf) (*valuePlace, bool) {
		values, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil || !defines(values, l.path) {
			return nil, err != nil
		}
		if w := t.homeOverlay(); w.overlay != nil {
			return w.inline(at, l), true
		}
		ref, file, document := t.home()
		if document == nil {
			return nil, true
		}
		key, value := nodeAt(document.root, at)
		if value == nil {
			return nil, true
		}
		if value.Kind == yaml.ScalarNode {
			place := placeInText(file, document.line+key.Line, moved(value, document.line), l)
			if place != nil {
				place.Ref = ref
			}
			return t.atHome(place), true
		}
		return t.atHome(placeIn(ref, file, value, document.line, l)), true
	}
}

// moved is a text of a document that begins after some lines of its file, with its line there.
func moved(text *yaml.Node, lines int) *yaml.Node {
	found := *text
	found.Line += lines
	return &found
}

// atHome says of a place in the home document which tree it lies in.
func (t *tracer) atHome(place *valuePlace) *valuePlace {
	if place != nil {
		place.AtHome = t.params.Home.Tree != ""
	}
	return place
}

// home is the document that declares the application, and the file and reference that it lies in.
func (t *tracer) home() (ref, file string, found *located) {
	wanted := t.params.Home
	if wanted.File == "" {
		return "", "", nil
	}
	names := append([]string{""}, slices.Sorted(maps.Keys(t.params.Refs))...)
	if wanted.Tree != "" {
		names = names[:1]
	}
	for _, name := range names {
		from, err := t.tree, error(nil)
		if id := firstOf(wanted.Tree, t.params.Refs[name].Tree); id != "" {
			if from, err = t.server.trees.get(id); err != nil {
				continue
			}
		}
		finder := &locator{tree: from, texts: map[string][]located{}}
		for _, one := range finder.documents(wanted.File) {
			if one.root == nil || textOf(one.root, "kind") != wanted.Kind || textOf(one.root, "metadata", "name") != wanted.Name {
				continue
			}
			if found != nil {
				return "", "", nil
			}
			ref, file, found = name, wanted.File, &one
		}
		if found != nil {
			break
		}
	}
	return ref, file, found
}

// parameters are single values in the application's document.
func (t *tracer) parameters(source *helmSource) valueLayer {
	return func(l *leaf) (*valuePlace, bool) {
		for _, one := range slices.Backward(source.Parameters) {
			if leadsTo(parameterPath(one.Name), l.path) {
				return t.parameterPlace("parameters", one), true
			}
		}
		return nil, false
	}
}

func (t *tracer) parameterPlace(list string, wanted nameValue) *valuePlace {
	at := append(slices.Clone(t.params.Home.Source), "helm", list)
	if w := t.homeOverlay(); w.overlay != nil {
		named := step{kind: 'k', keys: map[string]any{"name": wanted.Name}, index: -1}
		steps := append(stepsOf(at), named, step{kind: 'f', field: "value", index: -1})
		return w.placeOf(steps, func(value *yaml.Node) bool { return value.Value == wanted.Value })
	}
	ref, file, document := t.home()
	if document == nil {
		return nil
	}
	_, items := nodeAt(document.root, at)
	var place *valuePlace
	for _, item := range itemsOf(items) {
		key, value := pairOf(item, "value")
		if textOf(item, "name") == wanted.Name && value != nil && resolveAlias(value).Value == wanted.Value {
			place = &valuePlace{Ref: ref, File: file, Line: document.line + key.Line}
		}
	}
	return t.atHome(place)
}

// homeOverlay finds the lines of a home document that kustomizations render.
type homeOverlay struct {
	*overlay
	above *renderParams
}

// homeOverlay is empty where no kustomization renders the home document.
func (t *tracer) homeOverlay() *homeOverlay {
	if t.overlay == nil {
		t.overlay = &homeOverlay{above: t.params.Home.Above}
		t.overlay.open(t.server, &t.params.Home)
	}
	return t.overlay
}

func (h *homeOverlay) open(s *server, home *homeDocument) {
	if h.above == nil {
		return
	}
	from, err := s.trees.get(home.Tree)
	if err != nil || h.above.loadSource(from) != nil {
		return
	}
	if h.above.Flux == nil {
		if kind, err := h.above.sourceType(from); err != nil || kind != typeKustomize {
			return
		}
	}
	body := parseJSONNode(home.Object)
	if body == nil {
		return
	}
	finder := &locator{tree: from, texts: map[string][]located{}}
	h.overlay = finder.overlayOf(home.File, body)
	h.overlay.own = h.overlay.ownOf(h.above)
}

// inline is the line of a value below a place of the document.
func (h *homeOverlay) inline(at []any, l *leaf) *valuePlace {
	_, value := nodeAt(h.body, at)
	if value == nil {
		return nil
	}
	if value.Kind != yaml.ScalarNode {
		here := *l
		here.path = append(slices.Clone(at), l.path...)
		return h.placeOf(stepsOf(here.path), func(*yaml.Node) bool { return says(h.body, &here) })
	}
	text := h.placeOf(stepsOf(at), func(*yaml.Node) bool { return true })
	if text == nil {
		return nil
	}
	for _, document := range h.documents(text.File) {
		key, written := writtenAt(document.root, text.Line-document.line, value.Value)
		if written != nil {
			return inHome(placeInText(text.File, document.line+key.Line, moved(written, document.line), l))
		}
	}
	return inHome(placeInText(text.File, text.Line, &yaml.Node{Kind: yaml.ScalarNode, Value: value.Value}, l))
}

// placeOf is the line that sets a field of the document which `fits`.
func (h *homeOverlay) placeOf(steps []step, fits func(*yaml.Node) bool) *valuePlace {
	h.steps = steps
	reach := walkNode(h.body, steps)
	if reach.depth < len(steps) || !fits(reach.value) || hidesEdits(h.above) {
		return nil
	}
	h.wanted, h.visits = reach.value, 0
	found := h.search(h.above.dir(), 0).at
	if found == nil || found.File == ownFile {
		return nil
	}
	return inHome(&valuePlace{File: found.File, Line: found.Line})
}

func inHome(place *valuePlace) *valuePlace {
	if place != nil {
		place.AtHome = true
	}
	return place
}

// writtenAt is the pair at a line of a document whose value is a text.
func writtenAt(node *yaml.Node, line int, text string) (key, value *yaml.Node) {
	if node == nil {
		return nil, nil
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Line == line && node.Content[i+1].Value == text {
			return child, node.Content[i+1]
		}
		if key, value = writtenAt(child, line, text); value != nil {
			return key, value
		}
	}
	return nil, nil
}

// stepsOf are the steps of a path of names and positions.
func stepsOf(at []any) []step {
	steps := make([]step, len(at))
	for i, one := range at {
		switch one := one.(type) {
		case string:
			steps[i] = step{kind: 'f', field: one, index: -1}
		case int:
			steps[i] = step{kind: 'i', index: one}
		case float64:
			steps[i] = step{kind: 'i', index: int(one)}
		}
	}
	return steps
}
