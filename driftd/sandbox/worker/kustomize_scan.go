package main

import (
	"bytes"
	"crypto/sha256"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	maxBaseDepth      = 32
	maxKustomizations = 2000
)

// kustomizeScan reads, before Kustomize runs, every kustomization that it would reach and
// refuses whatever would have to be fetched.
type kustomizeScan struct {
	files *treeFS
	seen  map[string]bool
	// usesAnnotations says that a patch or replacement addresses annotations by path, so
	// that annotations of our own could change its outcome.
	usesAnnotations bool
	// objects counts the documents of all resources: Kustomize compares each with all others.
	objects int
	// setsSchema says that a kustomization chooses a schema, which Kustomize keeps for all
	// that the process builds from then on.
	setsSchema bool
	// setsRules says that a kustomization adds to the rules that are built in.
	setsRules bool
	// charts says that kustomizations may inflate charts; what is not in the tree was fetched.
	charts bool
}

// countedFile is a file that was found harmless: its bytes and documents, and their kinds if they
// were asked for. It is the same for all files with this content.
type countedFile struct {
	size, documents int
	kinds           []string
}

// pathFields are the parts of a kustomization that may name something to load.
type pathFields struct {
	Resources             []string          `json:"resources"`
	Bases                 []string          `json:"bases"`
	Components            []string          `json:"components"`
	Crds                  []string          `json:"crds"`
	Configurations        []string          `json:"configurations"`
	Generators            []string          `json:"generators"`
	Transformers          []string          `json:"transformers"`
	Validators            []string          `json:"validators"`
	OpenAPI               map[string]string `json:"openapi"`
	Patches               []pathField       `json:"patches"`
	PatchesJSON6902       []pathField       `json:"patchesJson6902"`
	PatchesStrategicMerge []string          `json:"patchesStrategicMerge"`
	Replacements          []pathField       `json:"replacements"`
	ConfigMapGenerator    []generatorFields `json:"configMapGenerator"`
	SecretGenerator       []generatorFields `json:"secretGenerator"`
	HelmCharts            []any             `json:"helmCharts"`
	HelmInflation         []any             `json:"helmChartInflationGenerator"`
	SortOptions           any               `json:"sortOptions"`
}

type pathField struct {
	Path string `json:"path"`
}

type generatorFields struct {
	Files []string `json:"files"`
	Envs  []string `json:"envs"`
	Env   string   `json:"env"`
	// Behavior says what becomes of an object that is there already.
	Behavior string `json:"behavior"`
}

// directory scans the kustomization in a directory and the ones that it builds on. What does
// not read is left for Kustomize to report.
func (s *kustomizeScan) directory(dir string, depth int) error {
	real, err := s.files.real(mountPoint + "/" + dir)
	if err != nil || s.seen[real] {
		return nil
	}
	s.seen[real] = true
	if depth > maxBaseDepth || len(s.seen) > maxKustomizations {
		return fail(codeLimit, dir, "%s: bases are nested deeper than %d or more than %d", dir, maxBaseDepth, maxKustomizations)
	}
	for _, name := range kustomizationNames {
		file := path.Join(real, name)
		data, err := s.files.ReadFile(mountPoint + "/" + file)
		if err != nil {
			continue
		}
		s.note(data)
		parsed, err := s.files.tree.kustomization(file, data)
		if err != nil {
			return err
		}
		if parsed == nil {
			return nil
		}
		fields := *parsed
		if len(fields.OpenAPI) > 0 {
			s.setsSchema = true
		}
		if len(fields.Configurations)+len(fields.Crds) > 0 {
			s.setsRules = true
		}
		if len(s.files.tree.remotes) > 0 {
			if err := s.useFetched(real, file, &fields); err != nil {
				return err
			}
		}
		if err := fields.refuseRemote(file, s.charts); err != nil {
			return err
		}
		if err := s.readable(real, &fields); err != nil {
			return err
		}
		return s.follow(real, &fields, depth)
	}
	return nil
}

