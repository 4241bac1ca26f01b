package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-jsonnet"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// treeImporter gives Jsonnet the files of one tree: beside the importing file, then in dirs from
// the last to the first, as Jsonnet's own importer does. There is no other place.
type treeImporter struct {
	tree *tree
	dirs []string
	seen map[string]jsonnet.Contents
}

func (i *treeImporter) Import(importedFrom, importedPath string) (jsonnet.Contents, string, error) {
	if path.IsAbs(importedPath) {
		return jsonnet.Contents{}, "", fmt.Errorf("import %q: absolute paths lie outside of the repository", importedPath)
	}
	places := append(slices.Clone(i.dirs), path.Dir(importedFrom))
	for _, dir := range slices.Backward(places) {
		name := dir + "/" + importedPath
		real, err := i.tree.resolve(name)
		if err != nil {
			if asWorkError(err, codeJsonnet, name).Code == codePathMissing {
				continue
			}
			return jsonnet.Contents{}, "", err
		}
		if contents, ok := i.seen[real]; ok {
			return contents, real, nil
		}
		data, err := i.tree.read(real)
		if err != nil {
			continue
		}
		contents := jsonnet.MakeContentsRaw(data)
		i.seen[real] = contents
		return contents, real, nil
	}
	return jsonnet.Contents{}, "", fmt.Errorf("import %q: not found in the repository", importedPath)
}

// evaluateJsonnet answers with the object, or the objects of the array, that a file yields.
func evaluateJsonnet(
	t *tree, dir string, file manifestFile, options *jsonnetSource, environment buildEnvironment,
) ([]document, error) {
	importer := &treeImporter{tree: t, dirs: []string{dir}, seen: map[string]jsonnet.Contents{}}
	for _, lib := range options.Libs {
		real, err := t.resolve(strings.Trim(lib, "/"))
		if err != nil {
			return nil, fail(codePathMissing, lib, "source.directory.jsonnet.libs: %s", err)
		}
		importer.dirs = append(importer.dirs, real)
	}
	vm := jsonnet.MakeVM()
	vm.Importer(importer)
	for _, variable := range options.ExtVars {
		if value := environment.substitute(variable.Value); variable.Code {
			vm.ExtCode(variable.Name, value)
		} else {
			vm.ExtVar(variable.Name, value)
		}
	}
	for _, argument := range options.TLAs {
		if value := environment.substitute(argument.Value); argument.Code {
			vm.TLACode(argument.Name, value)
		} else {
			vm.TLAVar(argument.Name, value)
		}
	}
	output, err := vm.EvaluateAnonymousSnippet(file.name, string(file.data))
	if err != nil {
		return nil, fail(codeJsonnet, file.name, "%s: %s", file.name, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return jsonnetObjects(file.name, []byte(output))
}

func jsonnetObjects(file string, output []byte) ([]document, error) {
	if err := checkDepth(output); err != nil {
		return nil, fail(codeLimit, file, "%s: %s", file, err)
	}
	var value any
	if err := utiljson.Unmarshal(output, &value); err != nil {
		return nil, fail(codeJsonnet, file, "%s: %s", file, err)
	}
	values, isArray := value.([]any)
	if !isArray {
		values = []any{value}
	}
	var documents []document
	for index, item := range values {
		raw, err := encodeObject(item)
		if err != nil {
			return nil, fail(codeJsonnet, file, "%s: element %d: %s", file, index, err)
		}
		if raw != nil {
			documents = append(documents, document{file, index, raw})
		}
	}
	return documents, nil
}
