package main

import (
	"bytes"
	"encoding/json"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	maxLocated      = 2000
	maxLocatedBytes = 1 << 20
)

// place is a line (from 1) of a file in the repository. Or it is a field of the application's own
// document, below the source of an Application or the spec of Flux: then File is empty and Line
// says how many lines below it in a text.
type place struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Own  string `json:"own,omitempty"`
}

// locateObject is one rendered object and the places in it (as `managedFields` write them,
// joined by slashes; empty for the object itself) that are looked for in Git.
type locateObject struct {
	File string `json:"file"`
	// Index is which document of a plain manifest it is; -1 for the one of its kind and name.
	Index  int             `json:"index"`
	Object json.RawMessage `json:"object"`
	Paths  []string        `json:"paths"`
}

// locate answers, for each path of each object, with the line of Git that sets it, or null
// where that is not certain. The parameters are those of "render" beside the objects.
func (s *server) locate(params json.RawMessage) ([]byte, error) {
	var p struct {
		renderParams
		Objects []locateObject `json:"objects"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	if err := p.loadSource(t); err != nil {
		return nil, err
	}
	kind := typeKustomize
	if p.Flux == nil {
		if kind, err = p.sourceType(t); err != nil {
			return nil, err
		}
	} else if p.Flux.Kustomization == nil {
		kind = typeHelm
	}
	finder := &locator{tree: t, texts: map[string][]located{}}
	places, asked := make([][]*place, len(p.Objects)), 0
	for i, object := range p.Objects {
		places[i] = make([]*place, len(object.Paths))
		if asked += len(object.Paths); asked > maxLocated {
			continue
		}
		switch kind {
		case typeDirectory:
			finder.plain(&object, places[i])
		case typeKustomize:
			finder.kustomized(&p.renderParams, &object, places[i])
		case typeHelm:
			if p.Flux != nil {
				finder.released(&p.renderParams, &object, places[i])
			}
		}
	}
	return json.Marshal(map[string]any{"places": places})
}

// located is one YAML document and the line before its first.
type located struct {
	root *yaml.Node
	line int
}

// locator reads files of a tree as YAML nodes, each once.
type locator struct {
	tree  *tree
	texts map[string][]located
}

// documents are those of a file, numbered as decodeFile does; nil stands for one that does
// not read. Without a file there is none.
func (l *locator) documents(file string) []located {
	if found, ok := l.texts[file]; ok {
		return found
	}
	data, err := l.tree.read(file)
	var found []located
	if err == nil && len(data) <= maxLocatedBytes {
		found = parseNodes(bytes.TrimPrefix(data, byteOrderMark))
	}
	l.texts[file] = found
	return found
}

func parseNodes(data []byte) []located {
	var found []located
	for _, part := range splitDocuments(data) {
		if isBlank(part.text) {
			continue
		}
		var document yaml.Node
		one := located{line: part.line}
		if part.wrong == "" && scanYAML(part.text) == nil && yaml.Unmarshal(part.text, &document) == nil && len(document.Content) == 1 {
			one.root = document.Content[0]
		}
		found = append(found, one)
	}
	return found
}

// plain finds fields in the very document of a plain manifest; of a field that is not written
// there, the innermost of its parents that is.
func (l *locator) plain(object *locateObject, places []*place) {
	documents := l.documents(object.File)
	body := parseJSONNode(object.Object)
	if body == nil || object.Index >= len(documents) {
		return
	}
	document := namedLike(documents, body)
	if object.Index >= 0 {
		document = documents[object.Index]
	}
	root := itemLike(document.root, body)
	if root == nil {
		return
	}
	for i, text := range object.Paths {
		if text == "" {
			places[i] = &place{File: object.File, Line: document.line + root.Line}
			continue
		}
		if found := walkNode(root, parseSteps(text)); found.depth > 0 {
			places[i] = &place{File: object.File, Line: document.line + found.line}
		}
	}
}

func parseJSONNode(data []byte) *yaml.Node {
	if documents := parseNodes(data); len(documents) == 1 {
		return documents[0].root
	}
	return nil
}

// namedLike is the one document of a kind and name.
func namedLike(documents []located, body *yaml.Node) located {
	found := slices.DeleteFunc(slices.Clone(documents), func(one located) bool {
		return one.root == nil || !sameIdentity(one.root, body)
	})
	if len(found) != 1 {
		return located{}
	}
	return found[0]
}

// itemLike is the document itself or the item of the list that it is, whichever declares the
// same kind and name as an object.
func itemLike(root, body *yaml.Node) *yaml.Node {
	if root == nil || sameIdentity(root, body) {
		return root
	}
	for _, item := range itemsOf(memberOf(root, "items")) {
		if sameIdentity(item, body) {
			return item
		}
	}
	return nil
}

func sameIdentity(one, other *yaml.Node) bool {
	return textOf(one, "kind") == textOf(other, "kind") &&
		textOf(one, "metadata", "name") == textOf(other, "metadata", "name")
}

// step is one segment of a path: a field, the keys of a list's item, its value, or its index.
type step struct {
	kind  byte
	field string
	keys  map[string]any
	value any
	index int
}

func parseSteps(text string) []step {
	var steps []step
	for _, segment := range strings.Split(text, "/") {
		segment = unescapeToken(segment)
		tag, rest, _ := strings.Cut(segment, ":")
		one := step{index: -1}
		switch tag {
		case "f":
			one.kind, one.field = 'f', rest
		case "k":
			if one.kind = 'k'; json.Unmarshal([]byte(rest), &one.keys) != nil {
				one.keys = nil
			}
		case "v":
			if one.kind = 'v'; json.Unmarshal([]byte(rest), &one.value) != nil {
				one.kind = 0
			}
		case "i":
			if number, err := strconv.Atoi(rest); err == nil {
				one.kind, one.index = 'i', number
			}
		}
		steps = append(steps, one)
	}
	return steps
}

func unescapeToken(token string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}

// reached is how far a path leads: how many steps, and the line and value of the last one.
type reached struct {
	depth int
	line  int
	value *yaml.Node
}

func walkNode(root *yaml.Node, steps []step) reached {
	at := reached{value: resolveAlias(root)}
	secret := textOf(root, "kind") == "Secret"
	for i, one := range steps {
		if at.value == nil {
			break
		}
		line, next := stepInto(at.value, one)
		if next == nil && i == 0 && secret && one.field == "data" {
			line, next = stepInto(at.value, step{kind: 'f', field: "stringData"})
		}
		if next == nil {
			break
		}
		at = reached{i + 1, line, next}
	}
	return at
}

// stepInto is the line and value of one step below a node; nil if it leads nowhere.
func stepInto(node *yaml.Node, one step) (int, *yaml.Node) {
	if one.kind == 'f' {
		key, value := pairOf(node, one.field)
		if key == nil {
			return 0, nil
		}
		return key.Line, resolveAlias(value)
	}
	if position := one.position(node); position >= 0 {
		item := node.Content[position]
		return item.Line, resolveAlias(item)
	}
	return 0, nil
}

// position is the index of the item of a list that a step means, -1 if there is none.
func (s *step) position(list *yaml.Node) int {
	items := itemsOf(list)
	for i, item := range items {
		item = resolveAlias(item)
		switch {
		case s.kind == 'i' && s.index == i, s.kind == 'k' && s.fits(item), s.kind == 'v' && isValue(item, s.value):
			return i
		}
	}
	return -1
}

// fits says whether an item has the keys of a step. A key that an item leaves out (a port's
// protocol) has its default, as long as another one says which item it is.
func (s *step) fits(item *yaml.Node) bool {
	same := 0
	for name, value := range s.keys {
		_, found := pairOf(item, name)
		switch {
		case found == nil:
		case isValue(found, value):
			same++
		default:
			return false
		}
	}
	return same > 0
}

func isValue(node *yaml.Node, value any) bool {
	var decoded any
	if node == nil || node.Decode(&decoded) != nil {
		return false
	}
	if number, ok := value.(float64); ok {
		switch decoded := decoded.(type) {
		case int:
			return float64(decoded) == number
		case float64:
			return decoded == number
		}
		return false
	}
	return reflect.DeepEqual(decoded, value)
}

func sameValue(one, other *yaml.Node) bool {
	if one == nil || other == nil {
		return false
	}
	var left, right any
	return one.Decode(&left) == nil && other.Decode(&right) == nil && reflect.DeepEqual(left, right)
}

func resolveAlias(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// pairOf is a member of a mapping, merged ones included.
func pairOf(node *yaml.Node, name string) (key, value *yaml.Node) {
	return pairWithin(node, name, 0)
}

func pairWithin(node *yaml.Node, name string, depth int) (key, value *yaml.Node) {
	if node = resolveAlias(node); node == nil || node.Kind != yaml.MappingNode || depth > maxAliases {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "<<" {
			continue
		}
		sources := itemsOf(node.Content[i+1])
		if sources == nil {
			sources = []*yaml.Node{node.Content[i+1]}
		}
		for _, source := range sources {
			if key, value := pairWithin(source, name, depth+1); key != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

func memberOf(node *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		_, node = pairOf(node, name)
	}
	return resolveAlias(node)
}

func textOf(node *yaml.Node, names ...string) string {
	if found := memberOf(node, names...); found != nil && found.Kind == yaml.ScalarNode {
		return found.Value
	}
	return ""
}

func itemsOf(node *yaml.Node) []*yaml.Node {
	if node = resolveAlias(node); node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}

func groupOf(object *yaml.Node) string {
	group, _, found := strings.Cut(textOf(object, "apiVersion"), "/")
	if !found {
		return ""
	}
	return group
}

func joinPath(dir, name string) string { return strings.TrimPrefix(path.Join("/", dir, name), "/") }