// kustomization reads the fields that a kustomization's text has, and keeps them for the next
// application on the same base. It answers nil for what does not read.
func (t *tree) kustomization(file string, data []byte) (*pathFields, error) {
	if known, ok := t.known.scanned[string(data)]; ok {
		return known.copied(), nil
	}
	if err := scanYAML(data); err != nil {
		return nil, fail(codeLimit, file, "%s: %s", file, err)
	}
	fields := &pathFields{}
	if err := yaml.Unmarshal(data, fields); err != nil {
		return nil, nil
	}
	t.known.room(len(data))
	t.known.scanned[string(data)] = fields
	return fields.copied(), nil
}

// copied has lists of its own where entries are replaced.
func (f *pathFields) copied() *pathFields {
	own := *f
	own.Resources, own.Bases = slices.Clone(f.Resources), slices.Clone(f.Bases)
	return &own
}

func (s *kustomizeScan) note(data []byte) {
	if bytes.Contains(data, []byte("metadata/annotations")) || bytes.Contains(data, []byte("metadata.annotations")) {
		s.usesAnnotations = true
	}
}

// useFetched puts directories of the tree in place of the remote bases that were fetched.
func (s *kustomizeScan) useFetched(dir, file string, fields *pathFields) error {
	replaced := map[string]string{}
	for _, list := range [][]string{fields.Resources, fields.Bases} {
		for i, name := range list {
			if folder, fetched := s.files.tree.remotes[name]; fetched {
				list[i] = strings.Repeat("../", len(strings.Split(dir, "/"))) + folder
				if dir == "" {
					list[i] = folder
				}
				replaced[name] = list[i]
			}
		}
	}
	if len(replaced) == 0 {
		return nil
	}
	data, err := s.files.ReadFile(path.Join(mountPoint, file))
	if err != nil {
		return err
	}
	var kustomization map[string]any
	if err := yaml.UnmarshalStrict(data, &kustomization); err != nil {
		return fail(codeKustomize, file, "%s: %s", file, err)
	}
	for _, field := range []string{"resources", "bases"} {
		list, _ := kustomization[field].([]any)
		for i, item := range list {
			if name, ok := item.(string); ok && replaced[name] != "" {
				list[i] = replaced[name]
			}
		}
	}
	if data, err = yaml.Marshal(kustomization); err != nil {
		return fail(codeKustomize, file, "%s: %s", file, err)
	}
	return s.files.WriteFile(path.Join(mountPoint, file), data)
}

// readable refuses files that Kustomize would read as YAML and that are made to be expensive: it
// has no limits of its own.
func (s *kustomizeScan) readable(dir string, fields *pathFields) error {
	for _, entry := range fields.entries() {
		if strings.HasSuffix(entry.field, "Generator.files") || strings.Contains(entry.field, "Generator.env") ||
			entry.value == "" || strings.Contains(entry.value, "\n") {
			continue
		}
		data, err := s.files.ReadFile(path.Join(mountPoint, dir, entry.value))
		if err != nil {
			continue
		}
		file := path.Join(dir, entry.value)
		if len(data) > maxAppBytes {
			return fail(codeLimit, file, "%s has %d bytes, more than %d", file, len(data), maxAppBytes)
		}
		documents, err := s.files.tree.harmless(file, data)
		if err != nil {
			return err
		}
		if entry.field != "resources" && entry.field != "bases" {
			continue
		}
		if s.objects += documents - 1; s.objects > maxObjects {
			return fail(codeLimit, file, "%s: more than %d objects in the application", file, maxObjects)
		}
	}
	return nil
}

// harmless counts the documents of a file, and refuses one that is made to be expensive. What was
// found so is not looked at again for the next application.
func (t *tree) harmless(file string, data []byte) (documents int, err error) {
	if known := t.countedBefore(file, data); known != nil {
		return known.documents, nil
	}
	parts := splitDocuments(data)
	for _, part := range parts {
		if err := scanYAML(part.text); err != nil {
			return 0, fail(codeLimit, file, "%s: %s", file, err)
		}
	}
	t.known.room(sha256.Size)
	t.counted[file] = &countedFile{size: len(data), documents: len(parts)}
	t.known.counted[sha256.Sum256(data)] = t.counted[file]
	return len(parts), nil
}

