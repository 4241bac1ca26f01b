package main

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"
)

// declaredObject is an object with the file that declares it.
type declaredObject struct{ file, kind string }

// declaredOrder follows a kustomization without building it: Kustomize keeps the order in which
// resources are named, and appends what is generated. Having Kustomize note where each object
// comes from takes two fifths of a build; so it is asked only where the order does not tell.
type declaredOrder struct {
	files     *treeFS
	objects   []declaredObject
	visited   int
	uncertain bool
}

// declaredIn lists what a kustomization makes, nil if that is not certain.
func declaredIn(files *treeFS, dir string) *declaredOrder {
	order := &declaredOrder{files: files}
	// An application that wants to see such notes gets Kustomize's own.
	if _, data := order.kustomization(dir); bytes.Contains(data, []byte("buildMetadata")) {
		return nil
	}
	order.directory(dir)
	if order.uncertain || order.objects == nil {
		return nil
	}
	return order
}

// fits says whether these are the objects that were built.
func fits(objects []declaredObject, built resmap.ResMap) bool {
	if objects == nil || len(objects) != built.Size() {
		return false
	}
	for i, object := range built.Resources() {
		if object.GetKind() != objects[i].kind {
			return false
		}
	}
	return true
}

// directory adds what the kustomization of a directory makes.
func (d *declaredOrder) directory(dir string) {
	file, data := d.kustomization(dir)
	if d.visited++; data == nil || d.visited > maxKustomizations || len(d.objects) > maxObjects {
		d.uncertain = true
		return
	}
	fields, err := d.files.tree.kustomization(file, data)
	if err != nil || fields == nil || d.changesOrder(dir, data, fields) {
		d.uncertain = true
		return
	}
	for _, list := range [][]string{fields.Resources, fields.Bases} {
		for _, resource := range list {
			d.resource(dir, resource)
		}
	}
	// Kustomize adds what components declare and generate to what is there, before it generates.
	for _, component := range fields.Components {
		d.component(dir, component)
	}
	d.generated(file, "ConfigMap", fields.ConfigMapGenerator)
	d.generated(file, "Secret", fields.SecretGenerator)
}

// kustomization is the file of a directory, nil if it is none or not the only one.
func (d *declaredOrder) kustomization(dir string) (file string, data []byte) {
	for _, name := range kustomizationNames {
		found := d.read(path.Join(dir, name))
		if found != nil && data != nil {
			return "", nil
		}
		if found != nil {
			file, data = path.Join(dir, name), found
		}
	}
	return file, data
}

// read is a file's content, nil for what is none or is reached through a link, from where other
// paths would start.
func (d *declaredOrder) read(name string) []byte {
	real, err := d.files.real(mountPoint + "/" + name)
	if err != nil || real != name {
		return nil
	}
	data, err := d.files.ReadFile(mountPoint + "/" + name)
	if err != nil {
		return nil
	}
	return data
}

// changesOrder says whether objects may be left out, added or moved by anything but resources and
// generators.
func (d *declaredOrder) changesOrder(dir string, data []byte, fields *pathFields) bool {
	if len(fields.Generators)+len(fields.Transformers)+len(fields.Validators) > 0 ||
		len(fields.HelmCharts)+len(fields.HelmInflation) > 0 || fields.SortOptions != nil || dropsObjects(data) {
		return true
	}
	patches := fields.PatchesStrategicMerge
	for _, patch := range append(fields.Patches, fields.PatchesJSON6902...) {
		patches = append(patches, patch.Path)
	}
	for _, name := range patches {
		if dropsObjects(d.read(path.Join(dir, name))) {
			return true
		}
	}
	return false
}

// dropsObjects says whether text has what takes an object out of a build.
func dropsObjects(text []byte) bool {
	return bytes.Contains(text, []byte("$patch")) || bytes.Contains(text, []byte("local-config"))
}

// local is the path in the tree that an entry names. What might be read as a repository's address
// has another origin, and makes the order uncertain.
func (d *declaredOrder) local(dir, name string) (target string, ok bool) {
	target = path.Join(dir, name)
	if strings.ContainsAny(name, ":?") || strings.Contains(name, "//") || strings.Contains(name, ".git") ||
		path.IsAbs(name) || strings.HasPrefix(target, "..") {
		d.uncertain = true
	}
	return target, !d.uncertain
}

// component adds what a component declares and generates.
func (d *declaredOrder) component(dir, name string) {
	if target, ok := d.local(dir, name); ok {
		d.directory(target)
	}
}

// resource adds what an entry of resources stands for.
func (d *declaredOrder) resource(dir, name string) {
	target, ok := d.local(dir, name)
	if !ok {
		return
	}
	data := d.read(target)
	if data == nil {
		d.directory(target)
		return
	}
	kinds := d.files.tree.kindsIn(target, data)
	d.uncertain = kinds == nil
	for _, kind := range kinds {
		d.objects = append(d.objects, declaredObject{target, kind})
	}
}

// generated adds what generators of a kustomization make.
func (d *declaredOrder) generated(file, kind string, generators []generatorFields) {
	for _, generator := range generators {
		switch generator.Behavior {
		case "", "create":
			d.objects = append(d.objects, declaredObject{file, kind})
		case "merge":
			// The object stays where it is, and whose it is.
		default:
			d.uncertain = true
		}
	}
}

var kindPattern = regexp.MustCompile(`(?m)^kind:[ \t]*["']?([A-Za-z0-9]+)["']?[ \t\r]*(?:#.*)?$`)

// kindsIn are the kinds of the documents of a file, kept for the next application; nil where a
// document does not say its kind plainly, or is a list of objects.
func (t *tree) kindsIn(file string, data []byte) []string {
	known := t.countedBefore(file, data)
	if known != nil && known.kinds != nil {
		return known.kinds
	}
	kinds := []string{}
	for _, part := range splitDocuments(data) {
		if isBlank(part.text) {
			continue
		}
		found := kindPattern.FindAllSubmatch(part.text, 2)
		if len(found) != 1 || part.wrong != "" || bytes.HasSuffix(found[0][1], []byte("List")) || dropsObjects(part.text) {
			return nil
		}
		kinds = append(kinds, string(found[0][1]))
	}
	if known != nil {
		known.kinds = kinds
	}
	return kinds
}
