package main

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// fluxKustomization is what a Kustomization of Flux adds to the files of its path.
type fluxKustomization struct {
	fluxEdits
	TargetNamespace         string             `json:"targetNamespace"`
	NamePrefix              string             `json:"namePrefix"`
	NameSuffix              string             `json:"nameSuffix"`
	Components              []string           `json:"components"`
	IgnoreMissingComponents bool               `json:"ignoreMissingComponents"`
	BuildMetadata           []string           `json:"buildMetadata"`
	Ignore                  *string            `json:"ignore"`
	Substitute              *fluxSubstitutions `json:"substitute"`
}

// renderFluxKustomization does what kustomize-controller does before it applies: it writes a
// kustomization.yaml where there is none, edits it, builds, and substitutes variables.
func renderFluxKustomization(p *renderParams, spec *fluxKustomization, t *tree) (*rendering, error) {
	dir := p.dir()
	t, name, err := withKustomization(t, dir, spec.Ignore)
	if err != nil {
		return nil, err
	}
	files := newTreeFS(t, dir)
	result := &rendering{}
	if err := spec.edit(files, name, result); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	if err := buildKustomization(files, dir, name, options, result); err != nil {
		return nil, err
	}
	if spec.Substitute != nil {
		spec.Substitute.apply(result)
	}
	return result, nil
}

// edit writes the fields of the spec into the kustomization.
func (k *fluxKustomization) edit(files *treeFS, name string, result *rendering) error {
	file := path.Join(files.cwd, name)
	data, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	if err := scanYAML(data); err != nil {
		return fail(codeLimit, file, "%s: %s", file, err)
	}
	kustomization := map[string]any{}
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		return fail(codeKustomize, file, "%s: %s", file, err)
	}
	for field, value := range map[string]string{
		"namespace": k.TargetNamespace, "namePrefix": k.NamePrefix, "nameSuffix": k.NameSuffix,
	} {
		if value != "" {
			kustomization[field] = value
		}
	}
	if err := k.applyTo(kustomization, file); err != nil {
		return err
	}
	if err := appendTo(kustomization, "buildMetadata", anySlice(k.BuildMetadata), file); err != nil {
		return err
	}
	components, err := k.localComponents(files, result)
	if err != nil {
		return err
	}
	if err := appendTo(kustomization, "components", components, file); err != nil {
		return err
	}
	if data, err = yaml.Marshal(kustomization); err != nil {
		return err
	}
	return files.WriteFile(name, data)
}

func (k *fluxKustomization) localComponents(files *treeFS, result *rendering) ([]any, error) {
	var components []any
	for _, component := range k.Components {
		if isRemote(component) {
			return nil, fail(codeRemote, "", "spec.components: remote component %s is not fetched", component)
		}
		if k.IgnoreMissingComponents && !files.Exists(component) {
			result.warn("spec.components: %s does not exist and is left out", component)
			continue
		}
		components = append(components, component)
	}
	return components, nil
}

func anySlice(values []string) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
}

// withKustomization finds the kustomization of a directory. Where there is none, the tree that
// it answers with has one that names every manifest below, and every directory below that has a
// kustomization of its own.
func withKustomization(t *tree, dir string, ignore *string) (*tree, string, error) {
	for _, name := range kustomizationNames {
		if _, err := t.read(path.Join(dir, name)); err == nil {
			return t, name, nil
		}
	}
	rules, err := newIgnoreRules(t, ignore)
	if err != nil {
		return nil, "", err
	}
	resources := []string{}
	relative := func(name string) string { return strings.TrimPrefix(strings.TrimPrefix(name, dir), "/") }
	err = t.walk(dir, &walker{
		enter: func(name string) bool {
			if rules.ignores(name, true) {
				return false
			}
			for _, file := range kustomizationNames {
				if _, err := t.read(path.Join(name, file)); err == nil {
					resources = append(resources, relative(name))
					return false
				}
			}
			return true
		},
		wants: func(name string) bool {
			suffix := path.Ext(name)
			return (suffix == ".yaml" || suffix == ".yml") && !rules.ignores(name, false)
		},
		followDirs: true,
		visit: func(name string, data []byte) error {
			if len(bytes.TrimSpace(data)) > 0 {
				resources = append(resources, relative(name))
			}
			return nil
		},
	})
	if err != nil {
		return nil, "", err
	}
	slices.Sort(resources)
	data, err := yaml.Marshal(map[string]any{"resources": resources})
	if err != nil {
		return nil, "", err
	}
	real, err := t.resolve(dir)
	if err != nil {
		return nil, "", err
	}
	return t.with(path.Join(real, kustomizationNames[0]), data), kustomizationNames[0], nil
}

// with answers with a tree that has one more file in an existing directory.
func (t *tree) with(name string, data []byte) *tree {
	more := *t
	more.files = maps.Clone(t.files)
	more.files[name] = data
	dir, base := splitPath(name)
	more.dirs = maps.Clone(t.dirs)
	names := append(slices.Clone(t.dirs[dir]), base)
	slices.Sort(names)
	more.dirs[dir] = names
	return &more
}
