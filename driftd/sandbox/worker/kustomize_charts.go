package main

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	_ "unsafe" // for go:linkname

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	k8sversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"
)

// Kustomize inflates charts by running helm. Here there are no processes: its generator of that
// name is replaced by one that has Helm's engine inflate them, so that everything around it (the
// order of generators, namespaces, notes of origin) is Kustomize's own. The table of generators
// is not exported; a worker that is linked with another Kustomize does not start without it.
//
//go:linkname generatorFactories sigs.k8s.io/kustomize/api/internal/plugins/builtinhelpers.GeneratorFactories
var generatorFactories map[int]func() resmap.GeneratorPlugin

const inflationGenerator = "*builtins.HelmChartInflationGeneratorPlugin"

// templateReleaseName is what `helm template --generate-name` calls a release.
const templateReleaseName = "release-name"

func init() {
	for kind, factory := range generatorFactories {
		if fmt.Sprintf("%T", factory()) == inflationGenerator {
			generatorFactories[kind] = func() resmap.GeneratorPlugin { return &chartInflation{} }
			return
		}
	}
	panic("this Kustomize has no generator " + inflationGenerator)
}

// inflating is the rendering that runs now: a worker renders one source at a time.
var inflating struct {
	params *renderParams
	tree   *tree
}

// inflates lets kustomizations inflate charts, for one rendering; what it returns ends that.
func inflates(p *renderParams, t *tree) func() {
	inflating.params, inflating.tree = p, t
	return func() { inflating.params, inflating.tree = nil, nil }
}

// helmConfig is what Argo CD tells Kustomize about charts: the destination's version and APIs,
// unless the source names others.
func (p *renderParams) helmConfig() types.HelmConfig {
	version, apiVersions := "", []string(nil)
	if source := p.Source.Kustomize; source != nil {
		version, apiVersions = source.KubeVersion, source.APIVersions
	}
	if len(apiVersions) == 0 {
		apiVersions = p.APIVersions
	}
	return types.HelmConfig{
		Enabled:     p.BuildOptions.Helm,
		Command:     "helm",
		KubeVersion: firstOf(plainVersion(firstOf(version, p.KubeVersion)), p.BuildOptions.HelmKubeVersion),
		ApiVersions: slices.Concat(p.BuildOptions.HelmAPIVersions, apiVersions),
	}
}

// chartInflation generates what a chart of the tree renders to, as an entry of helmCharts says.
type chartInflation struct {
	h *resmap.PluginHelpers
	types.HelmGlobals
	types.HelmChart
}

// String is the generator in Kustomize's messages.
func (c *chartInflation) String() string { return "of the chart " + c.Name }

// Config reads the entry, and refuses what Kustomize refuses.
func (c *chartInflation) Config(h *resmap.PluginHelpers, config []byte) error {
	helm := h.GeneralConfig().HelmConfig
	if !helm.Enabled || inflating.params == nil {
		return errors.New("helmCharts: must specify --enable-helm")
	}
	c.h = h
	c.KubeVersion, c.ApiVersions = helm.KubeVersion, slices.Clone(helm.ApiVersions)
	if err := yaml.Unmarshal(config, c); err != nil {
		return err
	}
	switch {
	case c.Name == "":
		return errors.New("helmCharts: chart name cannot be empty")
	case strings.HasPrefix(c.ReleaseName, "-"), strings.HasPrefix(c.Name, "-"):
		return fmt.Errorf("helmCharts: neither name %q nor releaseName %q may begin with a dash", c.Name, c.ReleaseName)
	case c.ReleaseName != "" && c.NameTemplate != "":
		return fmt.Errorf("helmCharts: %s: cannot set nameTemplate and also releaseName", c.Name)
	}
	if c.ChartHome == "" {
		c.ChartHome = types.HelmDefaultHome
	}
	if c.ValuesFile == "" {
		c.ValuesFile = path.Join(c.home(), c.Name, "values.yaml")
	}
	if !slices.Contains([]string{"", "merge", "override", "replace"}, c.ValuesMerge) {
		return fmt.Errorf("helmCharts: %s: valuesMerge must be merge, override or replace", c.Name)
	}
	for _, file := range c.AdditionalValuesFiles {
		if _, err := h.Loader().Load(file); err != nil {
			return fmt.Errorf("helmCharts: %s: additionalValuesFiles: %w", c.Name, err)
		}
	}
	return nil
}

