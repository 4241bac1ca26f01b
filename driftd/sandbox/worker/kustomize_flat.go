package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// addedPrefix begins the names of files that only Kustomize sees.
const addedPrefix = ".driftd-base-"

// flattened has the files of plain bases in the place of these bases: what does nothing but name
// files is a kustomization that Kustomize would read, and whose built-in rules it would merge with
// those that are there, for the same objects in the same order. It answers nil where there is no
// such base, or where anything could tell the difference. Names of files appear in errors and notes
// of origin only; both are for a build that is not flattened.
func (d *declaredOrder) flattened(dir string) *treeFS {
	file, data := d.kustomization(dir)
	fields, err := d.files.tree.kustomization(file, data)
	if err != nil || fields == nil || len(fields.Bases)+len(fields.Components) > 0 {
		return nil
	}
	added := map[string][]byte{}
	resources, flat := []string{}, false
	for _, name := range fields.Resources {
		files := d.plainFiles(name, dir, []string{dir})
		if files == nil {
			resources = append(resources, name)
			continue
		}
		flat = true
		for _, base := range files {
			alias := fmt.Sprintf("%s%d", addedPrefix, len(added))
			added[path.Join(dir, alias)] = d.read(base)
			resources = append(resources, alias)
		}
	}
	if !flat || slices.ContainsFunc(d.files.tree.names(dir), isAdded) {
		return nil
	}
	text := d.files.tree.withResources(data, resources)
	if text == nil {
		return nil
	}
	added[file] = text
	return d.files.with(added)
}

func isAdded(name string) bool { return strings.HasPrefix(name, addedPrefix) }

// plainFiles are the files that a resource stands for if it is a base that does nothing but name
// files of its own, or more such bases; nil for all else. No base may hold one that names it.
func (d *declaredOrder) plainFiles(name, dir string, within []string) []string {
	target := path.Join(dir, name)
	if !isLocalName(name) || strings.HasPrefix(target, "..") || d.read(target) != nil || len(within) > maxBaseDepth {
		return nil
	}
	for _, folder := range within {
		if isBelow(folder, target) {
			return nil
		}
	}
	file, data := d.kustomization(target)
	if data == nil {
		return nil
	}
	fields, err := d.files.tree.kustomization(file, data)
	if err != nil || fields == nil || !d.files.tree.isPlain(data) {
		return nil
	}
	files := []string{}
	for _, entry := range fields.Resources {
		resource := path.Join(target, entry)
		switch {
		case !isLocalName(entry):
			return nil
		case d.read(resource) == nil:
			more := d.plainFiles(entry, target, append(slices.Clip(within), target))
			if more == nil {
				return nil
			}
			files = append(files, more...)
		case isBelow(resource, target):
			files = append(files, resource)
		default:
			return nil
		}
	}
	return files
}

// isBelow says whether a path is a folder or lies in it; "" is the root.
func isBelow(name, folder string) bool {
	return folder == "" || folder == "." || name == folder || strings.HasPrefix(name, folder+"/")
}

// isLocalName says whether an entry can be nothing but a path from where it stands.
func isLocalName(name string) bool {
	if name == "" || path.IsAbs(name) || strings.ContainsAny(name, ":?\\") || strings.Contains(name, "//") ||
		strings.Contains(name, ".git") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part != ".." && strings.Contains(part, "..") {
			return false
		}
	}
	return true
}

// isPlain says whether a kustomization has nothing but resources, and keeps that for the next
// application on the same base.
func (t *tree) isPlain(data []byte) bool {
	known, ok := t.known.plain[string(data)]
	if !ok {
		known = hasResourcesOnly(data)
		t.known.room(len(data))
		t.known.plain[string(data)] = known
	}
	return known
}

func hasResourcesOnly(data []byte) bool {
	var fields map[string]any
	if err := yaml.UnmarshalStrict(data, &fields); err != nil {
		return false
	}
	for key, value := range fields {
		switch key {
		case "resources":
		case "apiVersion":
			if value != "kustomize.config.k8s.io/v1beta1" {
				return false
			}
		case "kind":
			if value != "Kustomization" {
				return false
			}
		default:
			return false
		}
	}
	resources, _ := fields["resources"].([]any)
	for _, resource := range resources {
		if _, isText := resource.(string); !isText {
			return false
		}
	}
	return len(resources) > 0
}

// withResources is a kustomization that reads as another one with other resources, nil if that is
// not certain. It is kept for the next application with the same overlay.
func (t *tree) withResources(data []byte, resources []string) []byte {
	key := string(data) + "\x00" + strings.Join(resources, "\x00")
	if known, ok := t.known.flat[key]; ok {
		return known
	}
	text := replaceResources(data, resources)
	t.known.room(len(key) + len(text))
	t.known.flat[key] = text
	return text
}

func replaceResources(data []byte, resources []string) []byte {
	raw, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil
	}
	for name := range maps.Keys(fields) {
		// Kustomize takes keys in any case.
		if name != "resources" && strings.EqualFold(name, "resources") || strings.EqualFold(name, "bases") {
			return nil
		}
	}
	if fields["resources"], err = json.Marshal(resources); err != nil {
		return nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	// What Kustomize reads from it must be what stands there.
	if again, err := yaml.YAMLToJSON(text); err != nil || !bytes.Equal(again, text) {
		return nil
	}
	return text
}
