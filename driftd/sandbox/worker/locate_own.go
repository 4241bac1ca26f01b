package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// ownFile stands for the application's own document where the name of a file is asked for.
const ownFile = "\x00"

// ownEdits are what an application itself adds to a kustomization, written as one.
type ownEdits struct {
	layer *layer
	// prefix are the steps to them below the source of an Application, or the spec of Flux.
	prefix []string
	// components are directories that the application adds.
	components []string
}

// ownOf are the edits of an Application's source or a Kustomization of Flux; nil if there are none.
func (w *overlay) ownOf(p *renderParams) *ownEdits {
	if p.Flux != nil {
		if spec := p.Flux.Kustomization; spec != nil {
			return w.edits(p.dir(), nil, spec.asKustomization(), spec.Components)
		}
		return nil
	}
	if source := p.Source.Kustomize; source != nil {
		return w.edits(p.dir(), []string{"f:kustomize"}, source.asKustomization(), source.Components)
	}
	return nil
}

func (w *overlay) edits(dir string, prefix []string, kustomization map[string]any, components []string) *ownEdits {
	text, err := sigsyaml.Marshal(kustomization)
	if err != nil {
		return nil
	}
	documents := parseNodes(text)
	if len(documents) != 1 || documents[0].root == nil {
		return nil
	}
	return &ownEdits{&layer{w, dir, ownFile, documents[0]}, prefix, components}
}

func (e *fluxEdits) asKustomization() map[string]any {
	return map[string]any{"images": e.Images, "patches": e.Patches}
}

// isFollowed says whether all of the edits are; patches of fields that Flux gave up are not.
func (e *fluxEdits) isFollowed() bool {
	return len(e.PatchesStrategicMerge)+len(e.PatchesJSON6902) == 0
}

func (s *kustomizeSource) asKustomization() map[string]any {
	images := make([]map[string]any, len(s.Images))
	for i, text := range s.Images {
		images[i] = ownImage(text)
	}
	replicas := make([]map[string]any, len(s.Replicas))
	for i, one := range s.Replicas {
		var count any = textOrNumber(one.Count)
		if number, err := strconv.Atoi(textOrNumber(one.Count)); err == nil {
			count = number
		}
		replicas[i] = map[string]any{"name": one.Name, "count": count}
	}
	kustomization := map[string]any{
		"images": images, "replicas": replicas, "patches": s.Patches,
		"commonAnnotations": s.CommonAnnotations, "commonLabels": s.CommonLabels,
	}
	if s.LabelWithoutSelector {
		delete(kustomization, "commonLabels")
		pairs := map[string]any{"pairs": s.CommonLabels, "includeTemplates": s.LabelIncludeTemplates}
		kustomization["labels"] = []any{pairs}
	}
	return kustomization
}

// ownImage is an entry of Argo CD (`name[=new][:tag|@digest]`) as a kustomization has it;
// nil for one that changes nothing.
func ownImage(text string) map[string]any {
	name, image, renamed := strings.Cut(text, "=")
	if !renamed {
		image = text
	}
	repository, tag, digest := splitImage(image)
	if !renamed {
		name = repository
	}
	if name == repository && tag+digest == "" {
		return nil
	}
	return map[string]any{"name": name, "newName": repository, "newTag": tag, "digest": digest}
}

// place names the field of the application's document for a line of the edits, and how many lines
// below it in a text.
func (o *ownEdits) place(line int) *place {
	steps, begins := pathTo(o.layer.document.root, line-o.layer.document.line)
	switch {
	case len(o.prefix) == 0 || len(steps) == 0:
	case steps[0] == "f:images" && o.prefix[0] == "f:kustomize":
		steps = steps[:min(2, len(steps))]
	case steps[0] == "f:labels" && len(steps) > 2:
		steps = append([]string{"f:commonLabels"}, steps[3:]...)
	}
	own := strings.Join(append(slices.Clone(o.prefix), steps...), "/")
	return &place{Line: line - o.layer.document.line - begins, Own: own}
}

// pathTo leads to what is written on a line, and says on which line that begins.
func pathTo(node *yaml.Node, line int) ([]string, int) {
	var steps []string
	begins := 0
	for node != nil {
		step, next := "", (*yaml.Node)(nil)
		for i, child := range node.Content {
			if child.Line > line {
				break
			}
			switch {
			case node.Kind == yaml.SequenceNode:
				step, next, begins = fmt.Sprintf("i:%d", i), child, child.Line
			case node.Kind == yaml.MappingNode && i%2 == 0:
				step, next, begins = "f:"+escapeToken(child.Value), node.Content[i+1], child.Line
			}
		}
		if next == nil {
			break
		}
		steps, node = append(steps, step), next
	}
	return steps, begins
}

func escapeToken(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// common is the field of Flux's `commonMetadata` that sets a label or annotation, or all of an
// object's, if one does.
func (f *fluxParams) common(steps []step, wanted *yaml.Node) *place {
	if f == nil || len(steps) < 2 || len(steps) > 3 || steps[0].field != "metadata" {
		return nil
	}
	field := steps[1].field
	common := map[string]map[string]string{"labels": f.CommonMetadata.Labels, "annotations": f.CommonMetadata.Annotations}[field]
	var names []string
	if len(steps) == 3 {
		names = []string{steps[2].field}
	} else if wanted != nil && wanted.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(wanted.Content); i += 2 {
			names = append(names, wanted.Content[i].Value)
		}
	}
	own := "f:commonMetadata/f:" + field
	for _, name := range names {
		if _, set := common[name]; !set {
			return nil
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		own += "/f:" + escapeToken(names[0])
	}
	return &place{Own: own}
}

// released finds the fields of a release that its own post renderers set, the last one first.
func (l *locator) released(p *renderParams, object *locateObject, places []*place) {
	body := parseJSONNode(object.Object)
	if body == nil {
		return
	}
	w := &overlay{locator: l, body: body, names: []string{textOf(body, "metadata", "name")}}
	for i, text := range object.Paths {
		w.steps = parseSteps(text)
		reach := walkNode(body, w.steps)
		if reach.depth < len(w.steps) {
			continue
		}
		w.wanted = reach.value
		if places[i] = p.Flux.common(w.steps, w.wanted); places[i] == nil {
			places[i] = w.postRendered(p.Flux.HelmRelease.PostRenderers)
		}
	}
}

func (w *overlay) postRendered(renderers []fluxEdits) *place {
	for i, edits := range slices.Backward(renderers) {
		own := w.edits("", []string{"f:postRenderers", fmt.Sprintf("i:%d", i), "f:kustomize"}, edits.asKustomization(), nil)
		if own == nil || !edits.isFollowed() {
			return nil
		}
		for _, ask := range []func() outcome{own.layer.images, own.layer.patches} {
			if said := ask(); said.decided {
				return own.named(said.at)
			}
		}
	}
	return nil
}

// named is a place with the field of the application's document, where it is one in that.
func (o *ownEdits) named(at *place) *place {
	if o == nil || at == nil || at.File != ownFile {
		return at
	}
	return o.place(at.Line)
}
