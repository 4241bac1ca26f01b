package main

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/ignore"
	k8sversion "k8s.io/apimachinery/pkg/util/version"
)

const (
	chartFile        = "Chart.yaml"
	notesSuffix      = "NOTES.txt"
	maxChartNesting  = 10
	defaultNamespace = "default"
)

// renderHelm does what `helm template --include-crds` does with Argo CD's arguments.
func (s *server) renderHelm(p *renderParams, t *tree) (*rendering, error) {
	dir := p.dir()
	source := p.Source.Helm
	if source == nil {
		source = &helmSource{}
	}
	if version := source.Version; version != "" && version != "v3" && version != "v4" {
		return nil, fail(codeInvalidSource, "", "source.helm.version %s: Argo CD has no such Helm; leave it out", version)
	}
	loaded, err := loadChart(t, dir, 0)
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, chartFile)
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return nil, fail(codeHelm, file, "%s: a chart of type %s cannot be installed", file, kind)
	}
	values, err := s.helmValues(p, source, t)
	if err != nil {
		return nil, err
	}
	files := func(name string) []manifestFile { return s.valueFiles(p, source, t, name) }
	stale := staleDependencies(p, t, loaded)
	if err := p.withDependencies(loaded, values); err != nil {
		err = mismatched(err, loaded, file, files)
		return nil, asWorkError(fmt.Errorf("%s: dependencies: %w", file, err), codeHelm, file)
	}
	manifests, err := templateChart(p, source, loaded, values, dir)
	if err != nil {
		err = mismatched(err, loaded, file, files)
		return nil, asWorkError(err, codeHelm, blamed(t, dir, loaded.Name(), err.Error(), file))
	}
	result := &rendering{warnings: append(stale, repeatedValues(s.ownFiles(p, source, t))...)}
	for _, manifest := range manifests {
		if err := result.addTemplate(templateFile(dir, loaded.Name(), manifest.path), manifest); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// blamed is the file of the tree that Helm's error speaks of: the first template that it names
// after the chart. What is not in the tree (a template of a packed chart) leaves the chart's file.
func blamed(t *tree, dir, chartName, message, otherwise string) string {
	for _, word := range strings.FieldsFunc(message, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("()\"',:<>", r)
	}) {
		if rest, found := strings.CutPrefix(word, chartName+"/"); found {
			file := path.Join(dir, rest)
			if _, err := t.read(file); err == nil {
				return file
			}
		}
	}
	return otherwise
}

// templateChart renders CRDs, then manifests in Helm's install order, then hooks.
func templateChart(
	p *renderParams, source *helmSource, loaded *chart.Chart, values map[string]any, dir string,
) ([]manifest, error) {
	capabilities, err := helmCapabilities(p, source)
	if err != nil {
		return nil, err
	}
	if wanted := loaded.Metadata.KubeVersion; wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("the chart requires kubeVersion %s, which Kubernetes %s is not", wanted, capabilities.KubeVersion.Version)
	}
	options := common.ReleaseOptions{
		Name:      firstOf(source.ReleaseName, p.Application.Name),
		Namespace: firstOf(source.Namespace, p.Application.DestinationNamespace, defaultNamespace),
		Revision:  1,
		IsInstall: true,
	}
	if err := chartutil.ValidateReleaseName(options.Name); err != nil {
		return nil, fmt.Errorf("release name %q: %w", options.Name, err)
	}
	input, err := util.ToRenderValuesWithSchemaValidation(loaded, values, options, capabilities, source.SkipSchemaValidation)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Engine{CustomTemplateFuncs: p.unstable.functions()}.Render(loaded, input)
	if err != nil {
		return nil, err
	}
	for name := range texts {
		if strings.HasSuffix(name, notesSuffix) {
			delete(texts, name)
		}
	}
	var manifests []manifest
	if !source.SkipCrds {
		for _, crd := range loaded.CRDObjects() {
			manifests = append(manifests, manifest{path: crd.Filename, text: string(crd.File.Data)})
		}
	}
	file := func(name string) string { return templateFile(dir, loaded.Name(), name) }
	ordered, err := orderManifests(texts, source.SkipTests, file)
	return append(manifests, ordered...), err
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func helmCapabilities(p *renderParams, source *helmSource) (*common.Capabilities, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if wanted := firstOf(source.KubeVersion, p.KubeVersion); wanted != "" {
		if p.Flux == nil && !source.versionAsWritten {
			// Argo CD hands on the numbers alone, without what a vendor adds.
			plain, err := k8sversion.ParseGeneric(wanted)
			if err != nil {
				return nil, fmt.Errorf("invalid kubeVersion %q: %w", wanted, err)
			}
			wanted = plain.String()
		}
		parsed, err := common.ParseKubeVersion(wanted)
		if err != nil {
			return nil, fmt.Errorf("invalid kubeVersion %q: %w", wanted, err)
		}
		capabilities.KubeVersion = *parsed
	}
	apiVersions := source.APIVersions
	if len(apiVersions) == 0 {
		apiVersions = p.APIVersions
	}
	capabilities.APIVersions = slices.Concat(capabilities.APIVersions, apiVersions)
	return capabilities, nil
}

