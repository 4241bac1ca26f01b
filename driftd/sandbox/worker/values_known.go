package main

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// errSeen ends a rendering of which the values are all that was wanted.
var errSeen = errors.New("seen")

// learn takes what a chart knows: its own values, and those of its subcharts together with what
// these export to it, as they are with all of them switched on and nothing given.
func (t *tracer) learn(f *unreadFinder) error {
	learned := false
	_, err := t.render(&valueProbe{
		change: func(loaded *chart.Chart, values map[string]any) {
			f.addChart(loaded)
			f.own, f.known = cloneMaps(t.ownValues(loaded)), belowOf(loaded)
			loaded.Values = map[string]any{}
			clear(values)
		},
		seen: func(loaded *chart.Chart, _ map[string]any) error {
			merged, err := util.CoalesceValues(loaded, map[string]any{})
			if err != nil {
				return err
			}
			delete(merged, "global")
			f.known, learned = united(f.known, merged), true
			return errSeen
		},
	})
	if learned {
		return nil
	}
	return err
}

// valuesFiles are the files that a HelmRelease has in the place of the chart's own values.
func (t *tracer) valuesFiles() []string {
	if t.params.Flux == nil || t.params.Flux.HelmRelease == nil {
		return nil
	}
	return t.params.Flux.HelmRelease.ValuesFiles
}

// ownValues are those that the chart itself has.
func (t *tracer) ownValues(loaded *chart.Chart) map[string]any {
	if len(t.valuesFiles()) == 0 {
		return loaded.Values
	}
	data, err := t.tree.read(path.Join(t.params.dir(), valuesFile))
	if err != nil {
		return nil
	}
	values, _ := loader.LoadValues(bytes.NewReader(bytes.TrimPrefix(data, byteOrderMark)))
	return values
}

// namesOf are the names that the values of a chart's dependency stand below.
func namesOf(parent, dependency *chart.Chart) []string {
	names := []string{}
	for _, declared := range parent.Metadata.Dependencies {
		if declared.Name == dependency.Name() {
			names = append(names, firstOf(declared.Alias, declared.Name))
		}
	}
	if len(names) == 0 {
		names = append(names, dependency.Name())
	}
	return names
}

// knownOf are the values of a chart and, below their names, of its subcharts, also of those that
// are switched off; and what switches subcharts on and off.
func knownOf(loaded *chart.Chart) map[string]any {
	return united(cloneMaps(loaded.Values), belowOf(loaded))
}

// belowOf are the values of a chart's subcharts below their names, and what switches those on and
// off.
func belowOf(loaded *chart.Chart) map[string]any {
	known := map[string]any{}
	for _, one := range loaded.Dependencies() {
		for _, name := range namesOf(loaded, one) {
			known = united(known, map[string]any{name: knownOf(one)})
		}
	}
	for _, one := range loaded.Metadata.Dependencies {
		for _, tag := range one.Tags {
			known = united(known, map[string]any{"tags": map[string]any{tag: true}})
		}
		for _, condition := range strings.Split(one.Condition, ",") {
			if path := strings.TrimSpace(condition); path != "" {
				known = united(known, nested(strings.Split(path, "."), true))
			}
		}
	}
	return known
}

func nested(path []string, value any) map[string]any {
	if len(path) > 1 {
		value = nested(path[1:], value)
	}
	return map[string]any{path[0]: value}
}

// united has the names of both; what the first one says counts.
func united(one, other map[string]any) map[string]any {
	both := maps.Clone(other)
	if both == nil {
		both = map[string]any{}
	}
	for name, value := range one {
		inside, isMap := value.(map[string]any)
		if below, too := both[name].(map[string]any); isMap && too {
			value = united(inside, below)
		} else if too {
			value = below
		}
		both[name] = value
	}
	return both
}