// countedBefore is what is known of a file, in this tree or another one, nil for nothing.
func (t *tree) countedBefore(file string, data []byte) *countedFile {
	if known, ok := t.counted[file]; ok && known.size == len(data) {
		return known
	}
	known, ok := t.known.counted[sha256.Sum256(data)]
	if ok {
		t.counted[file] = known
	}
	return known
}

// follow scans bases, and the text of what may address annotations.
func (s *kustomizeScan) follow(dir string, fields *pathFields, depth int) error {
	var texts []string
	for _, list := range [][]pathField{fields.Patches, fields.PatchesJSON6902, fields.Replacements} {
		for _, item := range list {
			texts = append(texts, item.Path)
		}
	}
	for _, list := range [][]string{fields.Configurations, fields.Transformers} {
		texts = append(texts, list...)
	}
	for _, name := range texts {
		if name == "" || strings.Contains(name, "\n") {
			continue
		}
		if data, err := s.files.ReadFile(path.Join(mountPoint, dir, name)); err == nil {
			s.note(data)
		}
	}
	bases := [][]string{fields.Resources, fields.Bases, fields.Components, fields.Generators, fields.Transformers, fields.Validators}
	for _, list := range bases {
		for _, name := range list {
			if target := path.Join(mountPoint, dir, name); s.files.IsDir(target) {
				if err := s.directory(strings.TrimPrefix(target, mountPoint+"/"), depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// entry is one path in a kustomization with the field that holds it.
type entry struct{ field, value string }

func (f *pathFields) entries() []entry {
	var entries []entry
	add := func(field string, values ...string) {
		for _, value := range values {
			entries = append(entries, entry{field, value})
		}
	}
	add("resources", f.Resources...)
	add("bases", f.Bases...)
	add("components", f.Components...)
	add("crds", f.Crds...)
	add("configurations", f.Configurations...)
	add("generators", f.Generators...)
	add("transformers", f.Transformers...)
	add("validators", f.Validators...)
	add("patchesStrategicMerge", f.PatchesStrategicMerge...)
	add("openapi.path", f.OpenAPI["path"])
	for field, list := range map[string][]pathField{
		"patches.path": f.Patches, "patchesJson6902.path": f.PatchesJSON6902, "replacements.path": f.Replacements,
	} {
		for _, item := range list {
			add(field, item.Path)
		}
	}
	for field, list := range map[string][]generatorFields{
		"configMapGenerator": f.ConfigMapGenerator, "secretGenerator": f.SecretGenerator,
	} {
		for _, item := range list {
			for _, file := range item.Files {
				// A file may be given as KEY=PATH.
				if _, value, hasKey := strings.Cut(file, "="); hasKey && !isRemote(file) {
					file = value
				}
				add(field+".files", file)
			}
			add(field+".envs", item.Envs...)
			add(field+".env", item.Env)
		}
	}
	return entries
}

func (f *pathFields) refuseRemote(file string, charts bool) error {
	for _, entry := range f.entries() {
		if isRemote(entry.value) {
			return fail(codeRemote, file, "%s: %s: %s is remote and is not fetched; keep a copy in the repository, or allow it with remoteBases",
				file, entry.field, entry.value)
		}
	}
	if len(f.HelmCharts)+len(f.HelmInflation) > 0 && !charts {
		return fail(codeUnsupported, file,
			"%s: helmCharts need --enable-helm, which kustomize.buildOptions of argocd-cm has not (and Flux never has)", file)
	}
	return nil
}

var remotePattern = regexp.MustCompile(
	`(?i)^(git::|[a-z][a-z0-9+.-]*://|(https?|ssh|git|file|ftp|s3|oci):|[^/\s:]+@[^/\s:]+[:/]|(www\.)?github\.com[:/])`)

// isRemote says whether Kustomize (or a getter it once used) would fetch an entry.
func isRemote(entry string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(entry), "\n")
	return remotePattern.MatchString(first) || strings.Contains(first, "?ref=") || strings.Contains(first, "?version=")
}
