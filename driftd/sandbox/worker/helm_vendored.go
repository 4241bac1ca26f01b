package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const requirementsFile = "requirements.yaml"

// staleDependencies tells of dependencies whose packed charts are not of the version that the
// chart asks for. Helm compares names alone before it renders: a changed version does nothing
// until the charts are packed anew, and a chart is not found under an alias any more.
//
// It is to be asked before Helm works on the dependencies, which renames them.
func staleDependencies(p *renderParams, t *tree, loaded *chart.Chart) []string {
	if p.Source.Chart != "" {
		return nil // a published chart, which nobody corrects here
	}
	var told []string
	for number, wanted := range loaded.Metadata.Dependencies {
		if wanted == nil {
			continue
		}
		var versions []string
		fits, asked := false, false
		for _, packed := range loaded.Dependencies() {
			if packed.Name() == wanted.Name {
				versions = append(versions, packed.Metadata.Version)
				fits = fits || chartutil.IsCompatibleRange(wanted.Version, packed.Metadata.Version)
				asked = asked || isAskedFor(loaded, packed)
			}
		}
		if fits || len(versions) == 0 {
			continue
		}
		effect := "Helm renders what is there"
		if wanted.Alias != "" && asked {
			effect = fmt.Sprintf("Helm renders nothing as %s", wanted.Alias)
		} else if wanted.Alias != "" {
			effect = fmt.Sprintf("Helm renders what is there, as %s and not as %s", wanted.Name, wanted.Alias)
		}
		slices.Sort(versions)
		told = append(told, fmt.Sprintf(
			"%s: dependency %s asks for version %s, and charts/ has %s: %s; run `helm dependency update` and commit charts/ with Chart.lock",
			dependencyPlace(p.dir(), t, number, "version"), wanted.Name, wanted.Version,
			strings.Join(slices.Compact(versions), ", "), effect))
	}
	return told
}

// isAskedFor says whether some dependency of a chart is met by a packed one.
func isAskedFor(loaded, packed *chart.Chart) bool {
	return slices.ContainsFunc(loaded.Metadata.Dependencies, func(one *chart.Dependency) bool {
		return one != nil && one.Name == packed.Name() &&
			chartutil.IsCompatibleRange(one.Version, packed.Metadata.Version)
	})
}

// dependencyPlace is where a field of a chart's dependency stands.
func dependencyPlace(dir string, t *tree, number int, field string) string {
	for _, name := range []string{chartFile, requirementsFile} {
		file := path.Join(dir, name)
		data, err := t.read(file)
		if err != nil {
			continue
		}
		root, err := yaml.Parse(string(data))
		if err != nil {
			continue
		}
		listed, err := root.Pipe(yaml.Lookup("dependencies"))
		if err != nil || listed == nil || listed.YNode().Kind != yaml.SequenceNode {
			continue
		}
		items := listed.YNode().Content
		if number >= len(items) {
			continue
		}
		line := items[number].Line
		if found := yaml.NewRNode(items[number]).Field(field); found != nil {
			line = found.Key.YNode().Line
		}
		return fmt.Sprintf("%s:%d", file, line)
	}
	return path.Join(dir, chartFile)
}