// addDependencies takes the names of a chart's subcharts, and the places that it imports from them.
func (f *unreadFinder) addDependencies(loaded *chart.Chart, at []any) {
	for _, one := range loaded.Metadata.Dependencies {
		name := firstOf(one.Alias, one.Name)
		f.addSubchart(at, name)
		for _, value := range one.ImportValues {
			switch imported := value.(type) {
			case string:
				f.imported[keyOf(append(slices.Clone(at), name, "exports", imported))] = true
			case map[string]any:
				child, _ := imported["child"].(string)
				path := append(slices.Clone(at), name)
				for _, step := range strings.Split(child, ".") {
					path = append(path, step)
				}
				f.imported[keyOf(path)] = true
			}
		}
	}
	for _, one := range loaded.Dependencies() {
		for _, name := range namesOf(loaded, one) {
			f.addSubchart(at, name)
			if len(at) == 0 {
				f.below = append(f.below, name)
			}
			if name != one.Name() {
				f.aliases[one.Name()] = append(f.aliases[one.Name()], name)
			}
		}
	}
}

func (f *unreadFinder) addSubchart(at []any, name string) {
	f.subcharts[name] = true
	f.places[keyOf(append(slices.Clone(at), name))] = true
}

// walkRoot compares all that is given to a chart with what it and its subcharts know. What its own
// values have below the name of a subchart is given to that one; and a name of them that no
// template reads decides nothing, though the chart has it.
func (f *unreadFinder) walkRoot(given map[string]any) {
	around := maps.Clone(f.own)
	maps.DeleteFunc(around, func(name string, _ any) bool { return slices.Contains(f.below, name) })
	below := f.known
	f.known = united(around, below)
	for _, name := range slices.Sorted(maps.Keys(united(given, f.own))) {
		if slices.Contains(f.below, name) {
			inside, _ := given[name].(map[string]any)
			own, _ := f.own[name].(map[string]any)
			known, _ := below[name].(map[string]any)
			f.walk([]any{name}, united(inside, own), known)
			continue
		}
		if value, isGiven := given[name]; isGiven {
			f.walk(nil, map[string]any{name: value}, f.known)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.own)) {
		if _, isKnown := below[name]; !isKnown && name != "global" && len(f.below) > 0 && f.isUnread(nil, name) {
			f.add([]any{name}, slices.Sorted(maps.Keys(without(f.known, []any{name}).(map[string]any))))
		}
	}
}

// meant are the places below names of subcharts where a name that stands beside those belongs: the
// subcharts whose values have it, of these the ones that have most of what is in it; and the
// aliases of a subchart whose own name nobody reads.
func (f *unreadFinder) meant(name string, all map[string]any) []string {
	if len(f.aliases[name]) > 0 {
		return f.aliases[name]
	}
	found := []string{}
	most := 0
	for _, one := range slices.Sorted(slices.Values(f.below)) {
		around, _ := f.known[one].(map[string]any)
		known, there := around[name]
		if !there {
			continue
		}
		alike := shared(all[name], known) + shared(all[name], valueAt(all, []any{one, name}))
		if alike > most {
			found, most = nil, alike
		}
		if alike == most {
			found = append(found, keyOf([]any{one, name}))
		}
	}
	return found
}

// shared is how many names of a map another one has too.
func shared(value, other any) int {
	count := 0
	names, _ := value.(map[string]any)
	others, _ := other.(map[string]any)
	for name := range names {
		if _, there := others[name]; there {
			count++
		}
	}
	return count
}

// isAnchored says whether something in a value has a name by which other values of the file take it
// over: it is read there.
func (t *tracer) isAnchored(place *valuePlace, path []any) bool {
	from := t.tree
	id := t.params.Refs[place.Ref].Tree
	if place.AtHome {
		id = t.params.Home.Tree
	}
	if id != "" {
		var err error
		if from, err = t.server.trees.get(id); err != nil {
			return false
		}
	}
	data, err := from.read(place.File)
	if err != nil {
		return false
	}
	for _, one := range parseNodes(bytes.TrimPrefix(data, byteOrderMark)) {
		for _, above := range [][]any{nil, {"spec", "values"}, append(slices.Clone(t.params.Home.Source), "helm", "valuesObject")} {
			if _, value := nodeAt(one.root, slices.Concat(above, path)); value != nil && hasAnchor(value) {
				return true
			}
		}
	}
	return false
}

func hasAnchor(node *yaml.Node) bool {
	return node.Anchor != "" || slices.ContainsFunc(node.Content, hasAnchor)
}
