package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// valueLayer is one place that gives values, or refuses to say: `known` without a place says that
// nobody knows where the value is written.
type valueLayer func(l *leaf) (found *valuePlace, known bool)

// placeOf is where Git sets a value last; nil where that is not certain.
func (t *tracer) placeOf(l *leaf) *valuePlace {
	if t.places == nil {
		t.places = map[string]*valuePlace{}
	}
	cached := l.key + "\x00" + l.text
	if l.named {
		cached = l.key + "\x00\x00"
	}
	if place, known := t.places[cached]; known {
		return place
	}
	var place *valuePlace
	for _, one := range t.layers() {
		found, known := one(l)
		if known {
			place = found
			break
		}
	}
	if place != nil {
		place.Key = l.key
	}
	t.places[cached] = place
	return place
}

// layers are all places of values, the strongest first.
func (t *tracer) layers() []valueLayer {
	dir := t.params.dir()
	if t.params.Flux != nil {
		return t.releaseLayers(dir)
	}
	source := t.params.Source.Helm
	if source == nil {
		source = &helmSource{}
	}
	layers := []valueLayer{t.fileParameters(source), t.parameters(source)}
	field := "values"
	if present(source.ValuesObject) {
		field = "valuesObject"
	}
	inline := []byte(source.Values)
	if field == "valuesObject" {
		inline = source.ValuesObject
	}
	layers = append(layers, t.inline(inline, append(slices.Clone(t.params.Home.Source), "helm", field)))
	environment := newBuildEnvironment(&t.params.renderParams)
	for _, name := range slices.Backward(source.ValueFiles) {
		files, err := t.server.resolveFile(&t.params.renderParams, t.tree, name, environment)
		if err != nil {
			continue
		}
		ref := ""
		if first, _, _ := strings.Cut(name, "/"); strings.HasPrefix(first, "$") {
			if _, other := t.params.Refs[first[1:]]; other {
				ref = first[1:]
			}
		}
		for _, file := range slices.Backward(files) {
			layers = append(layers, inFile(ref, file.name, file.data))
		}
	}
	return append(layers, t.defaults(dir, true))
}

func (t *tracer) releaseLayers(dir string) []valueLayer {
	release := t.params.Flux.HelmRelease
	var layers []valueLayer
	for _, one := range slices.Backward(release.Values) {
		if present(one.Object) {
			layers = append(layers, t.inline(one.Object, []any{"spec", "values"}))
		} else {
			layers = append(layers, t.referred(one))
		}
	}
	for _, name := range slices.Backward(release.ValuesFiles) {
		file := strings.TrimPrefix(path.Clean("/"+name), "/")
		if data, err := t.tree.read(file); err == nil {
			layers = append(layers, inFile("", file, data))
		}
	}
	return append(layers, t.defaults(dir, len(release.ValuesFiles) == 0))
}

// referred are values of a ConfigMap or Secret, whose line is known where the tree has the file.
func (t *tracer) referred(values fluxValues) valueLayer {
	return func(l *leaf) (*valuePlace, bool) {
		if values.TargetPath != "" {
			if !leadsTo(parameterPath(values.TargetPath), l.path) {
				return nil, false
			}
			if l.text != values.Document {
				return nil, true
			}
			return t.keyPlace(values), true
		}
		read, err := loader.LoadValues(bytes.NewReader([]byte(values.Document)))
		if err != nil || !defines(read, l.path) {
			return nil, err != nil
		}
		if file, key, value := t.configMap(values); value != nil {
			return placeInText(file, key, value, l), true
		}
		file := t.fileOf(values)
		if file == "" {
			return nil, true
		}
		found, _ := inFile("", file, []byte(values.Document))(l)
		return found, true
	}
}

func (t *tracer) keyPlace(values fluxValues) *valuePlace {
	if file, key, value := t.configMap(values); value != nil && strings.TrimSpace(value.Value) == strings.TrimSpace(values.Document) {
		return &valuePlace{File: file, Line: key}
	}
	if file := t.fileOf(values); file != "" {
		return &valuePlace{File: file}
	}
	return nil
}

// configMap is the text of a key in the document of a ConfigMap, with the lines before the document
// added to those in it; nil where a file does not have just one such document.
func (t *tracer) configMap(values fluxValues) (file string, key int, value *yaml.Node) {
	finder := &locator{tree: t.tree, texts: map[string][]located{}}
	for _, one := range finder.documents(values.File) {
		if one.root == nil || textOf(one.root, "kind") != "ConfigMap" || textOf(one.root, "metadata", "name") != values.Name {
			continue
		}
		if value != nil {
			return "", 0, nil
		}
		at, text := nodeAt(one.root, []any{"data", values.Key})
		if text == nil || text.Kind != yaml.ScalarNode {
			continue
		}
		file, key, value = values.File, one.line+at.Line, moved(text, one.line)
	}
	return file, key, value
}

