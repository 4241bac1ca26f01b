package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// mismatch is what Helm says where the values of a subchart are no map. It prints them with a verb
// of Go that does not fit, so that the text has Go's complaint and the values themselves.
var mismatch = regexp.MustCompile(`(?s)type mismatch on (\S+): (.*)$`)

const emptyValue = "empty (null)"

// mismatched is an error of Helm in driftd's words if it is of values of a subchart that are no
// map, at the line that gives them where `files` can tell: those that give a name a value, the
// strongest first. Any other error stays as it is.
func mismatched(err error, loaded *chart.Chart, file string, files func(name string) []manifestFile) error {
	found := mismatch.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	name, remedy := found[1], "give a map there"
	kind := kindOfPrinted(found[2])
	if kind == emptyValue {
		remedy = fmt.Sprintf("indent what belongs below %s:, or take that line out", name)
	}
	where := file
	if isDependency(loaded, name) {
		if at, line := mismatchPlace(name, files(name)); line > 0 {
			file, where = at, fmt.Sprintf("%s:%d", at, line)
		}
	}
	return fail(codeHelm, file, "%s: the values of the subchart %s are %s where a map is expected; %s",
		where, name, kind, remedy)
}

// kindOfPrinted is what a value is that was printed with the verb of a truth value.
func kindOfPrinted(text string) string {
	switch {
	case text == "%!t(<nil>)":
		return emptyValue
	case text == "true" || text == "false":
		return "a truth value"
	case strings.HasPrefix(text, "["):
		return "a list"
	case strings.HasPrefix(text, "%!t(string="):
		return "a text"
	}
	return "a number"
}

func isDependency(loaded *chart.Chart, name string) bool {
	for _, one := range loaded.Metadata.Dependencies {
		if one.Name == name || one.Alias == name {
			return true
		}
	}
	for _, one := range loaded.Dependencies() {
		if one.Name() == name {
			return true
		}
	}
	return false
}

// mismatchPlace is where the strongest file that gives a name a value gives it one that is no map.
func mismatchPlace(name string, files []manifestFile) (file string, line int) {
	for _, one := range files {
		var document yaml.Node
		if scanYAML(one.data) != nil || yaml.Unmarshal(one.data, &document) != nil || len(document.Content) == 0 {
			continue
		}
		key, value := nodeAt(document.Content[0], []any{name})
		if key == nil {
			continue
		}
		if value == nil || value.Kind == yaml.MappingNode {
			return "", 0
		}
		return one.name, key.Line
	}
	return "", 0
}

// valueFiles are the files that give a name of a source's values, the strongest first; none if
// what stands in the Application, and is stronger, gives it.
func (s *server) valueFiles(p *renderParams, source *helmSource, t *tree, name string) []manifestFile {
	for _, one := range slices.Concat(source.Parameters, source.FileParameters) {
		if one.Name == name {
			return nil
		}
	}
	inline := []byte(source.Values)
	if present(source.ValuesObject) {
		inline = source.ValuesObject
	}
	if set, err := mergeValues(map[string]any{}, "", inline); err != nil {
		return nil
	} else if _, given := set[name]; given {
		return nil
	}
	files := s.namedFiles(p, source, t)
	slices.Reverse(files)
	return append(files, ownValues(p, t)...)
}

// namedFiles are the values files that a source names, the weakest first.
func (s *server) namedFiles(p *renderParams, source *helmSource, t *tree) []manifestFile {
	environment := newBuildEnvironment(p)
	var files []manifestFile
	for _, name := range source.ValueFiles {
		if found, err := s.resolveFile(p, t, name, environment); err == nil {
			files = append(files, found...)
		}
	}
	return files
}

// ownValues is the file with a chart's own values, if it has one.
func ownValues(p *renderParams, t *tree) []manifestFile {
	name := path.Join(p.dir(), "values.yaml")
	data, err := t.read(name)
	if err != nil {
		return nil
	}
	return []manifestFile{{name, data}}
}

// valueFiles are the files that give a name of a release's values; none if the release does.
func (r *fluxRelease) valueFiles(p *renderParams, t *tree, name string) []manifestFile {
	values, err := r.merged()
	if _, given := values[name]; given || err != nil || len(r.ValuesFiles) > 0 {
		return nil
	}
	return ownValues(p, t)
}
