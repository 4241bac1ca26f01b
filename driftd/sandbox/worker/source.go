package main

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// renderParams are the parameters of "render"; source is Argo CD's ApplicationSource.
type renderParams struct {
	Tree        string             `json:"tree"`
	RawSource   json.RawMessage    `json:"source"`
	Refs        map[string]refTree `json:"refs"`
	Application struct {
		Name                 string `json:"name"`
		InstanceName         string `json:"instanceName"`
		Project              string `json:"project"`
		DestinationNamespace string `json:"destinationNamespace"`
	} `json:"application"`
	Revision     string            `json:"revision"`
	RepoURL      string            `json:"repoURL"`
	KubeVersion  string            `json:"kubeVersion"`
	APIVersions  []string          `json:"apiVersions"`
	BuildOptions buildOptions      `json:"buildOptions"`
	Flux         *fluxParams       `json:"flux"`
	Source       applicationSource `json:"-"`
	// revisionRead says whether the revision itself went into the rendering.
	revisionRead bool
	// unstable knows whether a template called what differs each time.
	unstable unstableFunctions
	// probe sees and changes the values of a chart; nil where it is rendered as it is.
	probe *valueProbe
}

type refTree struct {
	Tree string `json:"tree"`
}

// buildOptions are the only options of `kustomize build` that can be chosen.
type buildOptions struct {
	// Reorder is "none" or "legacy".
	Reorder string `json:"reorder"`
	// LoadRestrictor is "rootOnly" or "none"; also without, nothing outside of the tree is there.
	LoadRestrictor string `json:"loadRestrictor"`
	ManagedByLabel bool   `json:"managedByLabel"`
	// Helm permits charts inside kustomizations.
	Helm            bool     `json:"helm"`
	HelmKubeVersion string   `json:"helmKubeVersion"`
	HelmAPIVersions []string `json:"helmApiVersions"`
}

type applicationSource struct {
	RepoURL        string           `json:"repoURL"`
	Path           string           `json:"path"`
	TargetRevision string           `json:"targetRevision"`
	Chart          string           `json:"chart"`
	Helm           *helmSource      `json:"helm"`
	Kustomize      *kustomizeSource `json:"kustomize"`
	Directory      *directorySource `json:"directory"`
	Plugin         json.RawMessage  `json:"plugin"`
}

type nameValue struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Path        string `json:"path"`
	ForceString bool   `json:"forceString"`
	Code        bool   `json:"code"`
}

type helmSource struct {
	ReleaseName             string          `json:"releaseName"`
	ValueFiles              []string        `json:"valueFiles"`
	IgnoreMissingValueFiles bool            `json:"ignoreMissingValueFiles"`
	Values                  string          `json:"values"`
	ValuesObject            json.RawMessage `json:"valuesObject"`
	Parameters              []nameValue     `json:"parameters"`
	FileParameters          []nameValue     `json:"fileParameters"`
	SkipCrds                bool            `json:"skipCrds"`
	SkipSchemaValidation    bool            `json:"skipSchemaValidation"`
	SkipTests               bool            `json:"skipTests"`
	Namespace               string          `json:"namespace"`
	KubeVersion             string          `json:"kubeVersion"`
	APIVersions             []string        `json:"apiVersions"`
	Version                 string          `json:"version"`
	// versionAsWritten hands kubeVersion on with what a vendor adds to it.
	versionAsWritten bool
}

type kustomizeSource struct {
	NamePrefix                string            `json:"namePrefix"`
	NameSuffix                string            `json:"nameSuffix"`
	Images                    []string          `json:"images"`
	Replicas                  []replicaSource   `json:"replicas"`
	CommonLabels              map[string]string `json:"commonLabels"`
	LabelWithoutSelector      bool              `json:"labelWithoutSelector"`
	LabelIncludeTemplates     bool              `json:"labelIncludeTemplates"`
	ForceCommonLabels         bool              `json:"forceCommonLabels"`
	CommonAnnotations         map[string]string `json:"commonAnnotations"`
	CommonAnnotationsEnvsubst bool              `json:"commonAnnotationsEnvsubst"`
	ForceCommonAnnotations    bool              `json:"forceCommonAnnotations"`
	Namespace                 string            `json:"namespace"`
	Patches                   []kustomizePatch  `json:"patches"`
	Components                []string          `json:"components"`
	IgnoreMissingComponents   bool              `json:"ignoreMissingComponents"`
	Version                   string            `json:"version"`
	KubeVersion               string            `json:"kubeVersion"`
	APIVersions               []string          `json:"apiVersions"`
}

// kustomizePatch is a patch as Argo CD's Application has it; what else is written there, is not
// handed on.
type kustomizePatch struct {
	Path    string           `json:"path,omitempty"`
	Patch   string           `json:"patch,omitempty"`
	Target  *kustomizeTarget `json:"target,omitempty"`
	Options map[string]bool  `json:"options,omitempty"`
}

type kustomizeTarget struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
}

