package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"
)

const maxNearVersions = 5

// indexEntry is one version of a chart in a Helm repository's index.
type indexEntry struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`
}

// chartEntry finds the version of a chart that a revision means in an index (or in the part of
// it that is the chart's): the exact one, else the highest that the range allows.
func (s *server) chartEntry(params json.RawMessage) ([]byte, error) {
	var p struct {
		Tree     string `json:"tree"`
		File     string `json:"file"`
		Chart    string `json:"chart"`
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	data, err := t.read(p.File)
	if err != nil {
		return nil, err
	}
	entries, err := indexEntries(data, p.Chart)
	if err != nil {
		return nil, fail(codeInvalid, p.File, "%s: %s", p.File, err)
	}
	versions := make([]string, 0, len(entries))
	for _, entry := range entries {
		if entry != nil && len(entry.URLs) > 0 {
			versions = append(versions, entry.Version)
		}
	}
	version, err := selectVersion(versions, p.Revision)
	if err != nil {
		return nil, err
	}
	result := map[string]any{"version": version, "near": highest(versions), "count": len(versions)}
	for _, entry := range entries {
		if version != "" && entry != nil && entry.Version == version && len(entry.URLs) > 0 {
			result["urls"], result["digest"] = entry.URLs, entry.Digest
			break
		}
	}
	return json.Marshal(result)
}

func indexEntries(data []byte, name string) ([]*indexEntry, error) {
	var index struct {
		Entries map[string][]*indexEntry `json:"entries"`
	}
	if !json.Valid(data) {
		if err := scanYAML(data); err != nil {
			return nil, err
		}
		converted, err := yaml.YAMLToJSON(data)
		if err != nil {
			return nil, err
		}
		data = converted
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("it is no index of a Helm repository: %w", err)
	}
	return index.Entries[name], nil
}

// selectVersions picks one of many version names, as tags of a registry or of Git are.
func selectVersions(params json.RawMessage) ([]byte, error) {
	var p struct {
		Versions []string `json:"versions"`
		Revision string   `json:"revision"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	version, err := selectVersion(p.Versions, p.Revision)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"version": version, "near": highest(p.Versions), "count": len(p.Versions),
	})
}

// selectVersion answers "" when no version is meant. Pre-releases count only in a range that
// names one, as everywhere with this library.
func selectVersion(versions []string, revision string) (string, error) {
	if slices.Contains(versions, revision) {
		return revision, nil
	}
	if revision == "" {
		revision = "*"
	}
	constraint, err := semver.NewConstraint(revision)
	if err != nil {
		return "", fail(codeInvalidSource, "", "%q is neither a version nor a range of versions", revision)
	}
	var best *semver.Version
	for _, name := range versions {
		version, err := semver.NewVersion(name)
		if err == nil && constraint.Check(version) && (best == nil || version.GreaterThan(best)) {
			best = version
		}
	}
	if best == nil {
		return "", nil
	}
	return best.Original(), nil
}

// highest lists some versions for a message, the highest first.
func highest(names []string) []string {
	var versions []*semver.Version
	for _, name := range names {
		if version, err := semver.NewVersion(name); err == nil {
			versions = append(versions, version)
		}
	}
	slices.SortFunc(versions, func(a, b *semver.Version) int { return b.Compare(a) })
	result := []string{}
	for _, version := range versions[:min(len(versions), maxNearVersions)] {
		result = append(result, version.Original())
	}
	return result
}

// neededChart is a dependency that charts/ lacks, at the version that the lock file names.
type neededChart struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
}

// chartNeeds says which dependencies of the chart in a folder have to be fetched: none when
// charts/ has them all, else those of the lock file, whose digest must fit Chart.yaml.
func (s *server) chartNeeds(params json.RawMessage) ([]byte, error) {
	var p struct {
		Tree string `json:"tree"`
		Path string `json:"path"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	dir, err := t.resolve(p.Path)
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, chartFile)
	files, err := chartFiles(t, dir)
	if err != nil {
		return nil, err
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fail(codeHelm, file, "%s: %s", file, err)
	}
	needs := []neededChart{}
	if lacksDependency(loaded) {
		if needs, err = lockedDependencies(loaded, dir, t); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"folder": dir, "needs": needs})
}

func lacksDependency(loaded *chart.Chart) bool {
	for _, dependency := range loaded.Metadata.Dependencies {
		if !hasDependency(loaded, dependency.Name) {
			return true
		}
	}
	return false
}

func hasDependency(loaded *chart.Chart, name string) bool {
	return slices.ContainsFunc(loaded.Dependencies(), func(vendored *chart.Chart) bool {
		return vendored.Name() == name
	})
}

func lockedDependencies(loaded *chart.Chart, dir string, t *tree) ([]neededChart, error) {
	wanted := loaded.Metadata.Dependencies
	if lock := loaded.Lock; lock != nil {
		if !lockFits(loaded) {
			return nil, outOfSync(loaded, dir, t)
		}
		wanted = lock.Dependencies
	}
	needs := []neededChart{}
	for _, dependency := range wanted {
		if dependency == nil || hasDependency(loaded, dependency.Name) || strings.HasPrefix(dependency.Repository, "file://") {
			continue
		}
		needs = append(needs, neededChart{dependency.Name, dependency.Version, dependency.Repository})
	}
	return needs, nil
}

// outOfSync names the first dependency that is not packed: where its name is a slip, nothing else
// tells.
func outOfSync(loaded *chart.Chart, dir string, t *tree) error {
	file := path.Join(dir, chartFile)
	for number, wanted := range loaded.Metadata.Dependencies {
		if wanted == nil || hasDependency(loaded, wanted.Name) {
			continue
		}
		has := "nothing"
		if packed := loaded.Dependencies(); len(packed) > 0 {
			var names []string
			for _, one := range packed {
				names = append(names, one.Name())
			}
			slices.Sort(names)
			has = strings.Join(slices.Compact(names), ", ")
		}
		return fail(codeDependencyMissing, file,
			"%s: dependency %s is not in charts/, which has %s, and the lock file is out of sync with the dependencies: correct the name, or run `helm dependency update` and commit charts/ with Chart.lock",
			dependencyPlace(dir, t, number, "name"), wanted.Name, has)
	}
	return fail(codeDependencyMissing, file,
		"%s: the lock file is out of sync with the dependencies; update it with `helm dependency update`", file)
}

// lockFits compares the lock file's digest with the two that Helm accepts: over declared and
// locked dependencies, and for charts of API version v1 Helm 2's own.
func lockFits(loaded *chart.Chart) bool {
	declared, lock := loaded.Metadata.Dependencies, loaded.Lock
	if lock.Digest == digestOf([2][]*chart.Dependency{declared, lock.Dependencies}) {
		return true
	}
	return loaded.Metadata.APIVersion == chart.APIVersionV1 &&
		lock.Digest == digestOf(map[string][]*chart.Dependency{"dependencies": declared})
}

func digestOf(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