func (c *chartInflation) home() string {
	return chartHome(c.h.Loader().Root(), c.HelmGlobals, c.HelmChart)
}

// chartHome is the folder that the folder of a chart lies in, or is pulled into.
func chartHome(root string, globals types.HelmGlobals, entry types.HelmChart) string {
	home := firstOf(globals.ChartHome, types.HelmDefaultHome)
	if !path.IsAbs(home) {
		home = path.Join(root, home)
	}
	if entry.Version != "" && entry.Repo != "" {
		return path.Join(home, entry.Name+"-"+entry.Version)
	}
	return home
}

// Generate inflates the chart.
func (c *chartInflation) Generate() (resmap.ResMap, error) {
	text, err := c.inflated()
	if err != nil {
		return nil, fmt.Errorf("helmCharts: %s: %w", c.Name, err)
	}
	found, err := c.h.ResmapFactory().NewResMapFromBytes(text)
	if err != nil {
		reader := &kio.ByteReader{Reader: bytes.NewReader(text), OmitReaderAnnotations: true}
		nodes, failed := reader.Read()
		if failed != nil || len(nodes) == 0 {
			return nil, fmt.Errorf("helmCharts: %s: %w", c.Name, err)
		}
		if found, err = c.h.ResmapFactory().NewResMapFromRNodeSlice(nodes); err != nil {
			return nil, fmt.Errorf("helmCharts: %s: %w", c.Name, err)
		}
	}
	for _, object := range found.Resources() {
		if err := object.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true")); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// inflated is what `helm template` prints with the arguments that Kustomize gives it.
func (c *chartInflation) inflated() ([]byte, error) {
	p, t := *inflating.params, inflating.tree
	dir, inside := strings.CutPrefix(path.Join(c.home(), c.Name), mountPoint+"/")
	if !inside {
		return nil, fmt.Errorf("chartHome %s lies outside of the repository", c.ChartHome)
	}
	if !t.isDir(dir) {
		if c.Repo == "" {
			return nil, fmt.Errorf("there is no chart at %s, and no repo to pull it from", dir)
		}
		return nil, fmt.Errorf("the chart of %s was not fetched; keep a copy at %s", c.Repo, dir)
	}
	values, err := c.values()
	if err != nil {
		return nil, err
	}
	loaded, err := pulledChart(t, dir)
	if err != nil {
		return nil, err
	}
	name, err := c.releaseName(&p)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		none := func(string) []manifestFile { return nil }
		err = mismatched(err, loaded, path.Join(dir, chartFile), none)
		return nil, fmt.Errorf("dependencies: %w", err)
	}
	p.KubeVersion, p.APIVersions = "", nil
	manifests, err := templateChart(&p, &helmSource{
		ReleaseName: name, Namespace: firstOf(c.Namespace, defaultNamespace),
		KubeVersion: c.KubeVersion, APIVersions: c.ApiVersions, versionAsWritten: true,
		SkipCrds: !c.IncludeCRDs, SkipTests: c.SkipTests,
	}, loaded, values, dir)
	inflating.params.unstable.called = p.unstable.called
	if err != nil {
		return nil, err
	}
	return c.printed(manifests, dir, loaded.Name())
}

// printed is the text of manifests, none of which is made to be expensive.
func (c *chartInflation) printed(manifests []manifest, dir, chartName string) ([]byte, error) {
	var text bytes.Buffer
	for _, one := range manifests {
		file := templateFile(dir, chartName, one.path)
		read := one.read
		if read == nil {
			read = decodeFile(file, []byte(one.text))
		}
		if len(read.errors) > 0 {
			return nil, fail(codeInvalid, file, "%s: rendered document: %s", file, read.errors[0].Message)
		}
		if c.SkipHooks && slices.ContainsFunc(read.documents, isHook) {
			continue
		}
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", one.path, one.text)
		if text.Len() > maxAppBytes {
			return nil, fail(codeLimit, file, "%s: the chart renders to more than %d bytes", dir, maxAppBytes)
		}
	}
	return text.Bytes(), nil
}

// hostFunctions stand in for those that would tell of the host; helm has them in name templates.
var hostFunctions = template.FuncMap{
	"env":           func(string) string { return "" },
	"expandenv":     func(string) string { return "" },
	"getHostByName": func(string) string { return "" },
}

func (c *chartInflation) releaseName(p *renderParams) (string, error) {
	if c.NameTemplate == "" {
		return firstOf(c.ReleaseName, templateReleaseName), nil
	}
	parsed, err := template.New("nameTemplate").Funcs(sprigFunctions).Funcs(p.unstable.functions()).
		Funcs(hostFunctions).Parse(c.NameTemplate)
	if err != nil {
		return "", err
	}
	var name strings.Builder
	err = parsed.Execute(&name, nil)
	inflating.params.unstable.called = p.unstable.called
	if err == nil && name.Len() == 0 {
		err = errors.New("nameTemplate gives no release name")
	}
	return name.String(), err
}

// values are those of the file and of valuesInline, as valuesMerge says, and then the further
// files.
func (c *chartInflation) values() (map[string]any, error) {
	text, err := c.ownValues()
	if err != nil {
		return nil, err
	}
	values, err := mergeValues(map[string]any{}, c.ValuesFile, text)
	if err != nil {
		return nil, err
	}
	for _, name := range c.AdditionalValuesFiles {
		data, err := c.h.Loader().Load(name)
		if err != nil {
			return nil, err
		}
		if values, err = mergeValues(values, name, data); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (c *chartInflation) ownValues() ([]byte, error) {
	if len(c.ValuesInline) > 0 && c.ValuesMerge == "replace" {
		return yaml.Marshal(c.ValuesInline)
	}
	text, err := c.h.Loader().Load(c.ValuesFile)
	if err != nil || len(c.ValuesInline) == 0 {
		return text, err
	}
	if err := scanYAML(text); err != nil {
		return nil, fail(codeLimit, c.ValuesFile, "%s: %s", c.ValuesFile, err)
	}
	ofFile, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ValuesFile, err)
	}
	inline, err := kyaml.FromMap(c.ValuesInline)
	if err != nil {
		return nil, err
	}
	stronger, weaker := inline, ofFile
	if c.ValuesMerge == "merge" {
		stronger, weaker = ofFile, inline
	}
	merged, err := merge2.Merge(stronger, weaker.Copy(), kyaml.MergeOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ValuesFile, err)
	}
	values, err := merged.Map()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ValuesFile, err)
	}
	return yaml.Marshal(values)
}

// pulledChart reads a chart as `helm template` does: what it depends on must lie in charts/.
func pulledChart(t *tree, dir string) (*chart.Chart, error) {
	files, err := chartFiles(t, dir)
	if err != nil {
		return nil, err
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if version := loaded.Metadata.APIVersion; version != chart.APIVersionV1 && version != chart.APIVersionV2 {
		return nil, fmt.Errorf("%s: apiVersion %s is none that Helm renders", dir, version)
	}
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return nil, fmt.Errorf("a chart of type %s cannot be installed", kind)
	}
	for _, dependency := range loaded.Metadata.Dependencies {
		if !hasDependency(loaded, dependency.Name) {
			return nil, fmt.Errorf("dependency %s is missing in %s/charts", dependency.Name, dir)
		}
	}
	return loaded, nil
}

// plainVersion is a version of Kubernetes without what a vendor adds.
func plainVersion(version string) string {
	if plain, err := k8sversion.ParseGeneric(version); err == nil {
		return plain.String()
	}
	return version
}