// templateFile is the path in the repository of a template, which Helm names CHART/PATH.
func templateFile(dir, chartName, name string) string {
	return path.Join(dir, strings.TrimPrefix(name, chartName+"/"))
}

// addTemplate adds the objects of rendered text.
func (r *rendering) addTemplate(file string, rendered manifest) error {
	read := rendered.read
	if read == nil {
		read = decodeFile(file, []byte(rendered.text))
	}
	if len(read.errors) > 0 {
		return fail(codeInvalid, file, "%s: rendered document: %s", file, read.errors[0].Message)
	}
	for _, warning := range read.warnings {
		r.warn("%s: %s", file, warning.Message)
	}
	r.documents = append(r.documents, read.documents...)
	if len(r.documents) > maxObjects {
		return fail(codeLimit, file, "%s: more than %d objects in the application", file, maxObjects)
	}
	return nil
}

// loadChart reads a chart from the tree with its .helmignore applied, and adds dependencies
// that lie in the repository (file://). Others must be vendored in charts/.
func loadChart(t *tree, dir string, nesting int) (*chart.Chart, error) {
	file := path.Join(dir, chartFile)
	if nesting > maxChartNesting {
		return nil, fail(codeLimit, file, "%s: charts depend on each other deeper than %d", file, maxChartNesting)
	}
	if _, err := t.read(file); err != nil {
		return nil, err
	}
	files, err := chartFiles(t, dir)
	if err != nil {
		return nil, err
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fail(codeHelm, file, "%s: %s", file, err)
	}
	if version := loaded.Metadata.APIVersion; version != chart.APIVersionV1 && version != chart.APIVersionV2 {
		return nil, fail(codeHelm, file, "%s: apiVersion %s is none that Helm renders", file, version)
	}
	for _, dependency := range loaded.Metadata.Dependencies {
		if err := ensureDependency(t, dir, loaded, dependency, nesting); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

func ensureDependency(t *tree, dir string, loaded *chart.Chart, dependency *chart.Dependency, nesting int) error {
	file := path.Join(dir, chartFile)
	for _, vendored := range loaded.Dependencies() {
		if vendored.Name() == dependency.Name {
			return nil
		}
	}
	local, isLocal := strings.CutPrefix(dependency.Repository, "file://")
	if !isLocal {
		return fail(codeDependencyMissing, file,
			"%s: dependency %s %s is not in charts/; vendor it with `helm dependency build`",
			file, dependency.Name, dependency.Version)
	}
	real, err := t.resolve(path.Join(dir, ".") + "/" + local)
	if err != nil {
		return fail(codeDependencyMissing, file, "%s: dependency %s: %s", file, dependency.Name, err)
	}
	subchart, err := loadChart(t, real, nesting+1)
	if err != nil {
		return err
	}
	constraint, err := semver.NewConstraint(dependency.Version)
	if err != nil {
		return fail(codeHelm, file, "%s: dependency %s: invalid version %q", file, dependency.Name, dependency.Version)
	}
	version, err := semver.NewVersion(subchart.Metadata.Version)
	if err != nil || !constraint.Check(version) {
		return fail(codeDependencyMissing, file, "%s: dependency %s: version %s at %s does not satisfy %q",
			file, dependency.Name, subchart.Metadata.Version, dependency.Repository, dependency.Version)
	}
	loaded.AddDependency(subchart)
	return nil
}

func chartFiles(t *tree, dir string) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if data, err := t.read(path.Join(dir, ignore.HelmIgnore)); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fail(codeHelm, path.Join(dir, ignore.HelmIgnore), "%s: %s", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	relative := func(name string) string { return strings.TrimPrefix(strings.TrimPrefix(name, dir), "/") }
	ignored := func(name string, size int, isDir bool) bool {
		return rules.Ignore(relative(name), fileInfo{name: path.Base(name), size: size, dir: isDir})
	}
	var files []*archive.BufferedFile
	visit := func(name string, data []byte) error {
		if ignored(name, len(data), false) {
			return nil
		}
		if int64(len(data)) > archive.MaxDecompressedFileSize {
			return fail(codeLimit, name, "%s has %d bytes, more than a chart's file may have", name, len(data))
		}
		data = bytes.TrimPrefix(data, byteOrderMark)
		files = append(files, &archive.BufferedFile{Name: relative(name), Data: data})
		return nil
	}
	err := t.walk(dir, &walker{
		enter:      func(name string) bool { return !ignored(name, 0, true) },
		wants:      func(string) bool { return true },
		followDirs: true,
		strict:     true,
		visit:      visit,
	})
	return files, err
}
