package main

import (
	"bytes"
	"path"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"
)

// renderKustomize runs `kustomize edit` for the fields of the source and then `kustomize
// build`, both on the tree in memory.
func renderKustomize(p *renderParams, t *tree) (*rendering, error) {
	dir := p.dir()
	files := newTreeFS(t, dir)
	name, err := kustomizationFile(files, dir)
	if err != nil {
		return nil, err
	}
	result := &rendering{}
	if p.Source.Kustomize != nil {
		if version := p.Source.Kustomize.Version; version != "" {
			result.warn("source.kustomize.version %s: rendered with Kustomize %s, the only one here", version, kustomizeVersion())
		}
		if err := editKustomization(p.Source.Kustomize, newBuildEnvironment(p), files, name, result); err != nil {
			return nil, err
		}
	}
	options, err := p.BuildOptions.forKustomize()
	if err != nil {
		return nil, err
	}
	options.PluginConfig.HelmConfig = p.helmConfig()
	defer inflates(p, t)()
	return result, buildKustomization(files, dir, name, options, result)
}

func (b *buildOptions) forKustomize() (*krusty.Options, error) {
	options := krusty.MakeDefaultOptions()
	options.AddManagedbyLabel = b.ManagedByLabel
	switch b.Reorder {
	case "", "none":
	case "legacy":
		options.Reorder = krusty.ReorderOptionLegacy
	default:
		return nil, fail(codeUnsupported, "", "build option reorder=%q is neither none nor legacy", b.Reorder)
	}
	switch b.LoadRestrictor {
	case "", "rootOnly":
	case "none":
		options.LoadRestrictions = types.LoadRestrictionsNone
	default:
		return nil, fail(codeUnsupported, "", "build option loadRestrictor=%q is neither rootOnly nor none", b.LoadRestrictor)
	}
	return options, nil
}

// kustomizeVersion is the version of the Kustomize that is linked into this program.
func kustomizeVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == "sigs.k8s.io/kustomize/kustomize/v5" {
				return dependency.Version
			}
		}
	}
	return "v5"
}

// buildKustomization runs `kustomize build` on a directory and adds its objects to the result.
func buildKustomization(files *treeFS, dir, name string, options *krusty.Options, result *rendering) error {
	scan := &kustomizeScan{files: files, seen: map[string]bool{}, charts: options.PluginConfig.HelmConfig.Enabled}
	if err := scan.directory(dir, 0); err != nil {
		return err
	}
	if scan.setsSchema {
		// As in a process of its own: nothing of the schema that is loaded, and none left behind.
		openapi.ResetOpenAPI()
		defer openapi.ResetOpenAPI()
	}
	built, err := buildAttributed(files, dir, name, options, scan)
	if err != nil {
		return fail(codeKustomize, path.Join(dir, name), "%s: %s", path.Join(dir, name), err)
	}
	result.documents = make([]document, 0, built.objects.Size())
	for index, object := range built.objects.Resources() {
		file, err := built.file(index, object)
		if err != nil {
			return fail(codeKustomize, file, "%s", err)
		}
		raw, err := objectJSON(object)
		if err == nil {
			err = checkObject(raw)
		}
		if err != nil {
			return fail(codeKustomize, file, "%s %s: %s", object.GetKind(), object.GetName(), err)
		}
		result.documents = append(result.documents, document{file, index, raw})
	}
	return nil
}

// attributedBuild are the objects of a build with what tells where each comes from.
type attributedBuild struct {
	objects resmap.ResMap
	dir     string
	// declared are the files in the order of the objects, nil where Kustomize noted them.
	declared []declaredObject
	// noted says that each object has a note, and wanted that it stays there.
	noted, wanted bool
}

