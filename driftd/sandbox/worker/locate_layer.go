package main

import (
	"bytes"
	"encoding/base64"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// layer is one kustomization of an overlay, asked for one field.
type layer struct {
	*overlay
	dir, file string
	document  located
}

func (k *layer) line(node *yaml.Node) int { return k.document.line + node.Line }

func (k *layer) list(name string) []*yaml.Node { return itemsOf(memberOf(k.document.root, name)) }

// isOpaque says whether the kustomization changes objects in ways that are not followed.
func (k *layer) isOpaque() bool {
	return len(k.list("helmCharts")) > 0 || slices.ContainsFunc(k.list("transformers"), k.mayTransform)
}

// bases are the files and directories that the kustomization builds on.
func (k *layer) bases() []string {
	var names []string
	for _, item := range append(slices.Clone(k.list("resources")), k.list("bases")...) {
		names = append(names, resolveAlias(item).Value)
	}
	return names
}

func (k *layer) images() outcome {
	if !k.isImage() || k.wanted.Kind != yaml.ScalarNode {
		return silent
	}
	name, tag, digest := splitImage(k.wanted.Value)
	entries := k.list("images")
	for i := len(entries) - 1; i >= 0; i-- {
		entry := entries[i]
		repository := textOf(entry, "newName")
		if repository == "" {
			repository = textOf(entry, "name")
		}
		if repository != name {
			continue
		}
		newTag, newDigest := textOf(entry, "newTag"), textOf(entry, "digest")
		if newTag != "" && newDigest == "" && newTag != tag || newDigest != "" && newDigest != digest {
			return unknown
		}
		for _, field := range []string{"digest", "newTag", "newName"} {
			if key, _ := pairOf(entry, field); key != nil {
				return foundAt(k.file, k.line(key))
			}
		}
	}
	return silent
}

func splitImage(image string) (name, tag, digest string) {
	name, digest, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, tag = name[:colon], name[colon+1:]
	}
	return name, tag, digest
}

func (k *layer) replicas() outcome {
	if !k.isReplicas() {
		return silent
	}
	entries := k.list("replicas")
	for i := len(entries) - 1; i >= 0; i-- {
		if slices.Contains(k.names, textOf(entries[i], "name")) {
			key, value := pairOf(entries[i], "count")
			if key == nil {
				return unknown
			}
			return k.ifWanted(resolveAlias(value), k.file, k.line(key))
		}
	}
	return silent
}

func (k *layer) annotations() outcome {
	names := k.fields()
	if len(names) > 1 && names[len(names)-1] == "annotations" && names[len(names)-2] == "metadata" {
		return k.allPairs(pairOf(k.document.root, "commonAnnotations"))
	}
	if len(names) < 2 || names[len(names)-2] != "annotations" {
		return silent
	}
	return k.pair(memberOf(k.document.root, "commonAnnotations"), names[len(names)-1])
}

func (k *layer) labels() outcome {
	names := k.fields()
	if len(names) < 2 || !slices.Contains([]string{"labels", "matchLabels", "selector"}, names[len(names)-2]) {
		return silent
	}
	own := slices.Equal(names[:len(names)-1], []string{"metadata", "labels"})
	if said := k.pair(memberOf(k.document.root, "commonLabels"), names[len(names)-1]); said.decided {
		return said
	}
	entries := k.list("labels")
	for i := len(entries) - 1; i >= 0; i-- {
		further := textOf(entries[i], "includeSelectors") == "true" || textOf(entries[i], "includeTemplates") == "true" ||
			memberOf(entries[i], "fields") != nil
		if !own && !further {
			continue
		}
		if said := k.pair(memberOf(entries[i], "pairs"), names[len(names)-1]); said.decided {
			return said
		}
	}
	return silent
}

// allPairs is where a mapping is set as a whole: the line of its pair, or where several begin.
func (k *layer) allPairs(key, pairs *yaml.Node) outcome {
	if key == nil || k.wanted.Kind != yaml.MappingNode || len(k.wanted.Content) == 0 {
		return silent
	}
	line := key.Line
	for i := 0; i+1 < len(k.wanted.Content); i += 2 {
		at, value := pairOf(pairs, k.wanted.Content[i].Value)
		if at == nil || !sameValue(value, k.wanted.Content[i+1]) {
			return silent
		}
		if len(k.wanted.Content) == 2 {
			line = at.Line
		}
	}
	return foundAt(k.file, k.document.line+line)
}

