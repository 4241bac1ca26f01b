package main

import (
	"encoding/json"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// pulledEntry is a chart that a kustomization inflates and the tree has not.
type pulledEntry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Repo    string `json:"repo"`
	Devel   bool   `json:"devel"`
	// Place is the folder for the chart's own one.
	Place string `json:"place"`
	// File is the kustomization.
	File string `json:"file"`
}

// chartScan goes through kustomizations and what they build on, for the charts to fetch.
type chartScan struct {
	tree   *tree
	seen   map[string]bool
	places map[string]bool
	found  []pulledEntry
}

// kustomizeCharts lists the charts that Kustomize would pull for the kustomization in a folder.
// What does not read is left out: rendering tells what is wrong with it.
func (s *server) kustomizeCharts(params json.RawMessage) ([]byte, error) {
	var p struct {
		Tree       string   `json:"tree"`
		Path       string   `json:"path"`
		Components []string `json:"components"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	scan := &chartScan{tree: t, seen: map[string]bool{}, places: map[string]bool{}, found: []pulledEntry{}}
	scan.directory(p.Path, 0)
	for _, component := range p.Components {
		scan.directory(path.Join(p.Path, component), 1)
	}
	return json.Marshal(map[string]any{"charts": scan.found})
}

func (s *chartScan) directory(dir string, depth int) {
	real, err := s.tree.resolve(dir)
	if err != nil || s.seen[real] || depth > maxBaseDepth || len(s.seen) >= maxKustomizations {
		return
	}
	s.seen[real] = true
	for _, name := range kustomizationNames {
		file := path.Join(real, name)
		data, err := s.tree.read(file)
		if err != nil || scanYAML(data) != nil {
			continue
		}
		var kustomization types.Kustomization
		if kustomization.Unmarshal(data) != nil {
			continue
		}
		kustomization.FixKustomization()
		s.kustomization(real, file, &kustomization, depth)
	}
}

func (s *chartScan) kustomization(dir, file string, k *types.Kustomization, depth int) {
	var globals types.HelmGlobals
	if k.HelmGlobals != nil {
		globals = *k.HelmGlobals
	}
	for _, entry := range k.HelmCharts {
		s.chart(dir, file, globals, entry)
	}
	for _, text := range k.Generators {
		s.generators(dir, file, text)
	}
	for _, list := range [][]string{k.Resources, k.Components, k.Generators} {
		for _, name := range list {
			if !strings.Contains(name, "\n") && !isRemote(name) && s.tree.isDir(path.Join(dir, ".")+"/"+name) {
				s.directory(path.Join(dir, ".")+"/"+name, depth+1)
			}
		}
	}
}

// generators reads what an entry of `generators` holds: a file, or the text itself.
func (s *chartScan) generators(dir, file, text string) {
	data := []byte(text)
	if !strings.Contains(text, "\n") {
		var err error
		if data, err = s.tree.read(path.Join(dir, ".") + "/" + text); err != nil {
			return
		}
	}
	for _, part := range splitDocuments(data) {
		if scanYAML(part.text) != nil {
			continue
		}
		var entry struct {
			Kind string `json:"kind"`
			types.HelmGlobals
			types.HelmChart
		}
		if yaml.Unmarshal(part.text, &entry) == nil && entry.Kind == "HelmChartInflationGenerator" {
			s.chart(dir, file, entry.HelmGlobals, entry.HelmChart)
		}
	}
}

func (s *chartScan) chart(dir, file string, globals types.HelmGlobals, entry types.HelmChart) {
	home, inside := strings.CutPrefix(chartHome(path.Join(mountPoint, dir), globals, entry), mountPoint+"/")
	place := path.Join(home, entry.Name)
	if !inside || entry.Repo == "" || s.places[place] || s.tree.isDir(place) {
		return
	}
	s.places[place] = true
	s.found = append(s.found, pulledEntry{entry.Name, entry.Version, entry.Repo, entry.Devel, home, file})
}