// buildAttributed runs Kustomize, with notes of where objects come from if nothing else tells.
func buildAttributed(
	files *treeFS, dir, name string, options *krusty.Options, scan *kustomizeScan,
) (*attributedBuild, error) {
	built := &attributedBuild{dir: dir}
	run := func(files *treeFS) (err error) {
		built.objects, err = krusty.MakeKustomizer(options).Run(files, path.Join(mountPoint, dir))
		return err
	}
	if options.Reorder == krusty.ReorderOptionNone && !scan.setsSchema {
		if order := declaredIn(files, dir); order != nil {
			isFlat := false
			if !scan.setsRules {
				if flat := order.flattened(dir); flat != nil {
					isFlat = run(flat) == nil
				}
			}
			if !isFlat {
				if err := run(files); err != nil {
					return nil, err
				}
			}
			if fits(order.objects, built.objects) {
				built.declared = order.objects
				return built, nil
			}
		}
	}
	if !scan.usesAnnotations {
		built.noted, built.wanted = trackOrigins(files, path.Join(dir, name))
	}
	return built, run(files)
}

// file is where an object comes from, "" if that is not known. A note of our own is taken away.
func (b *attributedBuild) file(index int, object *resource.Resource) (string, error) {
	if b.declared != nil {
		return b.declared[index].file, nil
	}
	if !b.noted {
		return "", nil
	}
	file := originFile(object, b.dir)
	if b.wanted {
		return file, nil
	}
	return file, object.SetOrigin(nil)
}

func kustomizationFile(files *treeFS, dir string) (string, error) {
	var found []string
	for _, name := range kustomizationNames {
		if real, err := files.real(name); err == nil {
			if _, isFile := files.tree.content(real); isFile {
				found = append(found, name)
			}
		}
	}
	if len(found) != 1 {
		return "", fail(codeKustomize, dir, "%d kustomization files in %q where one is expected", len(found), dir)
	}
	return found[0], nil
}

// trackOrigins asks Kustomize to note where each object comes from. It says whether that can
// be done, and whether the application itself wants to see the notes.
func trackOrigins(files *treeFS, name string) (tracked, wanted bool) {
	data, err := files.ReadFile(mountPoint + "/" + name)
	if err != nil {
		return false, false
	}
	if appended := withOrigins(data); appended != nil {
		return files.WriteFile(mountPoint+"/"+name, appended) == nil, false
	}
	var kustomization map[string]any
	if err := yaml.UnmarshalStrict(data, &kustomization); err != nil || kustomization == nil {
		return false, false
	}
	metadata, _ := kustomization["buildMetadata"].([]any)
	if slices.Contains(metadata, any(types.OriginAnnotations)) {
		return true, true
	}
	kustomization["buildMetadata"] = append(metadata, types.OriginAnnotations)
	if data, err = yaml.Marshal(kustomization); err != nil {
		return false, false
	}
	return files.WriteFile(mountPoint+"/"+name, data) == nil, false
}

var plainKey = regexp.MustCompile(`^[A-Za-z]+:(\s|$)`)

// withOrigins appends the wish for notes to a kustomization whose text allows it: a mapping in
// block style that begins in its first column, without such a wish or document markers. It
// answers nil for any other, which must be read and written anew.
func withOrigins(data []byte) []byte {
	if !utf8.Valid(data) || bytes.Contains(data, []byte("buildMetadata")) ||
		bytes.Contains(data, []byte("<<")) || bytes.ContainsAny(data, "\t\r\u0085\u2028\u2029") {
		return nil
	}
	text := false
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, " \n")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		switch {
		case line[0] == ' ', line[0] == '-' && text && !bytes.HasPrefix(line, []byte("---")):
		case plainKey.Match(line):
			text = true
		default:
			return nil
		}
	}
	if !text {
		return nil
	}
	appended := bytes.Clone(data)
	if appended[len(appended)-1] != '\n' {
		appended = append(appended, '\n')
	}
	return append(appended, "buildMetadata: ["+types.OriginAnnotations+"]\n"...)
}

// originFile is the path in the repository of the file that an object comes from.
func originFile(object *resource.Resource, dir string) string {
	origin, err := object.GetOrigin()
	if err != nil || origin == nil {
		return ""
	}
	name := origin.Path
	if name == "" {
		name = origin.ConfiguredIn
	}
	if name == "" {
		return ""
	}
	return strings.TrimPrefix(path.Join("/", dir, name), "/")
}