// fileOf is the one file that is a whole text of values, as a generator takes it into a ConfigMap.
func (t *tracer) fileOf(values fluxValues) string {
	found := ""
	if values.File == "" || strings.TrimSpace(values.Document) == "" {
		return ""
	}
	for name := range t.tree.all() {
		data, err := t.tree.read(name)
		if err != nil || string(data) != values.Document {
			continue
		}
		if found != "" {
			return ""
		}
		found = name
	}
	return found
}

// defines says whether values decide what stands at a path: a scalar or a list above it does too.
func defines(values any, at []any) bool {
	for i, step := range at {
		below, isMap := values.(map[string]any)
		if !isMap {
			return true
		}
		name, isText := step.(string)
		value, there := below[name]
		if !isText || !there {
			return false
		}
		if _, isMap = value.(map[string]any); !isMap && i < len(at) {
			return true
		}
		values = value
	}
	return true
}

// fileParameters are values that are whole files.
func (t *tracer) fileParameters(source *helmSource) valueLayer {
	environment := newBuildEnvironment(&t.params.renderParams)
	return func(l *leaf) (*valuePlace, bool) {
		for _, one := range slices.Backward(source.FileParameters) {
			if !leadsTo(parameterPath(one.Name), l.path) {
				continue
			}
			files, err := t.server.resolveFile(&t.params.renderParams, t.tree, one.Path, environment)
			if err != nil || len(files) != 1 || strings.HasPrefix(one.Path, "$") || string(files[0].data) != l.text {
				return nil, true
			}
			return &valuePlace{File: files[0].name}, true
		}
		return nil, false
	}
}

// parameterPath reads the name of a parameter as --set does.
func parameterPath(name string) []any {
	var found []any
	for _, part := range strings.Split(strings.ReplaceAll(name, `\.`, "\x00"), ".") {
		word, rest, indexed := strings.Cut(part, "[")
		found = append(found, strings.ReplaceAll(word, "\x00", "."))
		for indexed {
			var number string
			number, rest, _ = strings.Cut(rest, "]")
			index, err := strconv.Atoi(number)
			if err != nil {
				break
			}
			found = append(found, index)
			_, rest, indexed = strings.Cut(rest, "[")
		}
	}
	return found
}

// leadsTo says whether what is set at a path decides a value: the value itself, a part of it, or
// something around it.
func leadsTo(set, at []any) bool {
	shared := min(len(set), len(at))
	return slices.Equal(set[:shared], at[:shared])
}

// inFile are the values of a file.
func inFile(ref, file string, data []byte) valueLayer {
	return func(l *leaf) (*valuePlace, bool) {
		values, err := loader.LoadValues(bytes.NewReader(bytes.TrimPrefix(data, byteOrderMark)))
		if err != nil || !defines(values, l.path) {
			return nil, err != nil
		}
		documents := parseNodes(bytes.TrimPrefix(data, byteOrderMark))
		if len(documents) != 1 || documents[0].root == nil {
			return nil, true
		}
		return placeIn(ref, file, documents[0].root, documents[0].line, l), true
	}
}

// placeIn is the line of a value in a document that has it just so.
func placeIn(ref, file string, root *yaml.Node, line int, l *leaf) *valuePlace {
	key, value := nodeAt(root, l.path)
	if value == nil || !says(root, l) {
		return nil
	}
	place := &valuePlace{Ref: ref, File: file, Line: line + key.Line}
	if isRewritten(value, l) {
		place.Written, place.Number = value.Value, l.text
	}
	return place
}

// isRewritten says whether a number is written in another way than it is read: 3.20 is 3.2, 1e3 is
// 1000, and 0123 is 83.
func isRewritten(value *yaml.Node, l *leaf) bool {
	tag := value.ShortTag()
	isNumber := tag == yaml.NodeTagFloat || tag == yaml.NodeTagInt
	return l.whole == nil && !l.named && value.Kind == yaml.ScalarNode && value.Style == 0 && isNumber && value.Value != l.text
}

