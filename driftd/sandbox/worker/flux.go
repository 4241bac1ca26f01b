package main

import (
	"encoding/json"
	"maps"

	"sigs.k8s.io/yaml"
)

// fluxParams are the parts of the spec of a Flux object that decide what a source renders to;
// exactly one of the two is given.
type fluxParams struct {
	Kustomization  *fluxKustomization `json:"kustomization"`
	HelmRelease    *fluxRelease       `json:"helmRelease"`
	CommonMetadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"commonMetadata"`
}

// fluxEdits are what Kustomizations and post renderers of HelmReleases have in common.
type fluxEdits struct {
	Patches               []fluxPatch      `json:"patches"`
	PatchesStrategicMerge []any            `json:"patchesStrategicMerge"`
	PatchesJSON6902       []fluxJSONPatch  `json:"patchesJson6902"`
	Images                []map[string]any `json:"images"`
}

// fluxPatch has no path: Flux takes patches from its object alone.
type fluxPatch struct {
	Patch   string          `json:"patch"`
	Target  map[string]any  `json:"target,omitempty"`
	Options map[string]bool `json:"options,omitempty"`
}

type fluxJSONPatch struct {
	Patch  any            `json:"patch"`
	Target map[string]any `json:"target"`
}

// renderFlux renders what kustomize-controller or helm-controller would apply.
func (s *server) renderFlux(p *renderParams, t *tree) (*rendering, string, error) {
	var result *rendering
	var kind string
	var err error
	switch {
	case p.Flux.Kustomization != nil:
		kind = typeKustomize
		result, err = renderFluxKustomization(p, p.Flux.Kustomization, t)
	case p.Flux.HelmRelease != nil:
		kind = typeHelm
		result, err = s.renderFluxRelease(p, p.Flux.HelmRelease, t)
	default:
		return nil, "", fail(codeBadRequest, "", "neither a Kustomization nor a HelmRelease")
	}
	if err == nil {
		err = p.Flux.addCommonMetadata(result)
	}
	return result, kind, err
}

// addCommonMetadata sets labels and annotations of the objects themselves, never those of
// selectors or templates.
func (f *fluxParams) addCommonMetadata(result *rendering) error {
	common := f.CommonMetadata
	if len(common.Labels)+len(common.Annotations) == 0 {
		return nil
	}
	for i, doc := range result.documents {
		var object map[string]any
		if err := json.Unmarshal(doc.raw, &object); err != nil {
			return err
		}
		metadata, ok := object["metadata"].(map[string]any)
		if !ok {
			continue
		}
		setStrings(metadata, "labels", common.Labels)
		setStrings(metadata, "annotations", common.Annotations)
		raw, err := encodeObject(object)
		if err != nil {
			return err
		}
		result.documents[i].raw = raw
	}
	return nil
}

func setStrings(metadata map[string]any, field string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	all := map[string]any{}
	if existing, ok := metadata[field].(map[string]any); ok {
		maps.Copy(all, existing)
	}
	for key, value := range values {
		all[key] = value
	}
	metadata[field] = all
}

// applyTo adds the edits to a kustomization, as Flux writes them into its file.
func (e *fluxEdits) applyTo(kustomization map[string]any, file string) error {
	var patches []any
	for _, patch := range e.Patches {
		patches = append(patches, patch)
	}
	for _, patch := range e.PatchesStrategicMerge {
		text, err := yaml.Marshal(patch)
		if err != nil {
			return err
		}
		patches = append(patches, fluxPatch{Patch: string(text)})
	}
	for _, patch := range e.PatchesJSON6902 {
		text, err := json.Marshal(patch.Patch)
		if err != nil {
			return err
		}
		patches = append(patches, fluxPatch{Patch: string(text), Target: patch.Target})
	}
	if err := appendTo(kustomization, "patches", patches, file); err != nil {
		return err
	}
	images, err := listOf(kustomization, "images", file)
	if err != nil {
		return err
	}
	for _, image := range e.Images {
		images = replaceImage(images, image)
	}
	if len(images) > 0 {
		kustomization["images"] = images
	}
	return nil
}

// replaceImage puts an image in the place of the one of its name.
func replaceImage(images []any, image map[string]any) []any {
	for i, item := range images {
		if known, ok := item.(map[string]any); ok && known["name"] == image["name"] {
			images[i] = image
			return images
		}
	}
	return append(images, image)
}

func appendTo(kustomization map[string]any, field string, values []any, file string) error {
	if len(values) == 0 {
		return nil
	}
	existing, err := listOf(kustomization, field, file)
	if err != nil {
		return err
	}
	kustomization[field] = append(existing, values...)
	return nil
}

func listOf(kustomization map[string]any, field, file string) ([]any, error) {
	existing, ok := kustomization[field].([]any)
	if !ok && kustomization[field] != nil {
		return nil, fail(codeKustomize, file, "%s: %s is no list", file, field)
	}
	return existing, nil
}
