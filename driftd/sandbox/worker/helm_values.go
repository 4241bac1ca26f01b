package main

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/gobwas/glob"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

// helmValues merges what the source sets, weakest first: value files, values or
// valuesObject (which replaces values), parameters, text parameters, file parameters.
func (s *server) helmValues(p *renderParams, source *helmSource, t *tree) (map[string]any, error) {
	environment := newBuildEnvironment(p)
	values := map[string]any{}
	for _, name := range source.ValueFiles {
		files, err := s.resolveFile(p, t, name, environment)
		if err != nil {
			if source.IgnoreMissingValueFiles && asWorkError(err, codeHelm, name).Code == codePathMissing {
				continue
			}
			return nil, err
		}
		for _, file := range files {
			if values, err = mergeValues(values, file.name, file.data); err != nil {
				return nil, err
			}
		}
	}
	inline, field := []byte(source.Values), "source.helm.values"
	if present(source.ValuesObject) {
		inline, field = source.ValuesObject, "source.helm.valuesObject"
	}
	values, err := mergeValues(values, field, inline)
	if err != nil {
		return nil, err
	}
	return values, s.setParameters(p, source, t, environment, values)
}

func (s *server) setParameters(
	p *renderParams, source *helmSource, t *tree, environment buildEnvironment, values map[string]any,
) error {
	for _, parameter := range orderedParameters(source.Parameters, false) {
		assignment := parameter.Name + "=" + escapeCommas(environment.substitute(parameter.Value))
		if err := strvals.ParseInto(assignment, values); err != nil {
			return fail(codeHelm, "", "source.helm.parameters: %s: %s", parameter.Name, err)
		}
	}
	for _, parameter := range orderedParameters(source.Parameters, true) {
		assignment := parameter.Name + "=" + escapeCommas(environment.substitute(parameter.Value))
		if err := strvals.ParseIntoString(assignment, values); err != nil {
			return fail(codeHelm, "", "source.helm.parameters: %s: %s", parameter.Name, err)
		}
	}
	for _, parameter := range source.FileParameters {
		files, err := s.resolveFile(p, t, parameter.Path, environment)
		if err != nil {
			return err
		}
		content := string(files[0].data)
		read := func([]rune) (any, error) { return content, nil }
		if err := strvals.ParseIntoFile(parameter.Name+"="+parameter.Path, values, read); err != nil {
			return fail(codeHelm, parameter.Path, "source.helm.fileParameters: %s: %s", parameter.Name, err)
		}
	}
	return nil
}

// orderedParameters picks the parameters of one kind; of one name the last counts, as in
// Argo CD.
func orderedParameters(parameters []nameValue, forceString bool) []nameValue {
	last := map[string]int{}
	for i, parameter := range parameters {
		if parameter.ForceString == forceString {
			last[parameter.Name] = i
		}
	}
	picked := make([]nameValue, 0, len(last))
	for i, parameter := range parameters {
		if index, ok := last[parameter.Name]; ok && index == i {
			picked = append(picked, parameter)
		}
	}
	return picked
}

// escapeCommas keeps a comma in a value from starting another assignment, except in Helm's
// list form {a,b}.
func escapeCommas(value string) string {
	if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return value
	}
	var escaped strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == ',' && (i == 0 || value[i-1] != '\\') {
			escaped.WriteByte('\\')
		}
		escaped.WriteByte(value[i])
	}
	return escaped.String()
}

func mergeValues(values map[string]any, name string, data []byte) (map[string]any, error) {
	if err := scanYAML(data); err != nil {
		return nil, fail(codeLimit, name, "%s: %s", name, err)
	}
	added, err := loader.LoadValues(bytes.NewReader(data))
	if err != nil {
		return nil, fail(codeHelm, name, "%s: %s", name, err)
	}
	return loader.MergeMaps(values, added), nil
}

var schemePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// resolveFile finds a value file: in the tree of $ref, from the repository's root if it
// starts with "/", else from the application's directory. A pattern may find several.
func (s *server) resolveFile(p *renderParams, t *tree, name string, environment buildEnvironment) ([]manifestFile, error) {
	from := p.dir()
	if strings.HasPrefix(name, "$") {
		first, rest, _ := strings.Cut(name, "/")
		if ref, ok := p.Refs[first[1:]]; ok {
			var err error
			if t, err = s.trees.get(ref.Tree); err != nil {
				return nil, err
			}
			return filesIn(t, "", environment.substitute(rest), name)
		}
		if !strings.HasPrefix(first, "$ARGOCD_") && !strings.HasPrefix(first, "${") {
			return nil, fail(codeInvalidSource, "", "value file %s: no source of the application has ref %q; %s", name, first[1:], knownRefs(p))
		}
	}
	path := environment.substitute(name)
	if schemePattern.MatchString(path) {
		return nil, fail(codeUnsupported, "", "value file %s: URLs are not fetched, only files of repositories are read", name)
	}
	if rest, absolute := strings.CutPrefix(path, "/"); absolute {
		return filesIn(t, "", rest, name)
	}
	return filesIn(t, from, path, name)
}

// knownRefs says which references of sources there are, as values files write them.
func knownRefs(p *renderParams) string {
	if len(p.Refs) == 0 {
		return "none has a ref: add one with ref to spec.sources"
	}
	return "there is $" + strings.Join(slices.Sorted(maps.Keys(p.Refs)), ", $")
}

func filesIn(t *tree, dir, name, declared string) ([]manifestFile, error) {
	if strings.ContainsAny(name, "*?[") {
		return globFiles(t, path.Join(dir, name), declared)
	}
	data, err := t.read(path.Join(dir, ".") + "/" + name)
	if err != nil {
		found := asWorkError(err, codePathMissing, name)
		return nil, fail(found.Code, declared, "value file %s: %s", declared, found.Message)
	}
	return []manifestFile{{name: path.Join(dir, name), data: data}}, nil
}

// globFiles expands a pattern in which "*" stays within a directory and "**" does not.
func globFiles(t *tree, pattern, declared string) ([]manifestFile, error) {
	compiled, err := glob.Compile(pattern, '/')
	if err != nil {
		return nil, fail(codeInvalidSource, "", "value file %s: invalid pattern: %s", declared, err)
	}
	var names []string
	for name := range t.all() {
		if compiled.Match(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fail(codePathMissing, declared, "value file %s: no file matches", declared)
	}
	sort.Strings(names)
	files := make([]manifestFile, len(names))
	for i, name := range names {
		data, _ := t.content(name)
		files[i] = manifestFile{name, data}
	}
	return files, nil
}
