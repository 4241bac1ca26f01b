package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/utils"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// How a path of a replacement stands to a field.
const (
	apart = iota
	perhaps
	same
)

var variable = regexp.MustCompile(`\$\([^()]*\)`)

// replacements asks what copies values into fields, the last one first: the line is that of the
// path that names the field. One that sets only a part of the value is not certain.
func (k *layer) replacements() outcome {
	entries := k.list("replacements")
	for i := len(entries) - 1; i >= 0; i-- {
		entry := resolveAlias(entries[i])
		file, documents := k.file, []located{{entry, k.document.line}}
		if name := textOf(entry, "path"); name != "" {
			file = joinPath(k.dir, name)
			if documents = k.documents(file); len(documents) == 0 {
				return unknown
			}
		}
		for j := len(documents) - 1; j >= 0; j-- {
			if said := k.replaced(documents[j], file); said.decided {
				return said
			}
		}
	}
	return silent
}

// replaced asks one document: a replacement, or a list of them.
func (k *layer) replaced(document located, file string) outcome {
	listed := itemsOf(document.root)
	if listed == nil {
		listed = []*yaml.Node{document.root}
	}
	for i := len(listed) - 1; i >= 0; i-- {
		targets := itemsOf(memberOf(listed[i], "targets"))
		for j := len(targets) - 1; j >= 0; j-- {
			if said := k.replacedAt(targets[j], file, document.line); said.decided {
				return said
			}
		}
	}
	return silent
}

func (k *layer) replacedAt(target *yaml.Node, file string, line int) outcome {
	chosen := memberOf(target, "select")
	fits, certain := k.addresses(chosen)
	if !fits {
		return silent
	}
	exact := certain && memberOf(target, "reject") == nil && memberOf(target, "options", "delimiter") == nil
	paths := itemsOf(memberOf(target, "fieldPaths"))
	for i := len(paths) - 1; i >= 0; i-- {
		one := resolveAlias(paths[i])
		switch how := meets(utils.SmarterPathSplitter(one.Value, "."), k.steps); {
		case how == apart:
		case how == same && exact:
			return foundAt(file, line+one.Line)
		default:
			return unknown
		}
	}
	return silent
}

// meets says whether the path of a replacement is a field, or may be, or holds it or a part of it.
func meets(tokens []string, steps []step) int {
	how := same
	for i, one := range steps[:min(len(tokens), len(steps))] {
		token := tokens[i]
		name, value, keyed := strings.Cut(strings.Trim(token, "[]"), "=")
		switch known, has := one.keys[name]; {
		case one.kind == 'f' && token == one.field:
		case one.kind == 'f' && token != "*":
			return apart
		case one.kind == 'k' && keyed && has && fmt.Sprint(known) == value:
		case one.kind == 'k' && keyed && has:
			return apart
		default:
			how = perhaps
		}
	}
	if len(tokens) != len(steps) {
		return perhaps
	}
	return how
}

// mayTransform says whether an entry of `transformers` may set the field. One that changes a name
// or a namespace shows in the value, which then is not the rendered one.
func (k *layer) mayTransform(entry *yaml.Node) bool {
	_, documents := k.patchTexts(resolveAlias(entry))
	return len(documents) == 0 || slices.ContainsFunc(documents, func(one located) bool {
		return k.transforms(one.root)
	})
}

func (k *layer) transforms(transformer *yaml.Node) bool {
	if textOf(transformer, "apiVersion") != "builtin" {
		return true
	}
	switch textOf(transformer, "kind") {
	case "PrefixTransformer", "SuffixTransformer", "PrefixSuffixTransformer", "NamespaceTransformer", "HashTransformer":
		return false
	case "AnnotationsTransformer", "LabelTransformer", "ReplicaCountTransformer":
		return k.inFieldSpecs(transformer)
	case "ImageTagTransformer":
		return k.isImage() || k.inFieldSpecs(transformer)
	case "PatchTransformer", "PatchJson6902Transformer":
		target := memberOf(transformer, "target")
		fits, _ := k.addresses(target)
		return target == nil || fits
	}
	return true
}

// inFieldSpecs says whether the field is one of those that a transformer is told to change, or is
// in one, or holds one.
func (k *layer) inFieldSpecs(transformer *yaml.Node) bool {
	fields := slices.DeleteFunc(k.fields(), func(name string) bool { return name == "" })
	return slices.ContainsFunc(itemsOf(memberOf(transformer, "fieldSpecs")), func(spec *yaml.Node) bool {
		tokens := strings.Split(strings.ReplaceAll(textOf(spec, "path"), "[]", ""), "/")
		shared := min(len(tokens), len(fields))
		return slices.Equal(tokens[:shared], fields[:shared])
	})
}

// fromVariables says whether a text with variables (`$(HOST)`) may have become the rendered one.
func fromVariables(value, wanted *yaml.Node) bool {
	if value.Kind != yaml.ScalarNode || wanted.Kind != yaml.ScalarNode || !variable.MatchString(value.Value) {
		return false
	}
	parts := variable.Split(value.Value, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	pattern, err := regexp.Compile(`(?s)^` + strings.Join(parts, ".*") + `$`)
	return err == nil && pattern.MatchString(wanted.Value)
}