// placeInText is the line of a value in a text of values; that of its key where the text is not
// written line by line.
func placeInText(file string, key int, text *yaml.Node, l *leaf) *valuePlace {
	inner := parseNodes([]byte(text.Value))
	if len(inner) != 1 || inner[0].root == nil {
		return nil
	}
	if text.Style&yaml.LiteralStyle != 0 {
		return placeIn("", file, inner[0].root, inner[0].line+text.Line, l)
	}
	if !says(inner[0].root, l) {
		return nil
	}
	return &valuePlace{File: file, Line: key}
}

func says(root *yaml.Node, l *leaf) bool {
	_, value := nodeAt(root, l.path)
	if value == nil {
		return false
	}
	if l.named {
		return true
	}
	if l.whole != nil {
		return maps.Equal(scalarsOf(value, false), l.whole)
	}
	return saysScalar(value, l)
}

// saysScalar compares what is written with a value: numbers have many forms.
func saysScalar(value *yaml.Node, l *leaf) bool {
	if value.Kind != yaml.ScalarNode {
		return false
	}
	if value.Value == l.text {
		return true
	}
	var decoded any
	if value.Decode(&decoded) != nil {
		return false
	}
	if number, isFloat := l.value.(float64); isFloat {
		var same float64
		return value.Decode(&same) == nil && same == number
	}
	encoded, err := json.Marshal(decoded)
	return err == nil && string(encoded) == l.text
}

// nodeAt is the key and the value at a path of a document; of an item of a list it is its own key.
func nodeAt(node *yaml.Node, at []any) (key, value *yaml.Node) {
	for _, step := range at {
		if node == nil {
			return nil, nil
		}
		switch step := step.(type) {
		case string:
			key, node = pairOf(node, step)
			node = resolveAlias(node)
		case int:
			items := itemsOf(node)
			if step >= len(items) {
				return nil, nil
			}
			key, node = items[step], resolveAlias(items[step])
		case float64:
			return nodeAt(node, append([]any{int(step)}, at[1:]...))
		default:
			return nil, nil
		}
	}
	return key, node
}

// defaults are the values of a chart itself, and of its subcharts below their names.
func (t *tracer) defaults(dir string, own bool) valueLayer {
	return func(l *leaf) (*valuePlace, bool) {
		return t.defaultOf(dir, own, l, 0), true
	}
}

func (t *tracer) defaultOf(dir string, own bool, l *leaf, nesting int) *valuePlace {
	if own {
		file := path.Join(dir, valuesFile)
		if data, err := t.tree.read(file); err == nil {
			if found, known := inFile("", file, data)(l); known {
				return found
			}
		}
	}
	name, isText := l.path[0].(string)
	if !isText || len(l.path) < 2 || nesting > maxChartNesting {
		return nil
	}
	below := *l
	below.path = l.path[1:]
	folder, archive := t.subchart(dir, name)
	if folder != "" {
		return t.defaultOf(folder, true, &below, nesting+1)
	}
	data, err := t.tree.read(archive)
	if archive == "" || err != nil {
		return nil
	}
	loaded, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil || l.whole != nil || l.named {
		return nil
	}
	if text, _ := otherValue(valueAt(loaded.Values, below.path)); text != l.text {
		return nil
	}
	return &valuePlace{File: archive}
}

// subchart is the folder of a dependency by its name or alias, or the archive that it is in.
func (t *tracer) subchart(dir, name string) (folder, archive string) {
	chartName, repository := name, ""
	for _, described := range []string{chartFile, requirementsFile} {
		data, err := t.tree.read(path.Join(dir, described))
		if err != nil {
			continue
		}
		documents := parseNodes(data)
		if len(documents) != 1 || documents[0].root == nil {
			continue
		}
		for _, one := range itemsOf(memberOf(documents[0].root, "dependencies")) {
			if firstOf(textOf(one, "alias"), textOf(one, "name")) == name {
				chartName, repository = textOf(one, "name"), textOf(one, "repository")
			}
		}
	}
	folders := []string{path.Join(dir, "charts", chartName)}
	if local, isLocal := strings.CutPrefix(repository, "file://"); isLocal {
		folders = append(folders, path.Join(dir, local))
	}
	for _, one := range folders {
		if _, err := t.tree.read(path.Join(one, chartFile)); err == nil {
			return one, ""
		}
	}
	prefix := path.Join(dir, "charts", chartName) + "-"
	for file := range t.tree.all() {
		rest, found := strings.CutPrefix(file, prefix)
		if !found || !strings.HasSuffix(rest, ".tgz") || rest[0] != 'v' && (rest[0] < '0' || rest[0] > '9') {
			continue
		}
		if archive != "" {
			return "", "" // which of them Helm takes is its own affair
		}
		archive = file
	}
	return "", archive
}