// replicaSource has a count that Argo CD accepts as a number or as text.
type replicaSource struct {
	Name  string          `json:"name"`
	Count json.RawMessage `json:"count"`
}

type directorySource struct {
	Recurse bool          `json:"recurse"`
	Include string        `json:"include"`
	Exclude string        `json:"exclude"`
	Jsonnet jsonnetSource `json:"jsonnet"`
	// DisableExtensionFilter takes files of any name for manifests.
	DisableExtensionFilter bool `json:"disableExtensionFilter"`
}

type jsonnetSource struct {
	ExtVars []nameValue `json:"extVars"`
	TLAs    []nameValue `json:"tlas"`
	Libs    []string    `json:"libs"`
}

// instanceName is what Argo CD calls the application among all: outside of its own namespace the
// application's namespace stands in front.
func (p *renderParams) instanceName() string {
	return firstOf(p.Application.InstanceName, p.Application.Name)
}

// present says whether an optional JSON field was given with anything but null.
func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// loadSource decodes the source and merges the overrides that Argo CD reads from the
// repository: .argocd-source.yaml, then .argocd-source-<application>.yaml. As there, what an
// override removes stays: the merged source is decoded over the one before.
func (p *renderParams) loadSource(t *tree) error {
	if err := json.Unmarshal(p.RawSource, &p.Source); err != nil {
		return fail(codeInvalidSource, "", "invalid source: %s", err)
	}
	if p.Flux != nil {
		return nil
	}
	declared := p.Source
	names := []string{".argocd-source.yaml"}
	if own := p.instanceName(); own != "" {
		names = append(names, ".argocd-source-"+own+".yaml")
	}
	raw := p.RawSource
	for _, name := range names {
		file := path.Join(strings.Trim(declared.Path, "/"), name)
		data, err := t.read(file)
		if err != nil {
			if asWorkError(err, codeInvalidSource, file).Code == codePathMissing {
				continue
			}
			return err
		}
		patch, _, err := yamlToJSON(data)
		if err != nil {
			return fail(codeInvalidSource, file, "%s: %s", file, err)
		}
		if raw, err = mergePatch(raw, patch); err != nil {
			return fail(codeInvalidSource, file, "%s: %s", file, err)
		}
	}
	if err := json.Unmarshal(raw, &p.Source); err != nil {
		return fail(codeInvalidSource, "", "invalid source after overrides in the repository: %s", err)
	}
	p.Source.RepoURL, p.Source.Path = declared.RepoURL, declared.Path
	p.Source.Chart, p.Source.TargetRevision = declared.Chart, declared.TargetRevision
	return nil
}

// mergePatch applies a JSON merge patch (RFC 7386); an empty patch changes nothing.
func mergePatch(target, patch []byte) ([]byte, error) {
	if patch == nil {
		return target, nil
	}
	var base, change any
	if err := yaml.Unmarshal(target, &base); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(patch, &change); err != nil {
		return nil, err
	}
	return json.Marshal(merge(base, change))
}

func merge(base, change any) any {
	changes, ok := change.(map[string]any)
	if !ok {
		return change
	}
	result, ok := base.(map[string]any)
	if !ok {
		result = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(result, key)
		} else {
			result[key] = merge(result[key], value)
		}
	}
	return result
}

const (
	typeHelm      = "Helm"
	typeKustomize = "Kustomize"
	typeDirectory = "Directory"
)

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// sourceType decides which tool renders: an explicit block, else what the directory holds.
func (p *renderParams) sourceType(t *tree) (string, error) {
	source := &p.Source
	var explicit []string
	if source.Helm != nil {
		explicit = append(explicit, typeHelm)
	}
	if source.Kustomize != nil {
		explicit = append(explicit, typeKustomize)
	}
	if source.Directory != nil {
		explicit = append(explicit, typeDirectory)
	}
	if present(source.Plugin) {
		explicit = append(explicit, "Plugin")
	}
	switch {
	case len(explicit) > 1:
		return "", fail(codeInvalidSource, "", "the source has blocks of several tools: %s", strings.Join(explicit, ", "))
	case len(explicit) == 1 && explicit[0] == "Plugin":
		return "", fail(codeUnsupported, "", "source.plugin: config management plugins cannot be run")
	case len(explicit) == 1:
		return explicit[0], nil
	}
	return detectedType(t, p.dir()), nil
}

// detectedType goes through the names of a directory as Argo CD does: in lexical order, and the
// last one that speaks for a tool decides.
func detectedType(t *tree, dir string) string {
	found := typeDirectory
	real, err := t.resolve(dir)
	if err != nil {
		return found
	}
	for _, name := range t.names(real) {
		switch {
		case t.isDir(path.Join(dir, name)):
		case strings.HasSuffix(name, chartFile):
			found = typeHelm
		case slices.Contains(kustomizationNames, name):
			found = typeKustomize
		}
	}
	return found
}

// dir is the application's directory in the tree, "" for the root.
func (p *renderParams) dir() string {
	dir := path.Join(strings.Trim(p.Source.Path, "/"))
	if dir == "." {
		return ""
	}
	return dir
}
