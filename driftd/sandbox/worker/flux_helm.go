package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	helmHook   = "helm.sh/hook"
	valuesFile = "values.yaml"
)

// fluxRelease is what a HelmRelease of Flux adds to a chart in Git.
type fluxRelease struct {
	ReleaseName string `json:"releaseName"`
	Namespace   string `json:"namespace"`
	SkipCrds    bool   `json:"skipCrds"`
	SkipSchema  bool   `json:"skipSchema"`
	// ValuesFiles take the place of the chart's own values.yaml; paths start at the root of
	// the source.
	ValuesFiles              []string     `json:"valuesFiles"`
	IgnoreMissingValuesFiles bool         `json:"ignoreMissingValuesFiles"`
	Values                   []fluxValues `json:"values"`
	PostRenderers            []fluxEdits  `json:"postRenderers"`
}

// fluxValues are one layer of values, weakest first: a document, or one value at a path.
type fluxValues struct {
	From       string          `json:"from"`
	Document   string          `json:"document"`
	Object     json.RawMessage `json:"object"`
	TargetPath string          `json:"targetPath"`
	// Literal takes the text as it is, without Helm's --set syntax.
	Literal bool `json:"literal"`
	// File, Name and Key are where Git has the ConfigMap, as far as that is known.
	File string `json:"file"`
	Name string `json:"name"`
	Key  string `json:"key"`
}

// renderFluxRelease does what helm-controller has Helm do.
func (s *server) renderFluxRelease(p *renderParams, spec *fluxRelease, t *tree) (*rendering, error) {
	dir := p.dir()
	loaded, err := loadChart(t, dir, 0)
	if err != nil {
		return nil, err
	}
	if err := spec.replaceDefaults(loaded, t); err != nil {
		return nil, err
	}
	values, err := spec.merged()
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, chartFile)
	files := func(name string) []manifestFile { return spec.valueFiles(p, t, name) }
	stale := staleDependencies(p, t, loaded)
	if err := p.withDependencies(loaded, values); err != nil {
		err = mismatched(err, loaded, file, files)
		return nil, asWorkError(fmt.Errorf("%s: dependencies: %w", file, err), codeHelm, file)
	}
	source := &helmSource{
		ReleaseName: spec.ReleaseName, Namespace: spec.Namespace,
		SkipCrds: spec.SkipCrds, SkipSchemaValidation: spec.SkipSchema, SkipTests: true,
	}
	manifests, err := templateChart(p, source, loaded, values, dir)
	if err != nil {
		return nil, asWorkError(mismatched(err, loaded, file, files), codeHelm, file)
	}
	result := &rendering{warnings: append(stale, repeatedValues(spec.ownFiles(p, t))...)}
	for _, manifest := range manifests {
		if err := result.addTemplate(templateFile(dir, loaded.Name(), manifest.path), manifest); err != nil {
			return nil, err
		}
	}
	crds := path.Join(dir, "crds") + "/"
	for _, edits := range spec.PostRenderers {
		if err := result.postRender(&edits, crds); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// replaceDefaults puts the values files in the place of the chart's own values, as
// source-controller does when it packages the chart.
func (r *fluxRelease) replaceDefaults(loaded *chart.Chart, t *tree) error {
	if len(r.ValuesFiles) == 0 {
		return nil
	}
	values := map[string]any{}
	for _, name := range r.ValuesFiles {
		data, err := t.read(strings.TrimPrefix(path.Clean("/"+name), "/"))
		if err != nil {
			if r.IgnoreMissingValuesFiles {
				continue
			}
			return fail(codePathMissing, name, "spec.chart.spec.valuesFiles: %s does not exist in the repository", name)
		}
		if values, err = mergeValues(values, name, data); err != nil {
			return err
		}
	}
	loaded.Values = values
	for _, raw := range loaded.Raw {
		if raw.Name == valuesFile {
			encoded, err := json.Marshal(values)
			if err != nil {
				return err
			}
			raw.Data = encoded
		}
	}
	return nil
}

func (r *fluxRelease) merged() (map[string]any, error) {
	values := map[string]any{}
	for _, layer := range r.Values {
		var err error
		switch {
		case layer.TargetPath != "":
			if err = layer.set(values); err != nil {
				return nil, fail(codeHelm, "", "%s: targetPath %s: %s", layer.From, layer.TargetPath, err)
			}
		case present(layer.Object):
			values, err = mergeValues(values, layer.From, layer.Object)
		default:
			values, err = mergeValues(values, layer.From, []byte(layer.Document))
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// set puts the text of one key at a path of the values. A quoted text stays text, any other
// becomes what Helm's --set makes of it.
func (v *fluxValues) set(values map[string]any) error {
	text := v.Document
	if v.Literal {
		return strvals.ParseLiteralInto(v.TargetPath+"="+text, values)
	}
	for _, quote := range []string{`"`, "'"} {
		if len(text) > 1 && strings.HasPrefix(text, quote) && strings.HasSuffix(text, quote) {
			return strvals.ParseIntoString(v.TargetPath+"="+escapeCommas(text[1:len(text)-1]), values)
		}
	}
	return strvals.ParseInto(v.TargetPath+"="+text, values)
}

// postRender runs Kustomize over the release's manifests; the chart's own CRDs and hooks never
// pass through it.
func (r *rendering) postRender(edits *fluxEdits, crds string) error {
	files := filesys.MakeFsInMemory()
	kustomization := map[string]any{"buildMetadata": []any{types.OriginAnnotations}}
	var resources []any
	var kept []document
	sources, named := map[string]document{}, map[string]document{}
	for i, doc := range r.documents {
		if strings.HasPrefix(doc.file, crds) || isHook(doc) {
			kept = append(kept, doc)
			continue
		}
		name := fmt.Sprintf("%d.json", i)
		if err := files.WriteFile(name, doc.raw); err != nil {
			return err
		}
		sources[name] = doc
		named[nameOf(doc.raw)] = doc
		resources = append(resources, name)
	}
	if len(resources) == 0 {
		return nil
	}
	kustomization["resources"] = resources
	if err := edits.applyTo(kustomization, "spec.postRenderers"); err != nil {
		return err
	}
	data, err := json.Marshal(kustomization)
	if err != nil {
		return err
	}
	if err := files.WriteFile(kustomizationNames[0], data); err != nil {
		return err
	}
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, ".")
	if err != nil {
		return fail(codeKustomize, "", "spec.postRenderers: %s", err)
	}
	documents := make([]document, 0, len(r.documents))
	for _, object := range objects.Resources() {
		from, known := sources[originFile(object, "")]
		if !known {
			// A patch of all annotations takes the note of the origin along.
			bare, err := objectJSON(object)
			if err == nil {
				from = named[nameOf(bare)]
			}
		}
		if err := object.SetOrigin(nil); err != nil {
			return err
		}
		raw, err := objectJSON(object)
		if err == nil {
			err = checkObject(raw)
		}
		if err != nil {
			return fail(codeKustomize, from.file, "spec.postRenderers: %s", err)
		}
		documents = append(documents, document{from.file, from.index, raw})
	}
	r.documents = append(documents, kept...)
	return nil
}

// nameOf tells the objects of a release apart; empty for what is none.
func nameOf(raw []byte) string {
	var object struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if json.Unmarshal(raw, &object) != nil {
		return ""
	}
	return strings.Join([]string{object.APIVersion, object.Kind, object.Metadata.Namespace, object.Metadata.Name}, "\x00")
}

func isHook(doc document) bool {
	var object struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	return json.Unmarshal(doc.raw, &object) == nil && object.Metadata.Annotations[helmHook] != ""
}