func (k *layer) pair(pairs *yaml.Node, name string) outcome {
	key, value := pairOf(pairs, name)
	if key == nil {
		return silent
	}
	return k.ifWanted(resolveAlias(value), k.file, k.line(key))
}

func (k *layer) patchesJSON() outcome  { return k.patchList("patchesJson6902") }
func (k *layer) patches() outcome      { return k.patchList("patches") }
func (k *layer) patchesMerge() outcome { return k.patchList("patchesStrategicMerge") }

// patchList asks the patches of one field of the kustomization, the last first.
func (k *layer) patchList(field string) outcome {
	entries := k.list(field)
	for i := len(entries) - 1; i >= 0; i-- {
		entry := resolveAlias(entries[i])
		target := memberOf(entry, "target")
		certain := true
		if target != nil {
			var fits bool
			if fits, certain = k.addresses(target); !fits {
				continue
			}
		}
		file, documents := k.patchTexts(entry)
		for j := len(documents) - 1; j >= 0; j-- {
			said := k.patchSays(documents[j], file, target != nil)
			if said.decided && !certain {
				return unknown
			}
			if said.decided {
				return said
			}
		}
	}
	return silent
}

// patchTexts are the documents of a patch with the file that they stand in.
func (k *layer) patchTexts(entry *yaml.Node) (string, []located) {
	name, text := textOf(entry, "path"), memberOf(entry, "patch")
	if entry.Kind == yaml.ScalarNode {
		name, text = entry.Value, nil
		if strings.Contains(name, "\n") {
			name, text = "", entry
		}
	}
	if name != "" {
		file := joinPath(k.dir, name)
		return file, k.documents(file)
	}
	if text == nil {
		return k.file, nil
	}
	documents := parseNodes([]byte(text.Value))
	for i := range documents {
		documents[i].line += k.line(text)
		if text.Style&yaml.LiteralStyle == 0 && documents[i].root != nil {
			// The lines of other styles are not those of the file: the patch begins here.
			flatten(documents[i].root)
			documents[i].line = k.line(text)
		}
	}
	return k.file, documents
}

func flatten(node *yaml.Node) {
	node.Line = 0
	for _, child := range node.Content {
		flatten(child)
	}
}

func (k *layer) patchSays(patch located, file string, targeted bool) outcome {
	switch {
	case patch.root == nil:
		return silent
	case patch.root.Kind == yaml.SequenceNode:
		return k.operations(patch, file)
	case !targeted && !k.isPatchOfObject(patch.root):
		return silent
	}
	return k.setIn(patch.root, file, patch.line)
}

func (k *layer) isPatchOfObject(patch *yaml.Node) bool {
	return textOf(patch, "kind") == textOf(k.body, "kind") && groupOf(patch) == groupOf(k.body) &&
		slices.Contains(k.names, textOf(patch, "metadata", "name")) && k.isInNamespace(patch)
}

// isInNamespace says whether a patch is for the object's namespace, as it was declared or is now.
func (k *layer) isInNamespace(patch *yaml.Node) bool {
	wanted := namespaceOf(patch)
	return wanted == namespaceOf(k.body) || k.base != nil && wanted == namespaceOf(k.base) ||
		k.base == nil && wanted == ""
}

// namespaceOf is an object's namespace; Kustomize takes none for the default one.
func namespaceOf(object *yaml.Node) string {
	if namespace := textOf(object, "metadata", "namespace"); namespace != "default" {
		return namespace
	}
	return ""
}

// operations asks a JSON patch (RFC 6902), its last operation first.
func (k *layer) operations(patch located, file string) outcome {
	operations := itemsOf(patch.root)
	for i := len(operations) - 1; i >= 0; i-- {
		operation := resolveAlias(operations[i])
		tokens := strings.Split(strings.TrimPrefix(textOf(operation, "path"), "/"), "/")
		shared := k.shared(tokens)
		if textOf(operation, "op") == "test" || shared < min(len(tokens), len(k.steps)) {
			continue
		}
		key, value := pairOf(operation, "value")
		if key == nil || len(tokens) > len(k.steps) {
			return unknown
		}
		rest := k.steps[len(tokens):]
		value = resolveAlias(value)
		if tokens[len(tokens)-1] == "-" {
			item := k.steps[len(tokens)-1]
			if item.position(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value}}) < 0 {
				continue
			}
		}
		reach := walkNode(value, rest)
		if reach.depth < len(rest) {
			return unknown
		}
		line := key.Line
		if len(rest) > 0 {
			line = reach.line
		}
		return k.ifWanted(reach.value, file, patch.line+line)
	}
	return silent
}

// shared is how many tokens of a pointer are steps of the field's path. An index is looked up
// in the rendered object and in the base, since patches may have moved the item.
func (k *layer) shared(tokens []string) int {
	count := 0
	for count < len(tokens) && count < len(k.steps) {
		token, one := unescapeToken(tokens[count]), k.steps[count]
		if one.kind == 'f' {
			if token != one.field {
				break
			}
		} else if token != "-" && !k.isIndex(token, count) {
			break
		}
		count++
	}
	return count
}

func (k *layer) isIndex(token string, count int) bool {
	index, err := strconv.Atoi(token)
	if err != nil {
		return false
	}
	return slices.ContainsFunc([]*yaml.Node{k.body, k.base}, func(root *yaml.Node) bool {
		reach := walkNode(root, k.steps[:count])
		return reach.depth == count && k.steps[count].position(reach.value) == index
	})
}

// generators asks the entry that makes a ConfigMap or Secret, or adds to it.
func (k *layer) generators() outcome {
	names := k.fields()
	if len(names) != 2 || names[0] != "data" {
		return silent
	}
	best := k.generator()
	made := k.sameFile(k.file) || best != nil && textOf(best, "behavior") != ""
	if best == nil || !made {
		return silent
	}
	return k.generated(best, names[1])
}

// generator is the entry of the kustomization that generates the object: the one with the
// longest name that the object's contains.
func (k *layer) generator() *yaml.Node {
	fields := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}
	var best *yaml.Node
	for _, entry := range k.list(fields[textOf(k.body, "kind")]) {
		name := textOf(entry, "name")
		longer := best == nil || len(name) > len(textOf(best, "name"))
		if name != "" && strings.Contains(k.names[0], name) && longer {
			best = entry
		}
	}
	return best
}

func (k *layer) generated(entry *yaml.Node, name string) outcome {
	for _, literal := range itemsOf(memberOf(entry, "literals")) {
		if key, value, _ := strings.Cut(literal.Value, "="); key == name {
			return k.ifText(strings.Trim(value, `"'`), k.file, k.line(literal))
		}
	}
	for _, item := range itemsOf(memberOf(entry, "files")) {
		key, file, named := strings.Cut(item.Value, "=")
		if !named {
			key, file = path.Base(item.Value), item.Value
		}
		if key == name {
			if data, err := k.tree.read(joinPath(k.dir, file)); err == nil {
				return k.ifText(string(data), joinPath(k.dir, file), 1)
			}
			return unknown
		}
	}
	environments := slices.Clone(itemsOf(memberOf(entry, "envs")))
	if one := memberOf(entry, "env"); one != nil {
		environments = append(environments, one)
	}
	for _, item := range environments {
		file := joinPath(k.dir, item.Value)
		data, err := k.tree.read(file)
		if err != nil {
			return unknown
		}
		for number, text := range bytes.Split(data, []byte("\n")) {
			if key, value, ok := strings.Cut(strings.TrimSpace(string(text)), "="); ok && key == name {
				return k.ifText(value, file, number+1)
			}
		}
	}
	return silent
}

// ifText compares what a generator read with the value, which in a Secret is base64.
func (k *layer) ifText(text, file string, line int) outcome {
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	if k.wanted.Kind == yaml.ScalarNode && (k.wanted.Value == text || k.wanted.Value == encoded) {
		return foundAt(file, line)
	}
	return unknown
}
